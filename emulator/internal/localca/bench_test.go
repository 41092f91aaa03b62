package localca_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"evenkeel/emulator/internal/localca"
)

// BenchmarkHandshake is a TLS handshake over a pipe with a client that accepts either certificate, and with one that
// offers only ECDSA.
func BenchmarkHandshake(b *testing.B) {
	a, err := localca.New(time.Now)
	if err != nil {
		b.Fatal(err)
	}
	server := &tls.Config{GetCertificate: a.Certificate, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	for name, suites := range map[string][]uint16{"RSA": nil, "ECDSA": {tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}} {
		client := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS12,
			MaxVersion: tls.VersionTLS12, CipherSuites: suites}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				near, far := net.Pipe()
				done := make(chan error, 1)
				go func() { done <- tls.Server(far, server).Handshake() }()
				if err := tls.Client(near, client).Handshake(); err != nil {
					b.Fatal(err)
				}
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				_ = near.Close()
				_ = far.Close()
			}
		})
	}
}
