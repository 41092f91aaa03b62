package emulator_test

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

// A device registers through the emulator: with a service, an enrollment, and a device program as it runs on Azure.
func ExampleEmulator_Deploy() {
	ctx := context.Background()
	e, err := emulator.New(emulator.Options{}) // in a test: e := emulator.RunT(t)
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
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
	defer service.Close()
	enrollment, err := service.Individuals().Put(ctx, "press-1", dpsservice.Enrollment{ID: "press-1",
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}}, "")
	if err != nil {
		log.Fatal(err)
	}

	registration, err := dpsdevice.Register(ctx, dpsdevice.Options{
		IDScope: deployed.IDScope, RegistrationID: "press-1",
		Credential: dpsdevice.SymmetricKey(enrollment.Attestation.SymmetricKey.PrimaryKey),
		Network: dpsdevice.Network{
			Address: dpsdevice.Loopback(strings.TrimPrefix(e.Endpoints().Data, "https://"), e.Endpoints().MQTT),
			TLS:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(registration.DeviceID, "is assigned to", registration.Hub)
	// Output: press-1 is assigned to only-hub.azure-devices.net
}
