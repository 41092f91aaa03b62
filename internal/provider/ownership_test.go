package provider_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// declaredOnce returns a stack with an enrollment, a group and a set whose keys the provider generates, and an
// enrollment with given keys.
type declaredOnce struct {
	*stack
	service            serviceAPI
	primary, secondary string
}

func declareAll(t *testing.T) declaredOnce {
	t.Helper()
	service, _ := openService(t)
	d := declaredOnce{newStack(t, "owner", service.cloud.config(service.key)), service, newKey(t), newKey(t)}
	d.declare(
		resourceIn{kind: "IndividualEnrollment", name: "made", inputs: object{"registrationId": "made-1"}},
		resourceIn{kind: "IndividualEnrollment", name: "given", inputs: keyed("registrationId", "given-1", d.primary,
			d.secondary)},
		resourceIn{kind: "EnrollmentGroup", name: "group", inputs: object{"enrollmentGroupId": "group-1"}},
		resourceIn{kind: "EnrollmentSet", name: "set",
			inputs: object{"items": items(object{"registrationId": "row-1"}, object{"registrationId": "row-2"})}},
	)
	d.mustUp()
	d.isWhole()
	return d
}

// isWhole fails the test unless the service has everything that the stack declares, with the keys in the state.
func (d declaredOnce) isWhole() {
	d.t.Helper()
	d.service.holds(d.t, map[string]string{
		"enrollments/made-1":       d.output(d.urn("IndividualEnrollment", "made"), "primaryKey"),
		"enrollments/given-1":      d.primary,
		"enrollmentGroups/group-1": d.output(d.urn("EnrollmentGroup", "group"), "primaryKey"), "enrollments/row-1": "*",
		"enrollments/row-2": "*",
	})
}

var allURNs = func(d declaredOnce) []resource.URN {
	return []resource.URN{
		d.urn("IndividualEnrollment", "made"), d.urn("IndividualEnrollment", "given"),
		d.urn("EnrollmentGroup", "group"), d.urn("EnrollmentSet", "set"),
	}
}

