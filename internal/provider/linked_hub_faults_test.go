package provider_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
)

// calls counts the requests to Resource Manager or the login.
func (s *shared) calls() int {
	return len(s.Requests("arm", "")) + len(s.Requests("entra", ""))
}

func TestAPreviewOfALinkMakesNoCall(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	before := s.calls()
	m := s.stack("hub-2")
	checked := m.check(s.link("hub-2", nil))
	made, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked, DryRun: true})
	must(t, err)
	for _, name := range []string{"hubHostName", "location", "policyName", "provisioningServiceId"} {
		t.Run(name, func(t *testing.T) {
			if !made.Properties.Get(name).Equals(checked.Get(name)) {
				t.Errorf("preview of %s: got %v, want %v", name, made.Properties.Get(name), checked.Get(name))
			}
		})
	}
	hidden := m.check(s.link("hub-2", object{"key": unknown, "hubHostName": unknown}))
	made, err = m.server.Create(p.CreateRequest{Urn: m.urn, Properties: hidden, DryRun: true})
	must(t, err)
	if !made.Properties.Get("key").IsComputed() || !made.Properties.Get("hubHostName").IsComputed() {
		t.Errorf("preview with unknown values: got %v", made.Properties)
	}
	keyless := s.link("hub-2", object{"key": nil}).properties()
	if refused, err := m.server.Check(p.CheckRequest{Urn: m.urn, Inputs: keyless}); err != nil ||
		len(refused.Failures) != 1 || plainPath(refused.Failures[0]) != "key" {
		t.Errorf("check of a new link without a key: got %v %v, want a failure that names it", refused.Failures, err)
	}
	if _, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: keyless, DryRun: true}); err == nil ||
		!strings.Contains(err.Error(), "key") {
		t.Errorf("preview of a new link without a key: got %v, want an error that names it", err)
	}
	m.id, m.inputs, m.state = "x", checked, made.Properties
	changed := m.check(s.link("hub-2", object{"allocationWeight": 9}))
	m.diff(changed)
	_, err = m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: checked, Inputs: changed, OldInputs: checked,
		DryRun: true})
	must(t, err)
	if got := s.calls(); got != before {
		t.Errorf("previews made %d calls, want none", got-before)
	}
}

// TestAnErrorNeverRemovesALinkFromTheState: a failed login, an unreachable network or a wrong subscription does not
// mean that the link was deleted.
func TestAnErrorNeverRemovesALinkFromTheState(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-2")
	m.up(s.link("hub-2", nil))
	elsewhere := strings.Replace(m.id, emulator.SubscriptionID, "11111111-1111-1111-1111-111111111111", 1)
	for name, test := range map[string]struct {
		config object
		id     string
	}{
		"another secret":       {config: object{"clientSecret": "wrong"}},
		"another tenant":       {config: object{"tenantId": "00000000-0000-0000-0000-0000000000ff"}},
		"an unreachable host":  {config: object{"metadataHost": "127.0.0.1:1"}},
		"no authority":         {config: object{"caFile": nil}},
		"another subscription": {id: elsewhere},
	} {
		t.Run(name, func(t *testing.T) {
			other := *m
			other.server = startProvider(t, s.config.edited(test.config))
			if test.id != "" {
				other.id = test.id
			}
			if read, err := other.server.Read(readOf(&other)); err == nil {
				t.Errorf("read: got id %q and no error", read.ID)
			}
			if test.id == "" {
				if err := other.server.Delete(deleteOf(&other)); err == nil {
					t.Error("delete: got no error")
				}
			}
		})
	}
	if _, err := m.server.Read(p.ReadRequest{ID: "hub-2.azure-devices.net", Urn: m.urn}); err == nil ||
		!strings.Contains(err.Error(), "/linkedHubs/") {
		t.Errorf("an id of another form: got %v, want the form", err)
	}
	s.linked("hub-1", "hub-2")
}

func TestALinkOfADeletedServiceIsDeleted(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-2")
	m.up(s.link("hub-2", nil))
	must(t, s.Reset())
	m.delete()
	if got := m.refresh(); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("got %v, want gone", got)
	}
}

