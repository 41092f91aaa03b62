package provider_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// byCertificate returns an enrollment of a device by its certificate, alone or as a row of a set.
func byCertificate(t *testing.T, kind, name, id string) resourceIn {
	t.Helper()
	leaf := newAuthority(t, "root").leaf(t, id, time.Hour)
	if kind == "EnrollmentSet" {
		return resourceIn{kind: kind, name: name, inputs: object{"items": items(object{"registrationId": id,
			"certificate": leaf}, object{"registrationId": "keyed-" + id})}}
	}
	return resourceIn{kind: kind, name: name, inputs: object{
		"registrationId": id, "attestation": object{"x509": object{"clientCertificates": object{"primary": leaf}}},
	}}
}

// TestTheAdviceOfARefusedReplacementWorks: certificates cannot show which resource created an entry, so its replacement
// is refused before anything changes, and each way out in the error leads to a state that the next update keeps.
func TestTheAdviceOfARefusedReplacementWorks(t *testing.T) {
	t.Parallel()
	yes := true
	for _, kind := range []string{"IndividualEnrollment", "EnrollmentSet"} {
		for name, follow := range map[string]func(s *stack){
			"pulumi state untaint": func(s *stack) { s.untaint() },
			"deleteBeforeReplace":  func(s *stack) { s.program[0].options.DeleteBeforeReplace = &yes },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				service, _ := openService(t)
				s := newStack(t, "advised", service.cloud.config(service.key))
				s.declare(byCertificate(t, kind, "press", "press-1"))
				s.mustUp()
				want := service.enrolledKeys(t)
				s.taint(s.urn(kind, "press"))
				if err := s.up(); err == nil || !strings.Contains(s.messages.String(), name) {
					t.Errorf("up: got %v\n%s\nwant a refusal that names %q", err, s.messages, name)
				}
				service.holds(t, want)
				follow(s)
				s.mustUp()
				if name == "deleteBeforeReplace" && kind == "EnrollmentSet" {
					want["enrollments/keyed-press-1"] = "*" // recreated
				}
				service.holds(t, want)
				s.mustUp()
				service.holds(t, want)
				must(t, s.destroy())
				service.holds(t, nil)
			})
		}
	}
}

// TestARenameInTheStateKeepsTheEntry, with `pulumi state rename`.
func TestARenameInTheStateKeepsTheEntry(t *testing.T) {
	t.Parallel()
	d := declareAll(t)
	before := d.service.enrolledKeys(t)
	rename := func(urns []resource.URN) {
		for i, urn := range urns {
			urns[i] = resource.URN(strings.Replace(string(urn), "::"+urn.Name(), "::new-"+urn.Name(), 1))
		}
	}
	for _, r := range d.state.Resources {
		if strings.HasPrefix(string(r.Type), "azure-dps:") {
			r.URN = resource.URN(strings.Replace(string(r.URN), "::"+r.URN.Name(), "::new-"+r.URN.Name(), 1))
		}
		rename(r.Dependencies)
		for _, dependencies := range r.PropertyDependencies {
			rename(dependencies)
		}
	}
	for i, r := range d.program {
		d.program[i].name = "new-" + r.name
	}
	d.mustUp()
	d.service.holds(t, before)
}

// TestAnImportOfWhatAKilledRunCreatedIsKept: a set with certificates that was created without leaving a state is
// refused as a whole, and can be imported as the error says.
func TestAnImportOfWhatAKilledRunCreatedIsKept(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	s := newStack(t, "advised", service.cloud.config(service.key))
	set := byCertificate(t, "EnrollmentSet", "set", "press-1")
	s.declare(set)
	s.mustUp()
	want := service.enrolledKeys(t)
	s.state = nil
	if err := s.up(); err == nil || !strings.Contains(s.messages.String(), emulatedHost+
		"/enrollments/press-1 --generate-code=false") {
		t.Errorf("up: got %v\n%s\nwant a refusal with the import", err, s.messages)
	}
	service.holds(t, want)
	imported := set
	imported.options.ImportID = resource.ID(emulatedHost + "/enrollments/press-1")
	s.declare(imported)
	s.mustUp()
	s.declare(set)
	s.mustUp()
	want["enrollments/keyed-press-1"] = "*" // taken over with new keys, which depend on the set's name
	service.holds(t, want)
	s.mustUp()
	service.holds(t, want)
}

// TestResourceOptionsWorkTogetherWithOwnership: resource options work together with ownership.
func TestResourceOptionsWorkTogetherWithOwnership(t *testing.T) {
	t.Parallel()
	yes := true
	d := declareAll(t)
	before := d.service.enrolledKeys(t)
	for i := range d.program {
		d.program[i].options.Protect = &yes
	}
	d.mustUp()
	d.program = d.program[:0]
	if err := d.up(); err == nil || !strings.Contains(d.messages.String(), "protect") {
		t.Errorf("protect: got %v\n%s", err, d.messages)
	}
	d.service.holds(t, before)

	d = declareAll(t)
	before = d.service.enrolledKeys(t)
	for i, r := range d.program {
		d.program[i].options.RetainOnDelete, d.program[i].options.IgnoreChanges = &yes,
			[]string{"provisioningStatus", "items"}
		if r.kind == "EnrollmentSet" {
			d.program[i].inputs = object{"items": items(object{"registrationId": "row-1", "deviceId": "x"},
				object{"registrationId": "row-2"})}
		} else {
			d.program[i].inputs = r.inputs.edited(object{"provisioningStatus": "disabled"})
		}
	}
	d.mustUp()
	if got := d.service.call(t, "GET", "/enrollments/made-1", nil)["provisioningStatus"]; got == "disabled" {
		t.Error("ignoreChanges: the change was made")
	}
	must(t, d.destroy())
	d.service.holds(t, before)
}