// TestAReplacementLeavesTheEntry: however the replacement was requested, the entry exists afterwards, generated keys
// are new, and the next update changes nothing.
func TestAReplacementLeavesTheEntry(t *testing.T) {
	t.Parallel()
	no := false
	for name, replace := range map[string]func(d declaredOnce){
		"--replace": func(d declaredOnce) { d.mustUp(replacing(allURNs(d)...)) },
		"taint": func(d declaredOnce) {
			for _, urn := range allURNs(d) {
				d.taint(urn)
			}
			d.mustUp()
		},
		"taint, with a refresh": func(d declaredOnce) {
			for _, urn := range allURNs(d) {
				d.taint(urn)
			}
			d.mustUp(refreshing)
		},
		"replacement triggers": func(d declaredOnce) {
			for i := range d.program {
				d.program[i].options.ReplacementTrigger = resource.NewProperty("one")
			}
			d.mustUp()
			for i := range d.program {
				d.program[i].options.ReplacementTrigger = resource.NewProperty("two")
			}
			d.mustUp()
		},
		"replaceOnChanges": func(d declaredOnce) {
			for i, r := range d.program {
				if r.kind == "EnrollmentSet" {
					d.program[i].options.ReplaceOnChanges = []string{"items"}
					d.program[i].inputs = object{"items": items(object{"registrationId": "row-1", "deviceId": "other"},
						object{"registrationId": "row-2", "deviceId": "d"})}
				} else {
					d.program[i].options.ReplaceOnChanges = []string{"provisioningStatus"}
					d.program[i].inputs = r.inputs.edited(object{"provisioningStatus": "disabled"})
				}
			}
			d.mustUp()
		},
		"replaceOnChanges, creating first": func(d declaredOnce) {
			for i, r := range d.program {
				if r.kind != "EnrollmentSet" {
					d.program[i].options.ReplaceOnChanges, d.program[i].options.DeleteBeforeReplace = []string{
						"provisioningStatus"}, &no
					d.program[i].inputs = r.inputs.edited(object{"provisioningStatus": "disabled"})
				}
			}
			d.mustUp(replacing(d.urn("EnrollmentSet", "set")))
		},
		"deleting first": func(d declaredOnce) {
			yes := true
			for i := range d.program {
				d.program[i].options.DeleteBeforeReplace = &yes
			}
			d.mustUp(replacing(allURNs(d)...))
		},
		"twice in a row": func(d declaredOnce) {
			d.mustUp(replacing(allURNs(d)...))
			d.mustUp(replacing(allURNs(d)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := declareAll(t)
			before := d.service.enrolledKeys(t)
			replace(d)
			d.isWhole()
			after := d.service.enrolledKeys(t)
			for _, entry := range []string{"enrollments/made-1", "enrollmentGroups/group-1", "enrollments/row-1"} {
				t.Run(entry, func(t *testing.T) {
					if before[entry] == after[entry] {
						t.Errorf("%s kept the key that the provider made, want a new one", entry)
					}
				})
			}
			d.mustUp()
			d.isWhole()
			if err := d.refresh(); err != nil {
				t.Errorf("refresh: %v", err)
			}
			d.isWhole()
			if err := d.destroy(); err != nil {
				t.Errorf("destroy: %v", err)
			}
			d.service.holds(t, nil)
		})
	}
}

// TestAMoveKeepsTheEntryAndItsKeys: an enrollment with given keys moves from one resource to another in one update, in
// each direction. The names in the table are those of the resource before and after.
func TestAMoveKeepsTheEntryAndItsKeys(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	primary, secondary := newKey(t), newKey(t)
	row := object{"registrationId": "press-1", "primaryKey": propertyOf(primary).WithSecret(true),
		"secondaryKey": propertyOf(secondary).WithSecret(true)}
	single := func(name, id string) resourceIn {
		return resourceIn{kind: "IndividualEnrollment", name: name, inputs: keyed("registrationId", id, primary,
			secondary)}
	}
	set := func(name string, list ...object) resourceIn {
		return resourceIn{kind: "EnrollmentSet", name: name, inputs: object{"items": items(list...)}}
	}
	other := object{"registrationId": "other-1"}
	inside := single("press", "press-1")
	inside.in = "line"
	for name, test := range map[string]struct{ before, after []resourceIn }{
		"renamed": {[]resourceIn{single("one", "press-1")},
			[]resourceIn{single("two", "press-1")}},
		"letter case of name and id": {[]resourceIn{single("press-1", "press-1")},
			[]resourceIn{single("Press-1", "Press-1")}},
		"into a component":   {[]resourceIn{single("press", "press-1")}, []resourceIn{inside}},
		"out of a component": {[]resourceIn{inside}, []resourceIn{single("press", "press-1")}},
		"to a new set":       {[]resourceIn{single("one", "press-1")}, []resourceIn{set("set", row)}},
		"to a set": {[]resourceIn{single("one", "press-1"), set("set", other)},
			[]resourceIn{set("set", other, row)}},
		"out of a set": {[]resourceIn{set("set", other, row)},
			[]resourceIn{single("one", "press-1"), set("set", other)}},
		"out of a set that is deleted": {[]resourceIn{set("set", row)}, []resourceIn{single("one", "press-1")}},
		"from one set to another": {[]resourceIn{set("a", other, row),
			set("b", object{"registrationId": "b-1"})},
			[]resourceIn{set("a", other), set("b", object{"registrationId": "b-1"}, row)}},
		"from one set to another that was": {[]resourceIn{set("b", object{"registrationId": "b-1"}),
			set("a", other, row)}, []resourceIn{set("b", object{"registrationId": "b-1"}, row), set("a", other)}},
		"a renamed set": {[]resourceIn{set("a", row)}, []resourceIn{set("b", row)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, settings := range [][]func(*engine.UpdateOptions){nil, {refreshing}} {
				s := newStack(t, "mover", service.cloud.config(service.key))
				s.declare(test.before...)
				s.mustUp()
				s.program = nil
				s.declare(test.after...)
				s.mustUp(settings...)
				want := map[string]string{"enrollments/press-1": primary}
				for _, r := range s.program {
					if strings.Contains(propertyText(r.inputs), "other-1") {
						want["enrollments/other-1"] = "*"
					}
					if strings.Contains(propertyText(r.inputs), "b-1") {
						want["enrollments/b-1"] = "*"
					}
				}
				service.holds(t, want)
				s.mustUp()
				service.holds(t, want)
				if err := s.destroy(); err != nil {
					t.Errorf("destroy: %v", err)
				}
				service.holds(t, nil)
			}
		})
	}
}

// TestAMoveOfGeneratedKeysIsRefusedBeforeAnythingChanges: only the former resource knows these keys. The error names
// the way out, an alias, and an alias works.
func TestAMoveOfGeneratedKeysIsRefusedBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		after  resourceIn
		advice string
	}{
		"renamed": {resourceIn{kind: "IndividualEnrollment", name: "two", inputs: object{"registrationId": "press-1"}},
			"aliases"},
		"to a set": {resourceIn{kind: "EnrollmentSet", name: "set",
			inputs: object{"items": items(object{"registrationId": "press-1"})}},
			"declare its current primaryKey and secondaryKey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, _ := openService(t)
			s := newStack(t, "mover", service.cloud.config(service.key))
			s.declare(resourceIn{kind: "IndividualEnrollment", name: "one",
				inputs: object{"registrationId": "press-1"}})
			s.mustUp()
			want := service.enrolledKeys(t)
			s.program = nil
			s.declare(test.after)
			for _, settings := range [][]func(*engine.UpdateOptions){nil, {continuing}} {
				if err := s.up(settings...); err == nil || !strings.Contains(s.messages.String(), test.advice) {
					t.Errorf("up: got %v\n%s\nwant a refusal with %q", err, s.messages, test.advice)
				}
				service.holds(t, want)
			}
			if name == "renamed" {
				s.program[0].aliases = []resource.URN{s.urn("IndividualEnrollment", "one")}
				s.mustUp()
				service.holds(t, want)
			}
		})
	}
}

