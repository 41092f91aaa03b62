package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/keel/environment"
)

// maxListed is how many declared devices are listed; the others are only counted. JSON has all.
const maxListed = 20

// The results of registering a declared device.
const (
	resultNew     = "new"
	resultKept    = "kept"
	resultMoved   = "moved"
	resultFailed  = "failed"
	resultSkipped = "skipped"
)

// declaredDevice is a device for which the stack declares an individual enrollment, with the result of registering it.
type declaredDevice struct {
	Device string `json:"device"`
	// Result is one of the results above.
	Result string `json:"result"`
	// Hub is the hub's name in the stack, or the host name of a hub that the stack does not have.
	Hub string `json:"hub,omitempty"`
	// Reason says why a device was skipped or failed.
	Reason string `json:"reason,omitempty"`
}

// declaredSet is a set of enrollments, whose devices are not registered.
type declaredSet struct {
	Set     string `json:"set"`
	Devices int    `json:"devices"`
	Reason  string `json:"reason"`
}

// Why devices are skipped.
const (
	skippedWithoutKey  = "the stack has no key of the provisioning service, and your account may not read it"
	skippedDisabled    = "its enrollment is disabled"
	skippedCertificate = "its enrollment names a certificate whose private key keel does not have"
	skippedTPM         = "its enrollment names a TPM, which only the device has"
	skippedSet         = "devices of a manifest are not registered here: keel env --device ID prints what one of " +
		"them needs"
)

// provisionDeclared registers the devices that the stack declares, if keel can authenticate as them.
func (f *fleet) provisionDeclared(ctx context.Context, e *environment.Environment, parallel int) error {
	enrollments, err := e.Enrollments(ctx)
	if err != nil {
		return err
	}
	for _, set := range enrollments.Sets {
		f.sets = append(f.sets, declaredSet{set.Name, set.Devices, skippedSet})
	}
	f.declared = make([]declaredDevice, len(enrollments.IDs))
	if len(f.declared) == 0 {
		return nil
	}
	client, err := f.reader(ctx, e.Endpoints, enrollments.IDs[0])
	if err != nil {
		return fmt.Errorf("read individual enrollments: %w", err)
	}
	if client != nil {
		defer client.Close()
	}
	var workers errgroup.Group
	workers.SetLimit(parallel)
	for i, id := range enrollments.IDs {
		workers.Go(func() error {
			f.declared[i] = f.provisionOne(ctx, client, id)
			return nil
		})
	}
	_ = workers.Wait() // failures are in the results
	return ctx.Err()
}

// reader returns a client that reads enrollments of the service. It is nil if the stack has no key of the service and
// the user's account may not read them.
func (f *fleet) reader(ctx context.Context, e environment.Endpoints, some string) (*dpsservice.Client, error) {
	client, err := f.stack.service(e)
	if f.stack.ServiceConnectionString != "" {
		return client, err
	}
	if err != nil {
		return nil, nil
	}
	if _, err := client.Individuals().Get(ctx, some); errors.Is(err, dpsservice.ErrUnauthorized) {
		client.Close()
		return nil, nil
	}
	return client, nil
}

// provisionOne registers one declared device; client is nil if the enrollments cannot be read.
func (f *fleet) provisionOne(ctx context.Context, client *dpsservice.Client, id string) declaredDevice {
	if client == nil {
		return declaredDevice{Device: id, Result: resultSkipped, Reason: skippedWithoutKey}
	}
	before, registration, reason, err := f.registerDeclared(ctx, client, id)
	switch {
	case err != nil:
		f.fail(id, err)
		return declaredDevice{Device: id, Result: resultFailed, Reason: err.Error()}
	case reason != "":
		return declaredDevice{Device: id, Result: resultSkipped, Reason: reason}
	}
	return declaredDevice{Device: id, Result: outcome(before, registration.Hub), Hub: f.hubName(registration.Hub)}
}

