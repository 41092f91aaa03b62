// Package state holds everything that is true in the emulated cloud: resource groups, IoT hubs, provisioning services, enrollments,
// registrations, devices and their twins, and decides what follows from them, allocation included.
//
// It speaks no protocol: no HTTP, no MQTT, no JSON of Azure's. The surfaces (ARM, DPS service, DPS device, IoT Hub) translate to and
// from it. Every method that changes something returns only after the change is synced to the store; what it returned is never lost.
// All methods may be called concurrently.
package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system that a store can be in.
type FS = vfs.FS

// Options say where the state lives and where its time and chance come from.
type Options struct {
	// Dir is the store's folder, made when absent. Empty: the state lives in memory and ends with Close.
	Dir string
	// FS replaces the file system under Dir; tests use one that forgets what was not synced.
	FS FS
	// Now is the clock; time.Now when nil. Times are kept in UTC. Clock takes its place, for a time that can be moved.
	Now   func() time.Time
	Clock *Clock
	// Random is where keys, scopes and etags come from; crypto/rand when nil.
	Random io.Reader
	// Latencies say how far each Azure location is from where the emulated devices stand, for GeoLatency. Keys are location
	// names in any spelling ("West Europe", "westeurope"). A location that is not listed counts as farther than every listed one.
	Latencies map[string]time.Duration
	// HubSettings reads a hub's Properties, whose form is that of the ARM surface. Nil: hubs have the default settings.
	HubSettings func(properties []byte) (HubSettings, error)
	// Logger hears why the state takes no more changes, and what a start had to drop; nobody does when nil.
	Logger *slog.Logger
	// Beside is called now and then, and looks at the files that are kept beside the store: its error ends all changes.
	// Nil looks at none.
	Beside func() error
}

// State is the emulated cloud.
//
// Locks are taken in this order: world, then dps, then devices. Whoever reads or changes rows of a hub or a service holds world for
// reading, so that its parent cannot go away meanwhile; whoever changes the resources themselves holds it for writing.
type State struct {
	store     *store
	clock     *Clock
	random    io.Reader
	latencies map[string]time.Duration
	// hubSettings reads the properties of hubs.
	hubSettings func(properties []byte) (HubSettings, error)

	// world guards the fields down to version.
	world    sync.RWMutex
	closed   bool
	groups   map[string]*Group
	hubs     map[string]*Hub     // by host
	services map[string]*Service // by host
	scopes   map[string]string   // lower-case ID scope to host
	nextDue  time.Time           // when the first transition ends; zero when none is under way
	version  uint64              // of the resource or child changed last
	// asyncSwept is when records of operations were last looked through.
	asyncSwept time.Time
	onHosts    []func()

	// dps guards enrollments, groups and registrations by key, devices guards devices and twins.
	dps, devices *stripes

	presence *presence
	locks    cloudMessageLocks
	desired  *feed
}

// Open opens the store of o.Dir, or makes it. See ErrInUse, ErrNewer, ErrOlder and ErrCorrupt.
func Open(o Options) (*State, error) {
	dir, files := o.Dir, o.FS
	switch {
	case dir == "":
		dir, files = "state", vfs.NewMem()
	case files == nil:
		files = vfs.Default
	}
	s := &State{
		clock: o.Clock, random: &sharedReader{r: o.Random}, latencies: make(map[string]time.Duration), hubSettings: o.HubSettings,
		dps: newStripes(), devices: newStripes(),
		presence: newPresence(), locks: newCloudMessageLocks(),
	}
	if s.clock == nil {
		s.clock = NewClock(o.Now)
	}
	if o.Random == nil {
		s.random = rand.Reader
	}
	for location, latency := range o.Latencies {
		s.latencies[locationName(location)] = latency
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Beside == nil {
		o.Beside = func() error { return nil }
	}
	var err error
	if s.store, err = openStore(dir, files, o.Logger); err != nil {
		return nil, err
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("load store %s: %w", dir, err), s.store.close())
	}
	s.desired = newFeed()
	if o.Dir != "" {
		s.store.watch(o.Beside)
	}
	return s, nil
}

// Close ends the state; calls under way finish first, later ones return ErrClosed.
func (s *State) Close() error {
	s.desired.close()
	s.world.Lock()
	defer s.world.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.store.close()
}

// Err says why the state can be changed no more, see Stopped, and the cause's own words. It is nil while it can.
func (s *State) Err() error {
	if failed := s.store.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Now is the state's clock, in UTC, in the 100 ns steps that Azure shows.
func (s *State) Now() time.Time { return s.clock.Now().Truncate(100 * time.Nanosecond) }

// At calls f when the state's clock shows at, as Clock.At does.
func (s *State) At(at time.Time, f func()) (stop func()) { return s.clock.At(at, f) }

// Revision changes whenever a resource, a certificate or an enrollment may have changed: what was read of them after the same revision still
// holds. Registrations, devices and twins do not count.
func (s *State) Revision() (uint64, error) {
	leave, err := s.enter() // transitions that are due have happened
	if err != nil {
		return 0, err
	}
	defer leave()
	return s.store.revision.Load(), nil
}

// OnHosts calls f whenever a hub or a provisioning service was made, changed or deleted, or may have been. f must return at once and not call the state.
func (s *State) OnHosts(f func()) {
	s.world.Lock()
	defer s.world.Unlock()
	s.onHosts = append(s.onHosts, f)
}

// tellHosts calls those of OnHosts; the caller holds world for writing.
func (s *State) tellHosts() {
	for _, f := range s.onHosts {
		f()
	}
}

// Reset removes everything, and ends every connection.
func (s *State) Reset() error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	defer leave()
	b := s.store.batch()
	b.deleteRange(following(formatKey), []byte{0xff})
	b.put(keyOf(tableMeta), &meta{s.version})
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.presence.replace(nil)
	s.locks.forget("")
	s.empty()
	s.tellHosts()
	return nil
}

// enter begins a call that reads resources and reads or changes what lies in them. Transitions that are due have happened.
func (s *State) enter() (leave func(), err error) {
	s.world.RLock()
	if !s.closed && (s.nextDue.IsZero() || s.Now().Before(s.nextDue)) {
		return s.world.RUnlock, nil
	}
	s.world.RUnlock()
	leave, err = s.alter()
	if err != nil {
		return nil, err
	}
	leave()
	s.world.RLock()
	if s.closed {
		s.world.RUnlock()
		return nil, ErrClosed
	}
	return s.world.RUnlock, nil
}

// alter begins a call that changes resources; nothing else runs until leave.
func (s *State) alter() (leave func(), err error) {
	s.world.Lock()
	if s.closed {
		err = ErrClosed
	} else {
		err = s.settleTransitions()
	}
	if err != nil {
		s.world.Unlock()
		return nil, err
	}
	return s.world.Unlock, nil
}

// sharedReader lets many callers read from a source that takes one at a time.
type sharedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (s *sharedReader) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.ReadFull(s.r, p)
}

// locationName makes "West Europe" and "westeurope" one.
func locationName(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}