// TestTheAdvisedImportKeepsTheEntry: the error for an entry that exists under another name in this stack names the
// import command, after which the next update keeps the entry.
func TestTheAdvisedImportKeepsTheEntry(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	s := newStack(t, "importer", service.cloud.config(service.key))
	s.declare(resourceIn{kind: "IndividualEnrollment", name: "k-1", inputs: object{"registrationId": "k-1"}})
	s.mustUp()
	want := service.enrolledKeys(t)
	s.program = nil
	imported := resourceIn{kind: "IndividualEnrollment", name: "K-1", inputs: object{"registrationId": "K-1"}}
	imported.options.ImportID = resource.ID(emulatedHost + "/enrollments/k-1")
	imported.inputs = object{"registrationId": "k-1"}
	s.declare(imported)
	s.mustUp()
	service.holds(t, want)
	imported.options.ImportID = ""
	s.declare(imported)
	s.mustUp()
	service.holds(t, want)
}

// TestAnIDThatIsDeclaredTwiceIsRefusedByThePreview, before anything is created.
func TestAnIDThatIsDeclaredTwiceIsRefusedByThePreview(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	for name, pair := range map[string][2]resourceIn{
		"two enrollments": {
			{kind: "IndividualEnrollment", name: "a", inputs: object{"registrationId": "press-1"}},
			{kind: "IndividualEnrollment", name: "b", inputs: object{"registrationId": "Press-1"}},
		},
		"an enrollment and a set": {
			{kind: "IndividualEnrollment", name: "a", inputs: object{"registrationId": "press-1"}},
			{kind: "EnrollmentSet", name: "b", inputs: object{"idPrefix": "press-",
				"items": items(object{"registrationId": "1"})}},
		},
		"two sets": {
			{kind: "EnrollmentSet", name: "a", inputs: object{"items": items(object{"registrationId": "press-1"})}},
			{kind: "EnrollmentSet", name: "b", inputs: object{
				"manifestText": propertyOf("registrationId\npress-1\n").WithSecret(true)}},
		},
		"two groups": {
			{kind: "EnrollmentGroup", name: "a", inputs: object{"enrollmentGroupId": "press-1"}},
			{kind: "EnrollmentGroup", name: "b", inputs: object{"enrollmentGroupId": "PRESS-1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, "twice", service.cloud.config(service.key))
			s.declare(pair[0], pair[1])
			err := s.preview()
			if err == nil || !strings.Contains(s.messages.String(), "declared twice") ||
				!strings.Contains(s.messages.String(), "::a") {
				t.Errorf("%s: got %v\n%s\nwant a refusal that names the other resource", name, err, s.messages)
			}
			service.holds(t, nil)
		})
	}
}

// TestADeletionWithoutAClaim: an entry that another process or stack has created is not deleted; one that has drifted
// is.
func TestADeletionWithoutAClaim(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, d declaredOnce, path string)
		stays  bool
		fails  string
	}{
		"created again": {func(t *testing.T, d declaredOnce, path string) {
			d.service.remove(t, path)
			collection, id, _ := strings.Cut(path[1:], "/")
			d.service.call(t, "POST", "/"+collection, map[string]any{"mode": "create", collection: []any{map[string]any{
				idNameOf(path): id, "attestation": map[string]any{"type": "symmetricKey",
					"symmetricKey": map[string]any{"primaryKey": newKey(t), "secondaryKey": newKey(t)}},
			}}})
		}, true, ""},
		"drifted": {func(t *testing.T, d declaredOnce, path string) {
			d.service.edit(t, path, func(entry map[string]any) { entry["provisioningStatus"] = "disabled" })
		}, false, ""},
		"rewritten": {func(t *testing.T, d declaredOnce, path string) {
			d.service.edit(t, path, func(map[string]any) {})
		}, true, "rewritten"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := declareAll(t)
			for _, path := range []string{"/enrollments/made-1", "/enrollments/given-1", "/enrollmentGroups/group-1",
				"/enrollments/row-1", "/enrollments/row-2"} {
				test.change(t, d, path)
			}
			left := d.service.enrolledKeys(t)
			err := d.destroy(continuing)
			if (err != nil) != (test.fails != "") || !strings.Contains(d.messages.String(), test.fails) {
				t.Errorf("destroy: got %v\n%s\nwant an error %q", err, d.messages, test.fails)
			}
			if !test.stays {
				left = nil
			}
			d.service.holds(t, left)
			if test.fails != "" { // as the error advises: refresh, then try again
				must(t, d.refresh())
				must(t, d.destroy())
				d.service.holds(t, nil)
			}
		})
	}
}

