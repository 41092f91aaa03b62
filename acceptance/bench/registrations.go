package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"

	"evenkeel/acceptance/checkout"
	"evenkeel/dpsdevice"
	"evenkeel/internal/sas"
)

// fleet is what devices of the local stack's enrollment group need.
type fleet struct {
	scope, groupKey string
	roots           *x509.CertPool
	data, mqtt      string // addresses of the emulator
	seen            atomic.Int64
}

func openFleet(ctx context.Context, s *stacks) (*fleet, error) {
	status, err := checkout.EmulatorStatus(s.folder)
	if err != nil {
		return nil, err
	}
	text, _, err := s.local.output(ctx, "stack", "output", "--json", "--show-secrets")
	if err != nil {
		return nil, err
	}
	var outputs struct{ IDScope, EnrollmentGroupKey string }
	if err := json.Unmarshal(text, &outputs); err != nil {
		return nil, errors.New("read the stack's outputs: not the JSON that was expected") // the text holds keys
	}
	data, err := url.Parse(status.Endpoints.Data)
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(status.Endpoints.CAFile)
	if err != nil {
		return nil, err
	}
	f := &fleet{scope: outputs.IDScope, groupKey: outputs.EnrollmentGroupKey, roots: x509.NewCertPool(), data: data.Host, mqtt: status.Endpoints.MQTT}
	if !f.roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("the emulator's CA file holds no certificate")
	}
	return f, nil
}

// register lets a device that was never seen before register on a connection of its own, and wait until it is assigned.
func (f *fleet) register(transport dpsdevice.Transport) error {
	id := fmt.Sprintf("bench-device-%d", f.seen.Add(1))
	key, err := sas.DeriveDeviceKey(f.groupKey, id)
	if err != nil {
		return err
	}
	if transport == dpsdevice.MQTT {
		return f.registerOverMQTT(id, key)
	}
	return f.registerOverHTTPS(id, key)
}

// tls is how both devices and bare handshakes go about it.
func (f *fleet) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.roots, ServerName: dpsdevice.GlobalHost}
}

// keyExchange names what devices and the emulator agree on, and makes sure that the bare handshakes do the same.
func (f *fleet) keyExchange(ctx context.Context, transport dpsdevice.Transport, bare string) (string, error) {
	address := f.mqtt
	if transport == dpsdevice.HTTPS {
		address = f.data
	}
	ours, err := keyExchange(ctx, address, f.tls())
	if err != nil {
		return "", err
	}
	theirs, err := keyExchange(ctx, bare, f.tls())
	if err == nil && ours != theirs {
		err = fmt.Errorf("the emulator agrees on key exchange %s, the bare handshakes on %s", ours, theirs)
	}
	return ours, err
}
