package emulator_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// listenersOf are the addresses on which an emulator listens, by surface; all but the control port speak TLS.
func listenersOf(e *emulator.Emulator) map[string]string {
	ends := e.Endpoints()
	return map[string]string{
		"arm": strings.TrimPrefix(ends.ARM, "https://"), "data": strings.TrimPrefix(ends.Data, "https://"),
		"mqtt":    ends.MQTT,
		"control": strings.TrimPrefix(ends.Control, "http://"),
	}
}

func dialRaw(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// secure is a connection on which the handshake is done; of the control port it is the bare one. A handshake that a
// busy machine does not end in the time that the emulator gives to it is tried again.
func secure(t *testing.T, e *emulator.Emulator, surface, address string) (made net.Conn) {
	t.Helper()
	if surface == "control" {
		return dialRaw(t, address)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
	await.Until(t, surface+": a handshake", func() error {
		over := tls.Client(dialRaw(t, address), &tls.Config{RootCAs: roots, ServerName: "localhost"})
		made = over
		return over.HandshakeContext(await.Context(t))
	})
	return made
}

// wantClosed reads until the other side ends the connection.
func wantClosed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	check(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%s: the connection is still open", what)
	}
}

func TestConnectionsBeyondTheLimitAreClosedAndLeaveTheOthersAlone(t *testing.T) {
	t.Parallel()
	const limit = 3
	e := emulator.RunT(t, emulator.Options{Bounds: emulator.Bounds{Connections: limit, Connect: time.Minute,
		Header: time.Minute}})
	for surface, address := range listenersOf(e) {
		var open []net.Conn
		for range limit {
			open = append(open, secure(t, e, surface, address))
		}
		for range 20 {
			wantClosed(t, surface+": one too many", dialRaw(t, address))
		}
		if surface == "mqtt" {
			continue // that the first ones are served is shown by requests
		}
		for _, conn := range open {
			_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			check(t, err)
			check(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
			if text, err := io.ReadAll(conn); err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 ")) {
				t.Errorf("%s: got %q, %v; want an answer for those within the limit", surface, text, err)
			}
		}
		// They have gone: there is room again.
		await.Until(t, surface+": free connections after the others have closed", func() error {
			conn := dialRaw(t, address)
			check(t, conn.SetDeadline(time.Now().Add(await.Limit)))
			if surface != "control" {
				conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			}
			_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			if err != nil {
				return err
			}
			text, err := io.ReadAll(conn)
			if err == nil && len(text) == 0 {
				err = errors.New("the connection was closed at once")
			}
			return err
		})
	}
}

func TestSlowClientsAreDropped(t *testing.T) {
	t.Parallel()
	const soon = 2 * time.Second
	e := emulator.RunT(t, emulator.Options{Bounds: emulator.Bounds{Connect: soon, Header: soon, Request: soon,
		Idle: soon}})
	for surface, address := range listenersOf(e) {
		t.Run(surface, func(t *testing.T) {
			t.Parallel()
			for what, send := range map[string]string{
				"silence":                 "",
				"a body that never comes": "POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
				"idle after a request":    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					conn := secure(t, e, surface, address)
					_, err := io.WriteString(conn, send)
					check(t, err)
					wantClosed(t, what, conn)
				})
			}
			wantClosed(t, "silence before the handshake", dialRaw(t, address))
			trickle := secure(t, e, surface, address)
			go func() {
				// A header without an end, or a CONNECT that is never whole.
				begin := "GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
				if surface == "mqtt" {
					begin = "\x10\xff\x7f\x00\x04MQTT\x04\x00\x00\x10\x7f\xff"
				}
				_, err := io.WriteString(trickle, begin)
				for err == nil {
					_, err = io.WriteString(trickle, "x")
					<-time.After(20 * time.Millisecond)
				}
			}()
			wantClosed(t, "a header that trickles", trickle)
		})
	}
}

// endless is a body that says no length and counts what is taken of it.
type endless struct {
	mu   sync.Mutex
	read int
}

func (b *endless) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read == 0 {
		b.read++
		return copy(p[:1], `"`), nil
	}
	if b.read >= 256<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	b.read += len(p)
	return len(p), nil
}

