package state_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// bareServer is the environment variable with the folder of BenchmarkBareServer's certificates.
const bareServer = "EVENKEEL_BARE_SERVER"

// BenchmarkBareServer is the least that a service of devices does, in a separate process like the emulator: it
// completes TLS handshakes, verifies the client's certificate if there is one, and closes the connection. At its second
// address it first stores the rows of a first registration, synced. It writes the addresses to standard output and
// serves until standard input ends. The clients are those of `make bench`, which compares registrations with it.
func BenchmarkBareServer(b *testing.B) {
	dir := os.Getenv(bareServer)
	if dir == "" {
		b.Skip("serves the benchmark of registrations only: see acceptance/bench")
	}
	rows := registrationRows(b)
	s, err := state.Open(state.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	config, err := bareConfig(dir)
	if err != nil {
		b.Fatal(err)
	}
	var n atomic.Uint64
	shake, err := listenBare(config, func() error { return nil })
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = shake.Close() }()
	keep, err := listenBare(config, func() error { return s.Commit(rows, strconv.FormatUint(n.Add(1), 10)) })
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = keep.Close() }()
	fmt.Printf("\nbare %s %s\n", shake.Addr(), keep.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// bareConfig is that of the emulator: it sends its certificate with the root, and requests one from every client.
func bareConfig(dir string) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, err
	}
	devices, err := os.ReadFile(filepath.Join(dir, "devices.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(devices) {
		return nil, errors.New("devices.pem holds no certificate")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, ClientAuth: tls.VerifyClientCertIfGiven,
		ClientCAs: roots,
	}, nil
}

// listenBare serves at a new port until the listener is closed.
func listenBare(config *tls.Config, keep func() error) (net.Listener, error) {
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				if conn.(*tls.Conn).Handshake() != nil {
					return // the client reports the error
				}
				if err := keep(); err != nil {
					_, _ = fmt.Fprintln(conn, err) // instead of the end that the client waits for
				}
			}()
		}
	}()
	return l, nil
}
