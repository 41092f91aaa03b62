package dpsservice_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log"

	"evenkeel/dpsservice"
	"evenkeel/emulator"
)

// open returns a client of a provisioning service on an emulator, and a function that closes both. On Azure, Options
// has neither an Endpoint nor Roots.
func open(ctx context.Context) (*dpsservice.Client, func()) {
	e, err := emulator.New(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := e.Start(); err != nil {
		log.Fatal(err)
	}
	deployed, err := e.Deploy(ctx, emulator.Deployment{})
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
	return service, func() {
		service.Close()
		if err := e.Close(); err != nil {
			log.Fatal(err)
		}
	}
}

// A change with the etag of the version that was read: it fails if another client has changed the enrollment since.
func ExampleCollection_Put() {
	ctx := context.Background()
	service, done := open(ctx)
	defer done()
	presses := service.Individuals()
	created, err := presses.Put(ctx, "press-1", dpsservice.Enrollment{ID: "press-1",
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}}, "")
	if err != nil {
		log.Fatal(err)
	}
	disabled := "disabled"
	changed := created
	changed.ProvisioningStatus = &disabled
	if _, err := presses.Put(ctx, "press-1", changed, created.Etag); err != nil {
		log.Fatal(err)
	}
	_, err = presses.Put(ctx, "press-1", created, created.Etag)
	fmt.Println("the etag is outdated:", errors.Is(err, dpsservice.ErrPrecondition))
	// Output: the etag is outdated: true
}

// Many enrollments are created by bulk operations and listed page by page.
func ExampleCollection_Bulk() {
	ctx := context.Background()
	service, done := open(ctx)
	defer done()
	var entries []dpsservice.Enrollment
	for i := range dpsservice.BulkSize {
		entries = append(entries, dpsservice.Enrollment{ID: fmt.Sprintf("press-%d", i),
			Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}})
	}
	result, err := service.Individuals().Bulk(ctx, dpsservice.BulkCreate, entries)
	if err != nil {
		log.Fatal(err)
	}
	for _, failure := range result.Failures {
		fmt.Println(failure.ID, failure.Code, failure.Message)
	}
	count := 0
	for _, err := range service.Individuals().Query(ctx, "SELECT *", 3) {
		if err != nil {
			log.Fatal(err)
		}
		count++
	}
	fmt.Println(count, "enrollments")
	// Output: 10 enrollments
}

// A group's registrations, and the record of a device that has not registered yet.
func ExampleClient_Registrations() {
	ctx := context.Background()
	service, done := open(ctx)
	defer done()
	if _, err := service.Groups().Put(ctx, "presses", dpsservice.Enrollment{ID: "presses",
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}}, ""); err != nil {
		log.Fatal(err)
	}
	for registration, err := range service.Registrations(ctx, "presses", 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(registration.RegistrationID, registration.AssignedHub)
	}
	_, err := service.Registration(ctx, "press-1")
	fmt.Println("press-1 has registered:", !errors.Is(err, dpsservice.ErrNotFound))
	// Output: press-1 has registered: false
}