// registerDeclared returns a device's hub before and its registration, or the reason why keel cannot register it.
func (f *fleet) registerDeclared(
	ctx context.Context, client *dpsservice.Client, id string,
) (before string, registration dpsdevice.Registration, reason string, err error) {
	entry, err := f.individuals(client).Get(ctx, id)
	if errors.Is(err, dpsservice.ErrNotFound) {
		err = errors.New("the provisioning service does not have its enrollment: keel up creates it again")
	}
	if err != nil {
		return "", registration, "", err
	}
	credential, reason, err := f.credentialOf(ctx, client, entry)
	if err != nil || reason != "" {
		return "", registration, reason, err
	}
	earlier, err := client.Registration(ctx, id)
	if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
		return "", registration, "", fmt.Errorf("read its registration: %w", err)
	}
	registration, err = f.run(ctx, id, credential)
	if err == nil {
		kept := outcome(earlier.AssignedHub, registration.Hub) == resultKept
		f.look(f.stack.ruleOf(entry), id, registration.Hub, kept)
	}
	return earlier.AssignedHub, registration, "", err
}

// credentialOf returns the credential of an enrollment's device, or the reason why keel does not have it.
func (f *fleet) credentialOf(
	ctx context.Context, client *dpsservice.Client, entry dpsservice.Enrollment,
) (credential dpsdevice.Credential, reason string, err error) {
	if status := entry.ProvisioningStatus; status != nil && strings.EqualFold(*status, "disabled") {
		return credential, skippedDisabled, nil
	}
	if f.certificates != "" && !namesPolicy(entry) {
		return credential, skippedPolicy, nil
	}
	mechanism, err := client.Individuals().AttestationMechanism(ctx, entry.ID)
	if err != nil {
		return credential, "", fmt.Errorf("read its attestation: %w", err)
	}
	switch x509 := mechanism.X509; {
	case mechanism.SymmetricKey != nil:
		return dpsdevice.SymmetricKey(mechanism.SymmetricKey.PrimaryKey), "", nil
	case x509 != nil && x509.CAReferences != nil && f.stack.DeviceAuthority != "":
		credential, err = f.credential(entry.ID)
		return credential, "", err
	case x509 != nil:
		return credential, skippedCertificate, nil
	}
	return credential, skippedTPM, nil
}

// outcome compares a device's hub with the hub of its earlier registration, "" if there was no registration.
func outcome(before, after string) string {
	switch {
	case before == "":
		return resultNew
	case hostKey(before) == hostKey(after):
		return resultKept
	}
	return resultMoved
}

// hubName returns the stack's name of a hub, or the host name of one that the stack does not have.
func (f *fleet) hubName(host string) string { return f.stack.hubName(host) }

// hubName returns the stack's name of a hub, or the host name of one that the stack does not have.
func (o outputs) hubName(host string) string {
	for _, h := range o.Hubs {
		if hostKey(h.HostName) == hostKey(host) {
			return h.Name
		}
	}
	return host
}

// printDeclared lists the declared devices with the hub that each was assigned to.
func (f *fleet) printDeclared(w io.Writer) error {
	if len(f.declared)+len(f.sets) == 0 {
		return nil
	}
	results := map[string]int{}
	for _, d := range f.declared {
		results[d.Result]++
	}
	fmt.Fprintf(w, "individual enrollments: %d new, %d kept their hub, %d moved",
		results[resultNew], results[resultKept], results[resultMoved])
	for _, result := range []string{resultSkipped, resultFailed} {
		if n := results[result]; n > 0 {
			fmt.Fprintf(w, ", %d %s", n, result)
		}
	}
	fmt.Fprintln(w)
	listed := f.declared[:min(len(f.declared), maxListed)]
	err := table(w, func(row func(...string)) {
		for _, d := range listed {
			switch d.Result {
			case resultSkipped, resultFailed:
				row("  "+d.Device, d.Result+": "+d.Reason)
			default:
				row("  "+d.Device, d.Hub)
			}
		}
		for _, s := range f.sets {
			noun := "devices"
			if s.Devices == 1 {
				noun = "device"
			}
			row("  "+s.Set, fmt.Sprintf("skipped: %d %s; %s", s.Devices, noun, s.Reason))
		}
	})
	if more := len(f.declared) - len(listed); err == nil && more > 0 {
		fmt.Fprintf(w, "  and %d more: keel devices status\n", more)
	}
	return err
}
