package state_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

const (
	subscription = "00000000-0000-0000-0000-000000000000"
	location     = "westeurope"
)

// clock is a clock that tests set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a state with one resource group, hubs and a service that links them all.
type world struct {
	*state.State
	t     testing.TB
	clock *clock
	scope string
	links []state.Link
}

// open opens a state in memory with a clock that tests set and a seeded source of randomness, unless o says otherwise.
func open(t testing.TB, o state.Options) *state.State {
	t.Helper()
	if o.Random == nil {
		o.Random = rand.NewChaCha8([32]byte{1})
	}
	s, err := state.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// newWorld creates hubs "hub-1" to "hub-n" and the service "dps".
func newWorld(t testing.TB, o state.Options, hubs int) *world {
	t.Helper()
	w := &world{t: t, clock: newClock()}
	if o.Now == nil {
		o.Now = w.clock.Now
	}
	w.State = open(t, o)
	w.build(hubs)
	return w
}

func (w *world) build(hubs int) {
	w.t.Helper()
	must(w.t, second(w.PutGroup(state.Group{Subscription: subscription, Name: "Group", Location: location})))
	for i := range hubs {
		w.links = append(w.links, w.addHub(fmt.Sprintf("hub-%d", i+1)))
	}
	w.scope = w.putService(w.links, state.Hashed).IDScope
}

func id(name string) state.ResourceID {
	return state.ResourceID{Subscription: subscription, Group: "Group", Name: name}
}

func owner(rights ...string) []state.Policy { return []state.Policy{{Name: "owner", Rights: rights}} }

func hubOf(name string) state.Hub {
	return state.Hub{Resource: state.Resource{ID: id(name), Location: location,
		Policies: owner("RegistryWrite", "ServiceConnect")}}
}

func (w *world) addHub(name string) state.Link {
	w.t.Helper()
	h, _, err := w.PutHub(hubOf(name), state.Unconditional, 0)
	must(w.t, err)
	return state.Link{HubHost: h.Host(), KeyName: "owner", Key: h.Policies[0].PrimaryKey, Location: location}
}

func (w *world) putService(links []state.Link, policy state.AllocationPolicy) state.Service {
	w.t.Helper()
	v, _, err := w.PutService(state.Service{
		Resource:   state.Resource{ID: id("dps"), Location: location, Policies: owner("ServiceConfig")},
		Allocation: policy, Links: links,
	}, state.Unconditional, 0)
	must(w.t, err)
	return v
}

func (w *world) putEnrollment(name string, s state.Settings) state.Enrollment {
	w.t.Helper()
	if s.Attestation == (state.Attestation{}) {
		s.Attestation.SymmetricKey = &state.SymmetricKey{}
	}
	e, _, err := w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: name, Settings: s}, state.Unconditional)
	must(w.t, err)
	return e
}

func (w *world) putGroupEntry(name string, s state.Settings) state.EnrollmentGroup {
	w.t.Helper()
	s.Attestation.SymmetricKey = &state.SymmetricKey{}
	g, _, err := w.PutEnrollmentGroup(w.scope, state.EnrollmentGroup{ID: name, Settings: s}, state.Unconditional)
	must(w.t, err)
	return g
}

// register registers a device with the present individual enrollment.
func (w *world) register(e state.Enrollment) state.Registration {
	w.t.Helper()
	op, err := w.Register(context.Background(), state.RegisterRequest{
		Scope: w.scope, RegistrationID: e.RegistrationID, APIVersion: "2021-06-01", Enrollment: &e,
		Keys: *e.Attestation.SymmetricKey,
	})
	must(w.t, err)
	return op.Registration
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func last[A any](_ A, err error) error { return err }

func wantKind(t testing.TB, err error, want state.Kind) {
	t.Helper()
	var refusal *state.Error
	if !errors.As(err, &refusal) || refusal.Kind != want {
		t.Fatalf("got %v, want a refusal of kind %d", err, want)
	}
}
