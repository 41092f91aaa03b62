package state_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

const hubKind = "Microsoft.Devices/IotHubs"

func TestAScopeContainsWhatIsBelowIt(t *testing.T) {
	t.Parallel()
	all := state.Scope{Subscription: "S"}
	group := state.Scope{Subscription: "s", Group: "G"}
	hub := state.Scope{Subscription: "s", Group: "g", Kind: "microsoft.devices/iothubs", Name: "Hub"}
	for _, test := range []struct {
		at, other state.Scope
		want      bool
	}{
		{all, group, true}, {all, hub, true}, {group, hub, true}, {hub, hub, true}, {hub, group, false},
		{group, all, false},
		{hub, state.Scope{Subscription: "s", Group: "g", Kind: hubKind, Name: "hub"}, true},
		{group, state.Scope{Subscription: "s", Group: "g2", Kind: hubKind, Name: "hub"}, false},
		{hub, state.Scope{Subscription: "s", Group: "g", Kind: hubKind, Name: "hub2"}, false},
		{hub, state.Scope{Subscription: "s", Group: "g", Kind: "Microsoft.Devices/provisioningServices", Name: "hub"},
			false},
		{all, state.Scope{Subscription: "s2", Group: "g"}, false},
	} {
		t.Run(fmt.Sprintf("%v contains %v", test.at, test.other), func(t *testing.T) {
			if got := test.at.Contains(test.other); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

// grant adds a role assignment at a scope.
func (w *world) grant(name, role, principal string, at state.Scope) {
	w.t.Helper()
	must(w.t, second(w.PutRoleAssignment(state.RoleAssignment{Scope: at, Name: name, Role: role,
		Principal: principal})))
}

// assigned are the names of all role assignments.
func (w *world) assigned() []string {
	w.t.Helper()
	all, err := w.RoleAssignments()
	must(w.t, err)
	names := []string{}
	for _, a := range all {
		names = append(names, a.Name)
	}
	slices.Sort(names)
	return names
}

// TestRolesAndIdentitiesGoWithTheirGroup when its deletion is due, and not before; also after a restart in between.
func TestRolesAndIdentitiesGoWithTheirGroup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := newWorld(t, state.Options{Dir: dir}, 2)
	m, _, err := w.PutManagedIdentity(state.ManagedIdentity{ID: id("links"), Location: location})
	must(t, err)
	hub := func(name string) state.Scope {
		return state.Scope{Subscription: subscription, Group: "group", Kind: hubKind, Name: name}
	}
	w.grant("at-hub-1", state.RoleHubData, m.Principal, hub("hub-1"))
	w.grant("at-hub-2", state.RoleHubData, m.Principal, hub("HUB-2"))
	w.grant("at-group", state.RoleHubData, m.Principal, state.Scope{Subscription: subscription, Group: "GROUP"})
	w.grant("at-all", state.RoleHubData, m.Principal, state.Scope{Subscription: subscription})
	_, err = w.DeleteHub(id("hub-1"), time.Minute)
	must(t, err)
	must(t, w.DeleteGroup(subscription, "group", time.Hour))
	want := func(when string, names ...string) {
		t.Helper()
		if got := w.assigned(); !slices.Equal(got, names) {
			t.Errorf("%s: got the assignments %v, want %v", when, got, names)
		}
	}
	want("before", "at-all", "at-group", "at-hub-1", "at-hub-2")
	w.clock.Add(2 * time.Minute)
	must(t, w.Close())
	w.State = open(t, state.Options{Dir: dir, Now: w.clock.Now})
	if _, err := w.ManagedIdentity(id("links")); err != nil {
		t.Errorf("before the group is gone: %v", err)
	}
	w.clock.Add(time.Hour)
	want("after the group", "at-all")
	_, err = w.ManagedIdentity(id("links"))
	wantKind(t, err, state.NotFound)
	must(t, w.Close())
	w.State = open(t, state.Options{Dir: dir, Now: w.clock.Now})
	want("after another restart", "at-all")
}

func TestAnotherRoleUnderANameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1)
	at := state.Scope{Subscription: subscription, Group: "Group"}
	w.grant("one", state.RoleHubData, "P", at)
	w.grant("One", state.RoleHubData, "p", at)
	_, _, err := w.PutRoleAssignment(state.RoleAssignment{Scope: at, Name: "one", Role: "other", Principal: "p"})
	wantKind(t, err, state.Invalid)
	_, _, err = w.PutRoleAssignment(state.RoleAssignment{Scope: at, Name: "two", Role: state.RoleHubData,
		Principal: "p"})
	wantKind(t, err, state.Exists)
	if got := w.assigned(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("got %v, want the first alone", got)
	}
}
