package state_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// TestHubSettingsAreReadFromProperties: when a hub is put, and when the store is opened again.
func TestHubSettingsAreReadFromProperties(t *testing.T) {
	t.Parallel()
	o := state.Options{Dir: t.TempDir(), HubSettings: func(properties []byte) (state.HubSettings, error) {
		switch string(properties) {
		case "":
			return state.HubSettings{}, nil
		case "strict":
			return state.HubSettings{DisableLocalAuth: true, MaxDeliveries: 3}, nil
		}
		return state.HubSettings{}, errors.New("unknown")
	}}
	defaults := state.HubSettings{
		MaxDeliveries: 10, MessageLife: time.Hour, FeedbackLock: 5 * time.Second, FeedbackLife: time.Hour,
	}
	strict := defaults
	strict.DisableLocalAuth, strict.MaxDeliveries = true, 3
	s, err := state.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "westeurope"}); err != nil {
		t.Fatal(err)
	}
	put := func(name, properties string) (state.Hub, error) {
		h := state.Hub{Resource: state.Resource{
			ID: state.ResourceID{Subscription: "s", Group: "g", Name: name}, Location: "westeurope",
			Properties: []byte(properties),
			SKU:        state.SKU{Name: "S1", Capacity: 1}, Policies: []state.Policy{{Name: "owner"}},
		}}
		h, _, err := s.PutHub(h, state.Unconditional, 0)
		return h, err
	}
	for name, want := range map[string]struct {
		properties string
		settings   state.HubSettings
	}{"plain": {"", defaults}, "strict": {"strict", strict}} {
		t.Run(name, func(t *testing.T) {
			if h, err := put(name, want.properties); err != nil || h.Settings != want.settings {
				t.Errorf("put %s: got %+v and %v, want %+v", name, h.Settings, err, want.settings)
			}
		})
	}
	if _, err := put("damaged", "?"); err == nil {
		t.Error("got no error for properties that cannot be read")
	}
	var snapshot strings.Builder
	if err := s.WriteSnapshot(&snapshot); err != nil {
		t.Fatal(err)
	}
	damaged := strings.Replace(snapshot.String(), `"properties": "strict"`, `"properties": "?"`, 1)
	if err := s.ReadSnapshot(strings.NewReader(damaged)); damaged == snapshot.String() || err == nil ||
		!strings.Contains(err.Error(), "settings") {
		t.Errorf("restore a snapshot with properties that cannot be read: got %v, want an error about settings", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = state.Open(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for name, want := range map[string]state.HubSettings{"plain": defaults, "strict": strict} {
		t.Run(name, func(t *testing.T) {
			if h, err := s.HubByHost(state.HubHost(name)); err != nil || h.Settings != want {
				t.Errorf("%s after the start: got %+v and %v, want %+v", name, h.Settings, err, want)
			}
		})
	}
}

// TestServiceSettingsAreReadFromProperties: when a service is put, when the store is opened again, and before a
// snapshot replaces the state.
func TestServiceSettingsAreReadFromProperties(t *testing.T) {
	t.Parallel()
	o := state.Options{Dir: t.TempDir(), ServiceSettings: func(properties []byte) (state.ServiceSettings, error) {
		switch string(properties) {
		case "", "strict":
			return state.ServiceSettings{DisableLocalAuth: string(properties) == "strict"}, nil
		}
		return state.ServiceSettings{}, errors.New("unknown")
	}}
	s, err := state.Open(o)
	must(t, err)
	must(t, second(s.PutGroup(state.Group{Subscription: "s", Name: "g", Location: "westeurope"})))
	id := state.ResourceID{Subscription: "s", Group: "g", Name: "dps"}
	put := func(properties string) (state.Service, error) {
		v, _, err := s.PutService(state.Service{Resource: state.Resource{ID: id, Location: "westeurope",
			Properties: []byte(properties), SKU: state.SKU{Name: "S1", Capacity: 1},
			Policies: []state.Policy{{Name: "owner"}}}}, state.Unconditional, 0)
		return v, err
	}
	if _, err := put("?"); err == nil {
		t.Error("got no error for properties that cannot be read")
	}
	for _, properties := range []string{"", "strict"} {
		if v, err := put(properties); err != nil || v.Settings.DisableLocalAuth != (properties == "strict") {
			t.Errorf("put %q: got %+v and %v", properties, v.Settings, err)
		}
	}
	var snapshot strings.Builder
	must(t, s.WriteSnapshot(&snapshot))
	damaged := strings.Replace(snapshot.String(), `"properties": "strict"`, `"properties": "?"`, 1)
	if err := s.ReadSnapshot(strings.NewReader(damaged)); damaged == snapshot.String() || err == nil ||
		!strings.Contains(err.Error(), "settings") {
		t.Errorf("restore a snapshot with properties that cannot be read: got %v, want an error about settings", err)
	}
	must(t, s.Close())
	s, err = state.Open(o)
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	if v, err := s.Service(id); err != nil || !v.Settings.DisableLocalAuth {
		t.Errorf("after the start: got %+v and %v, want local authentication disabled", v.Settings, err)
	}
}

func TestTier(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]state.Tier{
		"F1": state.Free, "B1": state.Basic, "b3": state.Basic, "S1": state.Standard, "": state.Standard,
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			if got := (state.SKU{Name: name}).Tier(); got != want {
				t.Errorf("%q: got %s, want %s", name, got, want)
			}
		})
	}
}
