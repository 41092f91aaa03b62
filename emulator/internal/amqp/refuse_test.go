package amqp_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/amqp"
	"evenkeel/internal/await"
)

// What clients send first: the header, a frame with the performative open of the container "c", and a frame with
// sasl-init for PLAIN.
const (
	plain    = "AMQP\x00\x01\x00\x00"
	secured  = "AMQP\x03\x01\x00\x00"
	open     = "\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01c"
	saslInit = "\x00\x00\x00\x15\x02\x01\x00\x00\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN"
)

// refuse passes a client's bytes to Refuse and returns what the client receives until the end.
func refuse(t *testing.T, said string) (heard string, err error) {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(await.Limit))
	refused := make(chan error, 1)
	go func() { refused <- amqp.Refuse(server) }()
	go func() {
		// In small pieces, as a network may split them.
		for _, piece := range strings.SplitAfter(said, "") {
			if _, err := io.WriteString(client, piece); err != nil {
				return
			}
		}
		_, _ = io.WriteString(client, "farewell")
	}()
	buffer := make([]byte, 1<<10)
	for !strings.Contains(heard, "docs/reference/fidelity.md") {
		n, err := client.Read(buffer)
		if heard += string(buffer[:n]); err != nil {
			break
		}
	}
	_ = client.Close()
	return heard, await.Next(t, refused, "the end of Refuse")
}

func TestAMQPIsRefusedInAMQP(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{"hub client": plain + open, "DPS client with a key": secured + saslInit +
		plain + open} {
		t.Run(name, func(t *testing.T) {
			heard, err := refuse(t, said)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			header, rest, _ := strings.Cut(heard, plain)
			if wantSASL := strings.HasPrefix(said, secured); wantSASL != strings.HasPrefix(header, secured) ||
				wantSASL != strings.HasSuffix(header, "\x00\x53\x44\xc0\x03\x01\x50\x00") {
				t.Errorf("%s: got %q before the connection", name, header)
			}
			opened, closed, _ := strings.Cut(rest, "\x00\x53\x18")
			if !strings.Contains(opened, "\x00\x53\x10") ||
				!strings.Contains(closed, "\xa3\x14amqp:not-implemented\xa1") {
				t.Errorf("%s: got %q, want open and close with the error", name, rest)
			}
			for rest := opened + "\x00\x53\x18" + closed; rest != ""; { // each frame begins with its length
				size := int(rest[2])<<8 | int(rest[3])
				if size < 8 || size > len(rest) {
					t.Fatalf("%s: a frame of %d bytes, of %d that are left", name, size, len(rest))
				}
				rest = rest[size:]
			}
		})
	}
}

func TestOtherProtocolsAreNotRefusedAsAMQP(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"HTTP": "GET / HTTP/1.1\r\n\r\n", "a huge frame": plain + "\xff\xff\xff\xff", "a tiny frame": plain +
			"\x00\x00\x00\x01",
	} {
		t.Run(name, func(t *testing.T) {
			if heard, err := refuse(t, said); err == nil || strings.Contains(heard, "not-implemented") {
				t.Errorf("%s: got %q, %v, want an error", name, heard, err)
			}
		})
	}
	if heard, err := refuse(t, "AMQP\x02\x01\x00\x00"); err != nil || heard != plain {
		t.Errorf("TLS inside: got %q, %v, want the header that is understood", heard, err)
	}
}
