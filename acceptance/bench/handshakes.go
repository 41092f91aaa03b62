package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"evenkeel/dpsdevice"
)

// serveTLS is the first argument of this program as the other end of bare handshakes; the emulator's data folder follows.
const serveTLS = "serve-tls"

// patience is how long a connection may take.
const patience = 30 * time.Second

// serveHandshakes completes TLS handshakes and closes each connection, with the emulator's CA and settings, until standard input ends.
// Its address goes to standard output.
func serveHandshakes(data string) error {
	leaf, err := issue(data)
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequestClientCert,
	})
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = listener.Close()
	}()
	fmt.Println(listener.Addr())
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			_ = conn.SetDeadline(time.Now().Add(patience))
			_ = conn.(*tls.Conn).Handshake() // the client reports what goes wrong
			_ = conn.Close()
		}()
	}
}

// issue makes a certificate as the emulator does: ECDSA P-256, sent with the root that signed it.
func issue(data string) (tls.Certificate, error) {
	root, err := tls.LoadX509KeyPair(filepath.Join(data, "ca.pem"), filepath.Join(data, "ca-key.pem"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the emulator's CA: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{dpsdevice.GlobalHost},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root.Leaf, key.Public(), root.PrivateKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der, root.Certificate[0]}, PrivateKey: key}, nil
}

// writeServerCertificate writes what issue makes into a folder, as cert.pem and key.pem.
func writeServerCertificate(data, dir string) error {
	pair, err := issue(data)
	if err != nil {
		return err
	}
	var chain []byte
	for _, der := range pair.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cert.pem"), chain, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
}

// bareTLS is a server of bare handshakes in a process of its own, as the emulator is one.
type bareTLS struct {
	address string
	stop    func()
}

func startBareTLS(ctx context.Context, data string) (*bareTLS, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, serveTLS, data)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server of bare handshakes: %w", err)
	}
	stop := func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		stop()
		return nil, fmt.Errorf("start the server of bare handshakes: %w", err)
	}
	return &bareTLS{address, stop}, nil
}

// handshake connects, completes the handshake on both sides, and waits for the end of the connection.
func handshake(ctx context.Context, address string, config *tls.Config) error {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("wait for the end of the connection: %w", err)
	}
	return nil
}

// keyExchange names what a server and a client agree on.
func keyExchange(ctx context.Context, address string, config *tls.Config) (string, error) {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().CurveID.String(), nil
}

func dial(ctx context.Context, address string, config *tls.Config) (*tls.Conn, error) {
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := conn.(*tls.Conn)
	return secure, secure.SetDeadline(time.Now().Add(patience))
}
