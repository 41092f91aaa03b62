package state_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/state"
)

func TestResourceGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 0)
	g, made, err := w.PutGroup(state.Group{Subscription: subscription, Name: "GROUP", Location: "West Europe",
		Tags: map[string]string{"a": "b"}})
	must(t, err)
	if made || g.Name != "Group" || g.Location != location || g.Tags["a"] != "b" {
		t.Errorf("got %+v, made %v; want the group under its first spelling with the new tags", g, made)
	}
	wantKind(t, second(w.PutGroup(state.Group{Subscription: subscription, Name: "group", Location: "eastus"})),
		state.Invalid)
	wantKind(t, last(w.Group(subscription, "none")), state.NotFound)
	wantKind(t, w.DeleteGroup(subscription, "none", 0), state.NotFound)
	must(t, second(w.PutGroup(state.Group{Subscription: "other", Name: "a", Location: location})))
	for sub, want := range map[string]int{subscription: 1, "OTHER": 1, "none": 0, "": 2} {
		t.Run(fmt.Sprintf("%q", sub), func(t *testing.T) {
			if gs, err := w.Groups(sub); err != nil || len(gs) != want {
				t.Errorf("groups of %q: got %d, %v; want %d", sub, len(gs), err, want)
			}
		})
	}
}

func TestDeletingAGroupDeletesItsContents(t *testing.T) {
	t.Parallel()
	for _, took := range []time.Duration{0, time.Minute} {
		t.Run(took.String(), func(t *testing.T) {
			w := newWorld(t, state.Options{}, 2)
			w.register(w.putEnrollment("device", state.Settings{}))
			must(t, second(w.PutChild(state.Child{Parent: hub1, Kind: "certificates", Name: "C"}, "")))
			must(t, w.DeleteGroup(subscription, "Group", took))
			if took > 0 {
				if h, err := w.Hub(id("hub-1")); err != nil || h.Phase != state.Deleting {
					t.Errorf("got %s, %v; want the hub being deleted", h.Phase, err)
				}
				wantKind(t, second(w.PutHub(hubOf("hub-9"), "", 0)), state.Busy)
				group := state.Group{Subscription: subscription, Name: "Group", Location: location}
				wantKind(t, second(w.PutGroup(group)), state.Busy)
				must(t, w.DeleteGroup(subscription, "Group", time.Hour))
				w.clock.Add(took)
			}
			if c, err := w.Counts(); err != nil || c != (state.Counts{}) {
				t.Errorf("took %v: got %+v, %v; want nothing left", took, c, err)
			}
			wantKind(t, last(w.ServiceByScope(w.scope)), state.NotFound)
			wantKind(t, last(w.Child(hub1, "certificates", "c")), state.NotFound)
		})
	}
}

func TestHubTransitionsFollowTheClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 0)
	h, made, err := w.PutHub(hubOf("New"), "", time.Minute)
	must(t, err)
	if !made || h.Phase != state.Activating || h.Host() != "new.azure-devices.net" {
		t.Errorf("got %+v, made %v; want a new hub, Activating", h, made)
	}
	wantKind(t, last(w.PutDevice(h.Host(), state.Device{ID: "d"}, "", true)), state.ParentNotFound)
	wantKind(t, second(w.PutHub(hubOf("new"), "", 0)), state.Busy)
	wantKind(t, last(w.DeleteHub(id("new"), 0)), state.Busy)
	w.clock.Add(time.Minute)
	if h, err = w.HubByHost("NEW.azure-devices.net"); err != nil || h.Phase != state.Active {
		t.Errorf("got %s, %v; want Active", h.Phase, err)
	}
	must(t, last(w.PutDevice(h.Host(), state.Device{ID: "d"}, "", true)))
	h, err = w.SetHubTags(id("NEW"), map[string]string{"a": "b"}, time.Minute)
	must(t, err)
	if h.Phase != state.Transitioning || h.ID.Name != "New" {
		t.Errorf("got %s %s, want New Transitioning", h.ID.Name, h.Phase)
	}
	must(t, last(w.Device(h.Host(), "d")))
	w.clock.Add(time.Minute)
	h, err = w.DeleteHub(id("new"), time.Minute)
	must(t, err)
	if again, err := w.DeleteHub(id("new"), time.Hour); err != nil || !again.Due.Equal(h.Due) {
		t.Errorf("got due %v, %v; want the first deletion's %v", again.Due, err, h.Due)
	}
	wantKind(t, last(w.Device(h.Host(), "d")), state.ParentNotFound)
	w.clock.Add(time.Minute)
	wantKind(t, last(w.Hub(id("new"))), state.NotFound)
	h, made, err = w.PutHub(hubOf("new"), "", 0)
	must(t, err)
	if n, err := w.Statistics(h.Host()); !made || err != nil || n.Total != 0 {
		t.Errorf("got made %v, %+v, %v; want a new, empty hub", made, n, err)
	}
}

