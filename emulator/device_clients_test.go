package emulator_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// What devices in C need: names of headers in Azure's own letter case, and server certificates for a TLS that was cut
// down.

// raw sends a request over HTTP/1.1 and returns the answer as it is on the wire, up to its body.
func (w *wire) raw(method, host, path, authorization string) string {
	w.t.Helper()
	address, err := url.Parse(w.e.Endpoints().Data)
	check(w.t, err)
	conn, err := (&tls.Dialer{Config: trusting(w.e, host)}).DialContext(await.Context(w.t), "tcp", address.Host)
	check(w.t, err)
	defer conn.Close()
	check(w.t, conn.SetDeadline(time.Now().Add(await.Limit)))
	_, err = fmt.Fprintf(conn,
		"%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		method, path, host, authorization)
	check(w.t, err)
	text, err := io.ReadAll(bufio.NewReader(conn))
	check(w.t, err)
	head, _, found := strings.Cut(string(text), "\r\n\r\n")
	if !found {
		w.t.Fatalf("%s %s: got %q, want an answer", method, path, text)
	}
	return head + "\r\n"
}

// trusting is the TLS configuration of a client of that host.
func trusting(e *emulator.Emulator, host string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
	return &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
}

func TestHeadersAreSpelledAsOnAzure(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	owner := withHub(t, w, "")
	device := token(t, hubHost+"/devices/device-1", "", knownKey)
	status, body := w.control("POST", "/messages", `{"hub":"`+hubHost+
		`","device":"device-1","body":"x","messageId":"m","correlationId":"c",
		"userId":"u","contentType":"text/plain","contentEncoding":"utf-8","ack":"full","properties":{"myProp":"v","MYPROP":"w","a-B_c":"1"}}`)
	if status != http.StatusCreated {
		t.Fatalf("send: got %d %s", status, body)
	}
	taken := w.raw("GET", hubHost, "/devices/device-1/messages/devicebound"+apiVersion, device)
	lock := between(t, taken, "\r\nETag: \"", "\"\r\n")
	for _, header := range []string{
		"iothub-app-myProp: v", "iothub-app-MYPROP: w", "iothub-app-a-B_c: 1", "iothub-messageid: m",
		"iothub-correlationid: c",
		"iothub-userid: u", "iothub-contenttype: text/plain", "iothub-contentencoding: utf-8", "iothub-ack: full",
		"iothub-to: /devices/device-1/messages/devicebound", "iothub-deliverycount: 0", "iothub-sequencenumber: 1",
		"iothub-enqueuedtime: ",
		"x-ms-request-id: ", "Content-Type: ", "Content-Length: 1",
	} {
		if !strings.Contains(taken, "\r\n"+header) {
			t.Errorf("a message: got\n%s\nwant %s", taken, header)
		}
	}
	if done := w.raw("DELETE", hubHost, "/devices/device-1/messages/devicebound/"+lock+apiVersion,
		device); !strings.HasPrefix(done, "HTTP/1.1 204 ") {
		t.Errorf("complete: got\n%s", done)
	}
	for name, tc := range map[string]struct {
		method, path, want string
	}{
		"feedback":                {"GET", "/messages/servicebound/feedback" + apiVersion, "\r\nETag: \""},
		"a device":                {"GET", "/devices/device-1" + apiVersion, "\r\nETag: \""},
		"an error of the service": {"GET", "/devices/none" + apiVersion, "\r\niothub-errorcode: DeviceNotFound\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := w.raw(tc.method, hubHost, tc.path, owner); !strings.Contains(got, tc.want) {
				t.Errorf("%s: got\n%s\nwant %q", name, got, tc.want)
			}
		})
	}
}

// between returns what is between two texts.
func between(t *testing.T, text, before, after string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, before)
	within, _, ended := strings.Cut(rest, after)
	if !found || !ended {
		t.Fatalf("got %q, want something between %q and %q", text, before, after)
	}
	return within
}

// TestServerCertificatesFitTheCipherSuitesOfDevices: a device whose TLS knows RSA only finds nothing but RSA in the
// chain, and one that knows ECDSA only has a certificate too.
func TestServerCertificatesFitTheCipherSuitesOfDevices(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	arm, err := url.Parse(e.Endpoints().ARM)
	check(t, err)
	data, err := url.Parse(e.Endpoints().Data)
	check(t, err)
	for name, tc := range map[string]struct {
		suites []uint16
		newest uint16
		want   x509.PublicKeyAlgorithm
	}{
		"any":        {nil, tls.VersionTLS13, x509.RSA},
		"TLS 1.2":    {nil, tls.VersionTLS12, x509.RSA},
		"RSA only":   {[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}, tls.VersionTLS12, x509.RSA},
		"ECDSA only": {[]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, tls.VersionTLS12, x509.ECDSA},
	} {
		t.Run(name, func(t *testing.T) {
			for place, address := range map[string]string{"ARM": arm.Host, "HTTPS": data.Host,
				"MQTT": e.Endpoints().MQTT} {
				t.Run(place, func(t *testing.T) {
					config := trusting(e, hubHost)
					config.CipherSuites, config.MaxVersion = tc.suites, tc.newest
					if place == "ARM" {
						config.ServerName = "localhost"
					}
					conn, err := (&tls.Dialer{Config: config}).DialContext(await.Context(t), "tcp", address)
					if err != nil {
						t.Errorf("%s over %s: %v", name, place, err)
						return
					}
					chain := conn.(*tls.Conn).ConnectionState().PeerCertificates
					if got := chain[0].PublicKeyAlgorithm; got != tc.want {
						t.Errorf("%s over %s: got a certificate with %v, want %v", name, place, got, tc.want)
					}
					for _, c := range chain {
						if c.SignatureAlgorithm != x509.SHA256WithRSA {
							t.Errorf("%s over %s: %s is signed with %v, want SHA256-RSA", name, place, c.Subject,
								c.SignatureAlgorithm)
						}
					}
					check(t, conn.Close())
				})
			}
		})
	}
}

// TestVersionsOfTLS holds the row of docs/reference/fidelity.md.
func TestVersionsOfTLS(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	data, err := url.Parse(e.Endpoints().Data)
	check(t, err)
	for version, served := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false,
		tls.VersionTLS12: true, tls.VersionTLS13: true} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			for _, address := range []string{data.Host, e.Endpoints().MQTT} {
				config := trusting(e, hubHost)
				config.MinVersion, config.MaxVersion = version, version
				dialer := &tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
				conn, err := dialer.DialContext(await.Context(t), "tcp", address)
				if (err == nil) != served {
					t.Errorf("%s: got %v, want that it is served: %v", address, err, served)
				}
				if err == nil {
					check(t, conn.Close())
				}
			}
		})
	}
}
