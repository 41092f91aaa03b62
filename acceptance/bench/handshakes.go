package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"evenkeel/dpsdevice"
)

// patience is the time limit of a connection.
const patience = 30 * time.Second

// issue creates a server certificate like the emulator's: RSA with 2048 bits, sent with the root that signed it.
func issue(data string) (tls.Certificate, error) {
	root, err := tls.LoadX509KeyPair(filepath.Join(data, "ca.pem"), filepath.Join(data, "ca-key.pem"))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the emulator's CA: %w", err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
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

// writeServerCertificate writes a certificate from issue to a folder, as cert.pem and key.pem.
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
	return os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		0o600)
}

// bareServer is a process that does only the minimum of a service for devices: BenchmarkBareServer in the package of
// the emulator's store.
type bareServer struct {
	// The server completes handshakes at the address handshakes, and at commits it also stores the rows of a
	// registration.
	handshakes, commits string
	stop                func()
}

// startBareServer starts the server with certificates like the emulator's. It accepts devices with a certificate that
// the authority signed.
func startBareServer(ctx context.Context, p storeProbe, data string, devices authority) (*bareServer, error) {
	dir, err := os.MkdirTemp(p.temporary, "bare-")
	if err != nil {
		return nil, err
	}
	if err := writeServerCertificate(data, dir); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "devices.pem"), devices.PEM(), 0o600); err != nil {
		return nil, err
	}
	cmd := p.command(ctx, "BenchmarkBareServer", "1x")
	// as the emulator
	cmd.Env = append(cmd.Env, "EVENKEEL_BARE_SERVER="+dir, "GOGC=400", fmt.Sprintf("GOMAXPROCS=%d", runtime.NumCPU()+1))
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
		return nil, fmt.Errorf("start the bare server: %w", err)
	}
	server := &bareServer{stop: func() {
		_ = in.Close()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	}}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "bare %s %s", &server.handshakes, &server.commits); n == 2 {
			return server, nil
		}
	}
	server.stop()
	return nil, errors.New("start the bare server: it named no addresses")
}

// handshake connects, completes the handshake on both sides, and waits for the end of the connection.
func handshake(ctx context.Context, address string, config *tls.Config) error {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	said, err := io.ReadAll(conn)
	if err == nil && len(said) > 0 {
		err = errors.New(string(said))
	}
	if err != nil {
		return fmt.Errorf("wait for the end of the connection: %w", err)
	}
	return nil
}

// keyExchange returns the key exchange that a server and a client negotiate.
func keyExchange(ctx context.Context, address string, config *tls.Config) (string, error) {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().CurveID.String(), nil
}

func dial(ctx context.Context, address string, config *tls.Config) (*tls.Conn, error) {
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: config}).DialContext(ctx, "tcp",
		address)
	if err != nil {
		return nil, err
	}
	secure := conn.(*tls.Conn)
	return secure, secure.SetDeadline(time.Now().Add(patience))
}
