package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/dpsdevice"
)

// telemetry is a message of a usual size that a device publishes.
var telemetry = bytes.Repeat([]byte("0123456789abcdef"), 16)

// Visits is the number of times per second that devices connect to a broker over TLS, subscribe, publish with QoS 1 and
// disconnect; medians.
type Visits struct {
	Emulator  float64 `json:"emulator"`
	Mosquitto float64 `json:"mosquitto"`
	// Percent of mosquitto's rate that a hub of the emulator reaches, the median of the rounds'.
	Percent     float64 `json:"percent"`
	KeyExchange string  `json:"keyExchange"`
	Version     string  `json:"version"`
}

// measureVisits compares a hub of the emulator with mosquitto if that is installed. Mosquitto accepts every client and
// stores nothing; the hub verifies each token and stores the messages for readers of telemetry.
func measureVisits(ctx context.Context, o options, s *stacks, report *Report) error {
	path, err := mosquittoPath()
	if err != nil {
		say("no comparison with mosquitto, which is not installed (Debian's package mosquitto)")
		return nil
	}
	f, _, err := openFleet(ctx, s)
	if err != nil {
		return err
	}
	defer f.service.Close()
	f.curves = []tls.CurveID{tls.X25519} // the OpenSSL of a mosquitto may know no newer one
	broker, err := startMosquitto(ctx, path, s.folder)
	if err != nil {
		return err
	}
	defer broker.stop()
	// Concurrent visits use separate devices, because a hub keeps only one connection of a device.
	guests, err := f.settle(o.parallel, o.parallel)
	if err != nil {
		return err
	}
	v := Visits{Version: broker.version}
	if v.KeyExchange, err = f.keyExchange(ctx, f.mqtt, broker.address); err != nil {
		return err
	}
	var ours, theirs, percent []float64
	for round := range o.rounds + 1 {
		say("visits, round %d of %d (0 does not count)", round, o.rounds)
		emulator, err := f.visits(ctx, o, guests, f.connect)
		if err != nil {
			return fmt.Errorf("measure visits of a hub: %w", err)
		}
		mosquitto, err := f.visits(ctx, o, guests, func(d settled) (*session, error) { return broker.connect(f, d) })
		if err != nil {
			return fmt.Errorf("measure visits of mosquitto: %w", err)
		}
		if round > 0 {
			ours, theirs, percent = append(ours, emulator), append(theirs, mosquitto),
				append(percent, 100*emulator/mosquitto)
		}
	}
	v.Emulator, v.Mosquitto, v.Percent = median(ours), median(theirs), median(percent)
	report.Visits = &v
	return nil
}

// visits counts the visits within a span.
func (f *fleet) visits(ctx context.Context, o options, guests []settled,
	connect func(settled) (*session, error)) (float64, error) {
	free := make(chan settled, len(guests))
	for _, d := range guests {
		free <- d
	}
	g := &gauge{options: o}
	return g.perSecond(ctx, func(context.Context) error {
		d := <-free
		defer func() { free <- d }()
		s, err := connect(d)
		if err != nil {
			return err
		}
		defer s.conn.Close()
		if err := s.subscribe("devices/" + d.id + "/messages/devicebound/#"); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		if err := s.publish("devices/"+d.id+"/messages/events/", telemetry); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		return s.disconnect()
	})
}

// mosquitto is a running broker.
type mosquitto struct {
	address, version string
	stop             func()
}

// mosquittoPath finds the broker, which Debian installs in a folder that is not on an ordinary user's PATH.
func mosquittoPath() (string, error) {
	if path, err := exec.LookPath("mosquitto"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/mosquitto")
}

// startMosquitto starts a broker with a certificate of the emulator's CA, like the emulator's own certificates.
func startMosquitto(ctx context.Context, path, folder string) (*mosquitto, error) {
	dir := filepath.Join(folder, ".evenkeel", "bench", "mosquitto")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := writeServerCertificate(filepath.Join(folder, ".evenkeel", "emulator"), dir); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := strings.Join([]string{
		fmt.Sprintf("listener %d 127.0.0.1", port), "allow_anonymous true", "persistence false", "log_type error",
		"user root",
		"certfile " + filepath.Join(dir, "cert.pem"), "keyfile " + filepath.Join(dir, "key.pem"), "",
	}, "\n")
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "-c", file)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start mosquitto: %w", err)
	}
	m := &mosquitto{address: fmt.Sprintf("127.0.0.1:%d", port), version: mosquittoVersion(ctx, path)}
	m.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if err := awaitListener(ctx, m.address); err != nil {
		m.stop()
		return nil, fmt.Errorf("start mosquitto: %w", err)
	}
	return m, nil
}

func (m *mosquitto) connect(f *fleet, d settled) (*session, error) {
	conn, err := f.open(m.address, dpsdevice.GlobalHost, nil)
	if err != nil {
		return nil, err
	}
	return greet(conn, d.id, func() (string, string, error) { return "", "", nil })
}

// mosquittoVersion returns the first line of mosquitto's help, the only output that contains the version.
func mosquittoVersion(ctx context.Context, path string) string {
	out, _ := exec.CommandContext(ctx, path, "-h").Output() // it ends with status 3
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// awaitListener waits until an address accepts connections.
func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-ticker.C:
		}
	}
}
