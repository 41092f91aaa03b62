package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/internal/await"
)

func TestClientCertificatesReachTheFront(t *testing.T) {
	t.Parallel()
	f := &front{events: make(chan string, 16)}
	b, err := broker.New(broker.Options{Fronts: []broker.Front{f}})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, device := pair(t, "server"), pair(t, "device")
	go func() {
		_ = b.Serve(tls.NewListener(inner, &tls.Config{Certificates: []tls.Certificate{server},
			ClientAuth: tls.RequestClientCert}))
	}()
	t.Cleanup(func() { _ = b.Close() })
	roots := x509.NewCertPool()
	roots.AddCert(server.Leaf)
	for _, certificates := range [][]tls.Certificate{{device}, nil} {
		t.Run(fmt.Sprintf("%d certificates", len(certificates)), func(t *testing.T) {
			conn, err := tls.Dial("tcp", inner.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "server",
				Certificates: certificates})
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(await.Limit))
			c := client{conn, t}
			c.send(hello("ours/a"))
			if ack := c.read().(*packets.ConnackPacket); ack.ReturnCode != packets.Accepted {
				t.Fatalf("got %v", ack)
			}
			_ = conn.Close()
			f.mu.Lock()
			got := f.connects[len(f.connects)-1].Certificates
			f.mu.Unlock()
			if len(got) != len(certificates) || len(got) > 0 && got[0].Subject.CommonName != "device" {
				t.Errorf("got %d certificates, want %d", len(got), len(certificates))
			}
		})
	}
}

// pair is a self-signed certificate with its key.
func pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
