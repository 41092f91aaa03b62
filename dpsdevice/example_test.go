package dpsdevice_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"strings"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/emulator"
)

// A device registers, connects to the hub that it is assigned to, and sends telemetry. On Azure, the options have no
// Network.
func ExampleRegister() {
	ctx := context.Background()
	scope, key, network, done := enrolled(ctx, "press-1")
	defer done()

	credential := dpsdevice.SymmetricKey(key)
	registration, err := dpsdevice.Register(ctx, dpsdevice.Options{
		IDScope: scope, RegistrationID: "press-1", Credential: credential, Network: network,
	})
	if err != nil {
		log.Fatal(err)
	}
	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: credential, Network: network,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	if err := hub.Send(ctx, []byte(`{"temperature":21}`), nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("sent to", registration.Hub)
	// Output: sent to only-hub.azure-devices.net
}

// A device asks the service for a certificate, and connects with it. Its enrollment names a certificate policy.
func ExampleNewCSR() {
	ctx := context.Background()
	scope, key, network, done := enrolled(ctx, "press-2")
	defer done()

	csr, private, err := dpsdevice.NewCSR("press-2")
	if err != nil {
		log.Fatal(err)
	}
	registration, err := dpsdevice.Register(ctx, dpsdevice.Options{
		IDScope: scope, RegistrationID: "press-2", Credential: dpsdevice.SymmetricKey(key), CSR: csr, Network: network,
	})
	if err != nil {
		log.Fatal(err)
	}
	certificate, err := registration.Certificate(private)
	if err != nil {
		log.Fatal(err)
	}
	hub, err := dpsdevice.Connect(ctx, dpsdevice.HubOptions{
		Host: registration.Hub, DeviceID: registration.DeviceID, Credential: dpsdevice.X509(certificate),
		Network: network,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	fmt.Println("connected as", certificate.Leaf.Subject)
	// Output: connected as CN=press-2
}

// enrolled starts an emulator with one hub and an individual enrollment that names a certificate policy. It returns the
// ID scope, the device's key, the emulator's addresses for devices, and a function that stops it.
func enrolled(ctx context.Context, id string) (string, string, dpsdevice.Network, func()) {
	e, err := emulator.New(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(); err != nil {
		log.Fatal(err)
	}
	deployed, err := e.Deploy(ctx, emulator.Deployment{Hubs: []string{"only-hub"}})
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
	access, err := dpsservice.ParseConnectionString(deployed.Service)
	if err != nil {
		log.Fatal(err)
	}
	service, err := dpsservice.New(dpsservice.Options{Host: access.Host, PolicyName: access.PolicyName,
		Key: access.Key, Endpoint: e.Endpoints().Data, Roots: roots})
	if err != nil {
		log.Fatal(err)
	}
	namespace, issuer, policy := "ns-1", "issuing", "thirty-days"
	enrollment, err := service.Individuals().Put(ctx, id, dpsservice.Enrollment{
		ID: id, Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation},
		NamespaceName: &namespace, CertificateAuthorityName: &issuer, CertificatePolicyName: &policy,
	}, "")
	if err != nil {
		log.Fatal(err)
	}
	network := dpsdevice.Network{
		Address: dpsdevice.Loopback(strings.TrimPrefix(e.Endpoints().Data, "https://"), e.Endpoints().MQTT),
		TLS:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
	return deployed.IDScope, enrollment.Attestation.SymmetricKey.PrimaryKey, network, func() {
		service.Close()
		if err := e.Close(); err != nil {
			log.Fatal(err)
		}
	}
}