func TestALinkThatDiffersShowsTheImportCommand(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-1")
	if _, err := m.tryUp(s.link("hub-1", object{"allocationWeight": 3})); err == nil ||
		!strings.Contains(err.Error(), "pulumi import azure-dps:index:LinkedHub hub-1 "+servicePath+"/linkedHubs/"+
			emulatedHub) {
		t.Errorf("got %v, want the import command", err)
	}
	m.up(s.link("hub-1", nil)) // an equal link is taken over
	s.linked("hub-1")
}

// TestACancelledLinkIsUnfinishedInTheState: the engine cancels during the write. The state reports that the link may
// exist, and the next update completes it.
func TestACancelledLinkIsUnfinishedInTheState(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	hold := s.Hold(emulator.Match{Surface: "arm", Method: "PUT",
		Path: regexp.MustCompile("(?i)/provisioningServices/dps-1$")})
	m := s.stack("hub-2")
	inputs := s.link("hub-2", nil)
	checked := m.check(inputs)
	type outcome struct {
		made p.CreateResponse
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		made, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked})
		done <- outcome{made, err}
	}()
	must(t, hold.Held(t.Context()))
	must(t, m.server.Cancel())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case got := <-done:
		if got.made.PartialState == nil || got.made.ID == "" {
			t.Fatalf("got id %q, partial %v, %v, want a state that is marked as unfinished", got.made.ID,
				got.made.PartialState, got.err)
		}
		m.id, m.inputs, m.state = got.made.ID, checked, got.made.Properties
	case <-ctx.Done():
		t.Fatal("the operation did not end")
	}
	hold.Release()
	must(t, hold.Done(t.Context()))
	again := s.stack("hub-2")
	_, err := again.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: checked,
		OldInputs: checked})
	must(t, err)
	s.linked("hub-1", "hub-2")
}

// TestAnotherFormOfAHubsNameIsTheSameHub: two resources cannot link the hub under two names, and a link with the other
// form of the name is replaced instead of duplicated.
func TestAnotherFormOfAHubsNameIsTheSameHub(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-2")
	m.up(s.link("hub-2", nil))
	if got := m.up(s.link("hub-2", object{"hubHostName": "HUB-2.azure-devices.net"})); got != nil {
		t.Errorf("another letter case: got %v, want no change", got)
	}
	device := s.link("hub-2", object{"hubHostName": "hub-2.device.azure-devices.net"})
	diff, err := m.server.Diff(p.DiffRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: m.check(device),
		OldInputs: m.inputs})
	must(t, err)
	if kind := diff.DetailedDiff["hubHostName"].Kind; kind != p.UpdateReplace || !diff.DeleteBeforeReplace {
		t.Errorf("got %v, deleted first %t, want a replacement that deletes first", kind, diff.DeleteBeforeReplace)
	}
	other := *m
	other.urn = manage(t, m.server, "LinkedHub", "again").urn
	checked, err := other.server.Check(p.CheckRequest{Urn: other.urn, Inputs: device.properties()})
	must(t, err)
	if len(checked.Failures) != 1 || !strings.Contains(checked.Failures[0].Reason, "declared twice") {
		t.Errorf("got %v, want that the hub is declared twice", checked.Failures)
	}
	service := s.link("hub-3", object{"hubHostName": "hub-3.service.azure-devices.net"})
	third := s.stack("hub-3")
	if _, err := third.server.Create(p.CreateRequest{Urn: third.urn, Properties: third.check(service),
		DryRun: true}); err == nil || !strings.Contains(err.Error(), "hint: use hub-3.azure-devices.net") {
		t.Errorf("the name for services: got %v, want the preview to name the one to use", err)
	}
}

func TestAnImportTakesTheNameThatIsLinked(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	m := s.stack("hub-1")
	m.id = servicePath + "/linkedHubs/HUB-1.device.azure-devices.net"
	m.refresh()
	if got := m.inputs.Get("hubHostName").AsString(); got != emulatedHub {
		t.Errorf("got %q, want %q", got, emulatedHub)
	}
	if got := m.up(s.link("hub-1", object{"key": nil})); got != nil {
		t.Errorf("up after the import: got %v, want none", got)
	}
}