// TestATargetedDeletionSparesWhatAnotherResourceTookOver: an update of one resource does not see the others.
func TestATargetedDeletionSparesWhatAnotherResourceTookOver(t *testing.T) {
	t.Parallel()
	service, _ := openService(t)
	primary, secondary := newKey(t), newKey(t)
	s := newStack(t, "targeted", service.cloud.config(service.key))
	s.declare(resourceIn{kind: "IndividualEnrollment", name: "one", inputs: keyed("registrationId", "press-1", primary,
		secondary)})
	s.mustUp()
	s.program = nil
	s.declare(resourceIn{kind: "EnrollmentSet", name: "set", inputs: object{"items": items(object{
		"registrationId": "press-1", "primaryKey": propertyOf(primary).WithSecret(true),
		"secondaryKey": propertyOf(secondary).WithSecret(true),
	})}})
	s.mustUp(targeting(s.urn("EnrollmentSet", "set")))
	want := map[string]string{"enrollments/press-1": primary}
	service.holds(t, want)
	if err := s.destroy(targeting(s.urn("IndividualEnrollment", "one"))); err == nil ||
		!strings.Contains(s.messages.String(), "pulumi state delete") {
		t.Errorf("targeted destroy: got %v\n%s\nwant a refusal with the way to go on", err, s.messages)
	}
	service.holds(t, want)
	s.mustUp()
	service.holds(t, want)
	if got := strings.Join(s.urns(), " "); got != "set" {
		t.Errorf("the state holds %s, want the set alone", got)
	}
}

// TestLinksSurviveReplacements, like entries.
func TestLinksSurviveReplacements(t *testing.T) {
	t.Parallel()
	shared := newShared(t)
	s := newStack(t, "guest", shared.config)
	link := resourceIn{kind: "LinkedHub", name: "hub-2", inputs: shared.link("hub-2", nil)}
	s.declare(link)
	s.mustUp()
	urn := s.urn("LinkedHub", "hub-2")
	for name, operate := range map[string]func(){
		"--replace": func() { s.mustUp(replacing(urn)) },
		"taint":     func() { s.taint(urn); s.mustUp() },
		"replaceOnChanges": func() {
			changed := link
			changed.inputs, changed.options.ReplaceOnChanges = shared.link("hub-2", object{"allocationWeight": 3}),
				[]string{"allocationWeight"}
			s.declare(changed)
			s.mustUp()
			s.declare(link)
			s.mustUp()
		},
		"renamed": func() {
			s.drop("LinkedHub", "hub-2")
			renamed := link
			renamed.name = "another"
			s.declare(renamed)
			s.mustUp()
			s.drop("LinkedHub", "another")
			s.declare(link)
			s.mustUp()
		},
	} {
		t.Run(name, func(t *testing.T) {
			operate()
			shared.linked("hub-1", "hub-2")
			s.mustUp()
			shared.linked("hub-1", "hub-2")
		})
	}
	twice := link
	twice.name = "twice"
	s.declare(twice)
	if err := s.preview(); err == nil || !strings.Contains(s.messages.String(), "declared twice") {
		t.Errorf("one link twice: got %v\n%s", err, s.messages)
	}
	s.drop("LinkedHub", "twice")
	must(t, s.destroy())
	shared.linked("hub-1")
}