func TestPuttingAHub(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	first, err := w.Hub(id("hub-1"))
	must(t, err)
	if p := first.Policies[0]; len(p.PrimaryKey) != 88 || p.PrimaryKey == p.SecondaryKey {
		t.Errorf("got a policy with keys of %d characters, equal %v; want two keys of 64 bytes", len(p.PrimaryKey),
			p.PrimaryKey == p.SecondaryKey)
	}
	changed := state.Hub{Resource: state.Resource{ID: id("HUB-1"), SKU: state.SKU{Name: "S1", Capacity: 2}}}
	for etag, kind := range map[string]state.Kind{"AAAAAAAAAAA=": state.Precondition,
		state.MustNotExist: state.Exists} {
		wantKind(t, second(w.PutHub(changed, etag, 0)), kind)
	}
	kept, made, err := w.PutHub(changed, first.ETag(), 0)
	must(t, err)
	want := first
	want.SKU, want.Version = changed.SKU, kept.Version
	if diff := cmp.Diff(want, kept); diff != "" || made || kept.Version <= first.Version {
		t.Errorf("made %v, version %d after %d (-want +got):\n%s", made, kept.Version, first.Version, diff)
	}
	replaced := hubOf("hub-1")
	replaced.Policies = append(replaced.Policies, state.Policy{Name: "link"})
	next, _, err := w.PutHub(replaced, state.MustExist, 0)
	must(t, err)
	if next.Policies[0].PrimaryKey != first.Policies[0].PrimaryKey || next.Policies[1].PrimaryKey == "" {
		t.Error("got a policy with another key or none, want the named one's kept and the new one's made")
	}

	elsewhere := hubOf("hub-1")
	elsewhere.ID.Group = "other"
	wantKind(t, second(w.PutHub(elsewhere, "", 0)), state.ParentNotFound)
	must(t, second(w.PutGroup(state.Group{Subscription: subscription, Name: "other", Location: location})))
	wantKind(t, second(w.PutHub(elsewhere, "", 0)), state.Exists)
	wantKind(t, last(w.Hub(elsewhere.ID)), state.NotFound)
	moved := hubOf("hub-1")
	moved.Location = "eastus"
	wantKind(t, second(w.PutHub(moved, "", 0)), state.Invalid)
	wantKind(t, second(w.PutHub(state.Hub{Resource: state.Resource{ID: id("bare"), Location: location}}, "", 0)),
		state.Invalid)
	wantKind(t, second(w.PutHub(hubOf("absent"), state.MustExist, 0)), state.NotFound)
}

func TestResultsDoNotShareMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	given := hubOf("hub-2")
	given.Tags, given.Properties = map[string]string{"a": "b"}, []byte("p")
	returned, _, err := w.PutHub(given, "", 0)
	must(t, err)
	want, err := w.Hub(id("hub-2"))
	must(t, err)
	for _, h := range []state.Hub{given, returned} {
		h.Tags["a"], h.Properties[0], h.Policies[0].Name, h.Policies[0].Rights[0] = "x", 'x', "x", "x"
	}
	got, err := w.Hub(id("hub-2"))
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hub changed from outside (-want +got):\n%s", diff)
	}

	weight := 3
	links := []state.Link{w.links[0]}
	links[0].Weight = &weight
	w.putService(links, state.Hashed)
	weight, links[0].HubHost = 9, "x"
	v, err := w.Service(id("dps"))
	must(t, err)
	if l := v.Links[0]; *l.Weight != 3 || l.HubHost != hub1 {
		t.Errorf("got weight %d, host %s; want 3, %s", *l.Weight, l.HubHost, hub1)
	}

	settings := state.Settings{Hubs: []string{hub1}, InitialTwin: []byte(`{}`),
		Attestation: state.Attestation{SymmetricKey: &state.SymmetricKey{}}}
	e := w.putEnrollment("device", settings)
	if settings.Attestation.SymmetricKey.Primary != "" {
		t.Error("got keys written into the caller's attestation, want it left alone")
	}
	e.Hubs[0], e.InitialTwin[0] = "x", 'x'
	settings.Hubs[0] = "x"
	if kept, err := w.Enrollment(w.scope, "device"); err != nil || kept.Hubs[0] != hub1 || kept.InitialTwin[0] != '{' {
		t.Errorf("got %v, %s, %v; want the enrollment as put", kept.Hubs, kept.InitialTwin, err)
	}
}

func TestLinksOfAService(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 2)
	put := func(links []state.Link) (state.Service, error) {
		v, _, err := w.PutService(state.Service{Resource: state.Resource{ID: id("dps")}, Links: links}, "", 0)
		return v, err
	}
	v, err := put(nil)
	must(t, err)
	if v.IDScope != w.scope || len(v.Links) != 2 || v.Allocation != state.Hashed {
		t.Errorf("got scope %s, %d links, %s; want all kept", v.IDScope, len(v.Links), v.Allocation)
	}
	v, err = put([]state.Link{{HubHost: "HUB-1.azure-devices.net", KeyName: "OWNER"}})
	must(t, err)
	if len(v.Links) != 1 || v.Links[0].Key != w.links[0].Key {
		t.Errorf("got %d links, key kept %v; want one with the stored key", len(v.Links),
			v.Links[0].Key == w.links[0].Key)
	}
	wantKind(t, last(put([]state.Link{{HubHost: hub1, KeyName: "another"}})), state.Invalid)
	wantKind(t, last(put([]state.Link{w.links[1], w.links[1]})), state.Invalid)
	if v, err = put([]state.Link{}); err != nil || len(v.Links) != 0 {
		t.Errorf("got %d links, %v; want none", len(v.Links), err)
	}
}

func TestChildren(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	c, made, err := w.PutChild(state.Child{Parent: hub1, Kind: "certificates", Name: "Root", Body: []byte("1")}, "")
	must(t, err)
	if !made {
		t.Error("got replaced, want made")
	}
	wantKind(t, second(w.PutChild(state.Child{Parent: hub1, Kind: "certificates", Name: "root"}, "AAAAAAAAAAA=")),
		state.Precondition)
	next, made, err := w.PutChild(state.Child{Parent: hub1, Kind: "certificates", Name: "root", Body: []byte("2")},
		c.ETag())
	must(t, err)
	if made || next.Name != "Root" || next.ETag() == c.ETag() {
		t.Errorf("got %+v, made %v; want Root with a new etag", next, made)
	}
	must(t, second(w.PutChild(state.Child{Parent: hub1, Kind: "consumerGroups", Name: "g"}, "")))
	if cs, err := w.Children(hub1, "certificates"); err != nil || len(cs) != 1 || string(cs[0].Body) != "2" {
		t.Errorf("got %v, %v; want the one certificate", cs, err)
	}
	wantKind(t, second(w.PutChild(state.Child{Parent: "none", Kind: "k", Name: "n"}, "")), state.ParentNotFound)
	must(t, w.DeleteChild(hub1, "certificates", "ROOT", next.ETag()))
	wantKind(t, w.DeleteChild(hub1, "certificates", "ROOT", ""), state.NotFound)
}