func TestBodiesAreLimitedOnEverySurface(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	owner := withHub(t, w, "")
	w.must("PUT", servicePath+serviceVersion, serviceJSON)
	const serviceHost = "dps-1.azure-devices-provisioning.net"
	enrollments := token(t, serviceHost, "provisioningserviceowner",
		w.firstKey(servicePath+"/keys/provisioningserviceowner", serviceVersion))
	device := token(t, hubHost+"/devices/device-1", "", knownKey)
	ends := w.e.Endpoints()
	for name, call := range map[string]struct{ method, url, host, authorization, contentType string }{
		"arm": {"PUT", ends.ARM + hubPath + hubVersion, "", "Bearer " + w.token, "application/json"},
		"tokens": {"POST", ends.ARM + "/" + ends.TenantID + "/oauth2/v2.0/token", "", "",
			"application/x-www-form-urlencoded"},
		"service: enrollment": {"PUT", ends.Data + "/enrollments/a?api-version=2021-10-01", serviceHost, enrollments,
			"application/json"},
		"service: bulk": {"POST", ends.Data + "/enrollments?api-version=2021-10-01", serviceHost, enrollments,
			"application/json"},
		"service: query": {"POST", ends.Data + "/enrollments/query?api-version=2021-10-01", serviceHost,
			enrollments, "application/json"},
		"register": {"PUT", ends.Data + "/0ne00000000/registrations/a/register?api-version=2021-06-01",
			"localhost", "", "application/json"},
		"hub: device": {"PUT", ends.Data + "/devices/a" + apiVersion, hubHost, owner, "application/json"},
		"hub: bulk":   {"POST", ends.Data + "/devices" + apiVersion, hubHost, owner, "application/json"},
		"hub: query":  {"POST", ends.Data + "/devices/query" + apiVersion, hubHost, owner, "application/json"},
		"hub: twin": {"PATCH", ends.Data + "/twins/device-1" + apiVersion, hubHost, owner,
			"application/json"},
		"hub: method": {"POST", ends.Data + "/twins/device-1/methods" + apiVersion, hubHost, owner,
			"application/json"},
		"hub: telemetry": {"POST", ends.Data + "/devices/device-1/messages/events" + apiVersion, hubHost, device,
			""},
		"unknown host":     {"POST", ends.Data + "/x", "example.org", "", ""},
		"control: message": {"POST", ends.Control + "/messages", "", "Bearer " + ends.ControlToken, ""},
		"control: hold":    {"POST", ends.Control + "/holds", "", "Bearer " + ends.ControlToken, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := &endless{}
			r, err := http.NewRequestWithContext(await.Context(t), call.method, call.url, body)
			check(t, err)
			if call.host != "" {
				r.Host = call.host
			}
			r.Header.Set("Authorization", call.authorization)
			r.Header.Set("Content-Type", call.contentType)
			response, err := w.http.Do(r)
			if err == nil {
				defer response.Body.Close()
				if response.StatusCode < http.StatusBadRequest {
					t.Errorf("got status %d, want a refusal", response.StatusCode)
				}
			}
			body.mu.Lock()
			defer body.mu.Unlock()
			if body.read > 32<<20 { // the limit of 4 MiB, and what buffers and windows on the way take
				t.Errorf("%d bytes were taken", body.read)
			}
		})
	}
}

// lockedBuffer is a log that many goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestLogsHoldNoSecret(t *testing.T) {
	t.Parallel()
	var written lockedBuffer
	w := plain(t, emulator.RunT(t, emulator.Options{Logger: slog.New(slog.NewTextHandler(&written,
		&slog.HandlerOptions{Level: slog.LevelDebug}))}))
	owner := withHub(t, w, "")
	signature := strings.SplitN(strings.SplitN(owner, "sig=", 2)[1], "&", 2)[0]
	status, _ := w.on(hubHost, "GET", "/devices/device-1"+apiVersion+"&sig="+signature+"&authorization="+
		strings.ReplaceAll(owner, "&", "%26"), "", owner)
	if status != http.StatusOK {
		t.Fatalf("got status %d", status)
	}
	_, _ = w.on(hubHost, "PUT", "/devices/device-2"+apiVersion+"&primaryKey="+knownKey,
		`{"authentication":{"symmetricKey":{"primaryKey":"`+knownKey+`","secondaryKey":"`+knownKey+`"}}}`, owner)
	_, _ = w.on(hubHost, "GET", "/devices"+apiVersion, "", owner[:len(owner)-1]+"x")
	status, requests := w.control("GET", "/requests", "")
	if status != http.StatusOK || !strings.Contains(requests, "/devices/device-2") {
		t.Fatalf("got %d %s, want the requests", status, requests)
	}
	for name, text := range map[string]string{"the request log": requests, "the debug log": written.String()} {
		t.Run(name, func(t *testing.T) {
			for what, secret := range map[string]string{
				"signature": signature, "key": knownKey, "access token": w.token,
				"client secret": w.e.Endpoints().ClientSecret, "owner's token": owner,
				"control port's token": w.e.Endpoints().ControlToken,
			} {
				t.Run(what, func(t *testing.T) {
					if strings.Contains(text, secret) {
						t.Errorf("%s holds the %s", name, what)
					}
				})
			}
		})
	}
	if text := written.String(); !strings.Contains(text, "device-2") {
		t.Error(fmt.Sprint("the debug log holds no requests: ", len(text), " bytes"))
	}
}
