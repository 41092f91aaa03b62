package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"

	"evenkeel/acceptance/checkout"
	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/keel/environment"
)

// fleet holds what devices of the local stack need in order to register.
type fleet struct {
	scope, groupKey string
	roots           *x509.CertPool
	data, mqtt      string // addresses of the emulator
	service         *dpsservice.Client
	// access and connectionString belong to the service's policy.
	access           dpsservice.Access
	connectionString string
	authority        authority
	// curves are the key exchanges that clients offer; nil means Go's default.
	curves []tls.CurveID
	seen   atomic.Int64
}

// openFleet reads the outputs of the stack and the addresses of its emulator.
func openFleet(ctx context.Context, s *stacks) (*fleet, checkout.Status, error) {
	status, err := checkout.EmulatorStatus(s.folder)
	if err != nil {
		return nil, status, err
	}
	data, err := url.Parse(status.Endpoints.Data)
	if err != nil {
		return nil, status, err
	}
	roots, err := status.Endpoints.Roots()
	if err != nil {
		return nil, status, err
	}
	f := &fleet{roots: roots, data: data.Host, mqtt: status.Endpoints.MQTT}
	return f, status, f.readOutputs(ctx, s, status.Endpoints.Data)
}

// certify gives the fleet a certificate authority and creates the enrollment group for its devices.
func (f *fleet) certify(ctx context.Context, folder string, e environment.Endpoints) (err error) {
	if f.authority, err = newAuthority(folder); err != nil {
		return err
	}
	if err := f.authority.verify(ctx, f.access.Host, e); err != nil {
		return err
	}
	return f.authority.enroll(ctx, f.service)
}

func (f *fleet) readOutputs(ctx context.Context, s *stacks, endpoint string) error {
	text, _, err := s.local.output(ctx, "stack", "output", "--json", "--show-secrets")
	if err != nil {
		return err
	}
	var outputs struct{ IDScope, EnrollmentGroupKey, ServiceConnectionString string }
	if err := json.Unmarshal(text, &outputs); err != nil {
		return errors.New("read the stack's outputs: not the JSON that was expected") // the text holds keys
	}
	f.scope, f.groupKey, f.connectionString = outputs.IDScope, outputs.EnrollmentGroupKey,
		outputs.ServiceConnectionString
	if f.access, err = dpsservice.ParseConnectionString(f.connectionString); err != nil {
		return err
	}
	f.service, err = dpsservice.New(dpsservice.Options{Host: f.access.Host, PolicyName: f.access.PolicyName,
		Key: f.access.Key, Endpoint: endpoint, Roots: f.roots})
	return err
}

// way is one way to register.
type way struct {
	name      string
	transport dpsdevice.Transport
	certified bool
}

var ways = []way{
	{"HTTPS, SAS", dpsdevice.HTTPS, false},
	{"MQTT, SAS", dpsdevice.MQTT, false},
	{"MQTT, X.509", dpsdevice.MQTT, true},
}

// newDevice returns a device with an unused registration id.
func (f *fleet) newDevice(w way) (d device, err error) {
	d.id = fmt.Sprintf("bench-device-%d", f.seen.Add(1))
	if w.certified {
		d.certificate, err = f.authority.leaf(d.id)
	} else {
		d.key, err = sas.DeriveDeviceKey(f.groupKey, d.id)
	}
	return d, err
}

// register registers a device over its own connection, waits until it is assigned to a hub, and returns the hub's host
// name.
func (f *fleet) register(w way, d device) (hub string, err error) {
	if w.transport == dpsdevice.MQTT {
		return f.registerOverMQTT(d)
	}
	return f.registerOverHTTPS(d)
}

// tls returns the TLS settings of both devices and bare handshakes.
func (f *fleet) tls(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: f.roots, ServerName: dpsdevice.GlobalHost,
		CurvePreferences: f.curves}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return config
}

// keyExchange returns the key exchange that devices and the emulator negotiate at an address, and checks that the
// compared server negotiates the same.
func (f *fleet) keyExchange(ctx context.Context, emulator, other string) (string, error) {
	ours, err := keyExchange(ctx, emulator, f.tls(nil))
	if err != nil {
		return "", err
	}
	theirs, err := keyExchange(ctx, other, f.tls(nil))
	if err == nil && ours != theirs {
		err = fmt.Errorf("the emulator negotiates the key exchange %s, but the compared server %s", ours, theirs)
	}
	return ours, err
}

// address returns the address of a way to register.
func (f *fleet) address(w way) string {
	if w.transport == dpsdevice.MQTT {
		return f.mqtt
	}
	return f.data
}
