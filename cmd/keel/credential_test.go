package main

import (
	"errors"
	"strings"
	"testing"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/keel/environment"
)

// keyless returns the outputs of a stack without any key, and refuses all keys at its service and hub.
func keyless(c *clinic) outputs {
	c.Helper()
	c.put(testHub, "2026-11-01", `{`+testSKU+`,"properties":{"disableLocalAuth":true}}`)
	c.put(testService, "2026-08-31", `{`+testSKU+`,"properties":{`+c.link+`,"disableLocalAuth":true}}`)
	return outputs{
		ServiceHost: "dps-1.azure-devices-provisioning.net", EnrollmentGroup: "devices",
		Hubs: hubsOut{{Name: "hub-1", HostName: "hub-1-0a1b.azure-devices.net"}},
	}
}

func TestKeelLogsInWhereTheStackHasNoKey(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	o := keyless(c)
	if !o.needsCredential() {
		t.Fatal("got that a stack without keys needs no credential")
	}
	var err error
	if o.credential, err = (&environment.Environment{Endpoints: c.ends}).Credential(t.Context()); err != nil {
		t.Fatal(err)
	}
	service, err := o.service(c.ends)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	group, err := service.Groups().Put(t.Context(), "devices", dpsservice.Enrollment{ID: "devices",
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}}, "")
	if err != nil || group.ID != "devices" {
		t.Fatalf("got %+v, %v, want the group", group, err)
	}
	if found, err := o.registrations(t.Context(), c.ends, "devices"); err != nil || found == nil {
		t.Errorf("registrations: got %v, %v, want an empty map", found, err)
	}
	if devices, err := o.devices(t.Context(), c.ends); err != nil || len(devices) > 0 {
		t.Errorf("devices: got %v, %v, want none", devices, err)
	}
	if _, _, err := o.forget(t.Context(), c.ends); err != nil {
		t.Errorf("reset: got %v", err)
	}
}

func TestKeelSaysThatItCannotLogIn(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	o := keyless(c)
	o.noCredential = errors.New("no account")
	for name, err := range map[string]error{
		"service": func() error { _, err := o.service(c.ends); return err }(),
		"hub":     func() error { _, err := o.hub(c.ends, o.Hubs[0].HostName); return err }(),
	} {
		t.Run(name, func(t *testing.T) {
			if err == nil || !strings.Contains(err.Error(), "Microsoft Entra ID: no account") {
				t.Errorf("%s: got %v, want the reason", name, err)
			}
		})
	}
	if found, err := o.registrations(t.Context(), c.ends, "devices"); found != nil || err != nil {
		t.Errorf("registrations: got %v, %v, want none and no error", found, err)
	}
}

func TestARefusedKeyLeadsToDoctor(t *testing.T) {
	t.Parallel()
	c := newClinic(t)
	o := keyless(c)
	o.ServiceConnectionString = "HostName=dps-1.azure-devices-provisioning.net;SharedAccessKeyName=x;SharedAccessKey=" +
		c.key
	o.HubConnectionStrings = map[string]string{"hub-1": "HostName=hub-1-0a1b.azure-devices.net;" +
		"SharedAccessKeyName=iothubowner;SharedAccessKey=" + c.key}
	if o.needsCredential() {
		t.Error("got that a stack with keys needs a credential")
	}
	_, err := o.devices(t.Context(), c.ends)
	if !errors.Is(err, dpsservice.ErrUnauthorized) || !strings.Contains(refusedKeyAdvice(err), "keel doctor") {
		t.Errorf("service: got %v, advice %q", err, refusedKeyAdvice(err))
	}
	_, err = o.clearHub(t.Context(), c.ends, o.Hubs[0])
	if !errors.Is(err, hub.ErrUnauthorized) || !strings.Contains(refusedKeyAdvice(err), "keel doctor") {
		t.Errorf("hub: got %v, advice %q", err, refusedKeyAdvice(err))
	}
	if advice := refusedKeyAdvice(errors.New("something else")); advice != "" {
		t.Errorf("another error: got the advice %q", advice)
	}
}
