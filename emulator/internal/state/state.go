// Package state holds the data of the emulated cloud: resource groups, IoT hubs, provisioning services, enrollments,
// registrations, devices and their twins. It also makes decisions that depend on the data, such as allocation.
//
// It knows no protocol: no HTTP, no MQTT, none of Azure's JSON. The surfaces (ARM, DPS service, DPS device, IoT Hub)
// translate to and from it. Every method that changes something returns only after the change is synced to the store,
// so that what it returned is never lost. All methods may be called concurrently.
package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system for a store.
type FS = vfs.FS

// Options configure a state.
type Options struct {
	// Dir is the store's folder, created if it does not exist. If empty, the state is in memory and is lost on Close.
	Dir string
	// FS replaces the file system under Dir. Tests use one that loses what was not synced.
	FS FS
	// Now is the clock. Nil means time.Now. Times are stored in UTC. Clock replaces it with a clock that can be
	// moved.
	Now   func() time.Time
	Clock *Clock
	// Random is the source of keys, scopes and etags. Nil means crypto/rand.
	Random io.Reader
	// Latencies are the latencies from the emulated devices to Azure locations, for GeoLatency. Keys are location
	// names in any spelling ("West Europe", "westeurope"). A location that is not listed counts as farther than every
	// listed one.
	Latencies map[string]time.Duration
	// HubSettings reads a hub's Properties, which are in the format of the ARM surface, and ServiceSettings those of a
	// service. Nil: they have the default settings.
	HubSettings     func(properties []byte) (HubSettings, error)
	ServiceSettings func(properties []byte) (ServiceSettings, error)
	// Principals reads the identities of a provisioning service from its Properties. Nil: services have none.
	Principals func(Resource) (Principals, error)
	// Logger receives the reason why the state became read-only, and what a start had to drop. It may be nil.
	Logger *slog.Logger
	// Beside is called from time to time and checks the files that are stored beside the store. Its error makes the
	// state read-only. It may be nil.
	Beside func() error
}

// State is the emulated cloud.
//
// Locks are taken in this order: world, then dps, then devices. Code that reads or changes rows of a hub or a service
// holds world for reading, so that the parent cannot be deleted meanwhile. Code that changes the resources themselves
// holds it for writing.
type State struct {
	store     *store
	clock     *Clock
	random    io.Reader
	latencies map[string]time.Duration
	// hubSettings and serviceSettings read the properties of hubs and services.
	hubSettings     func(properties []byte) (HubSettings, error)
	serviceSettings func(properties []byte) (ServiceSettings, error)
	// principals reads the properties of provisioning services.
	principals func(Resource) (Principals, error)
	// requireRoles is what RequireRoles set.
	requireRoles atomic.Bool

	// world guards the fields down to version.
	world    sync.RWMutex
	closed   bool
	groups   map[string]*Group
	hubs     map[string]*Hub     // by host
	services map[string]*Service // by host
	scopes   map[string]string   // lower-case ID scope to host
	// roles and identities are by the keys of their rows.
	roles      map[string]*RoleAssignment
	identities map[string]*ManagedIdentity
	nextDue    time.Time // when the first transition ends; zero without transitions
	version    uint64    // of the resource or child that was changed last
	// asyncSwept is when expired records of operations were last deleted.
	asyncSwept time.Time
	onHosts    []func()

	// dps guards enrollments, groups and registrations by key, devices guards devices and twins.
	dps, devices *stripes

	presence *presence
	locks    cloudMessageLocks
	desired  *feed
}

// Open opens the store in o.Dir, or creates it. See ErrInUse, ErrNewer, ErrOlder and ErrCorrupt.
func Open(o Options) (*State, error) {
	dir, files := o.Dir, o.FS
	switch {
	case dir == "":
		dir, files = "state", vfs.NewMem()
	case files == nil:
		files = vfs.Default
	}
	s := &State{
		clock: o.Clock, random: &sharedReader{r: o.Random}, latencies: make(map[string]time.Duration),
		hubSettings: o.HubSettings, serviceSettings: o.ServiceSettings, principals: o.Principals,
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

// Close closes the state. Calls in progress finish first; later ones return ErrClosed.
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

// Err returns why the state is read-only, see Stopped, with the original cause. It is nil while the state accepts
// changes.
func (s *State) Err() error {
	if failed := s.store.failed.Load(); failed != nil {
		return *failed
	}
	return nil
}

// Now returns the time of the state's clock, in UTC, in steps of 100 ns, as Azure shows it.
func (s *State) Now() time.Time { return s.clock.Now().Truncate(100 * time.Nanosecond) }

// At calls f when the state's clock reaches at, as Clock.At does.
func (s *State) At(at time.Time, f func()) (stop func()) { return s.clock.At(at, f) }

// Revision changes whenever a resource, a certificate or an enrollment may have changed: data that was read after the
// same revision is still valid. Registrations, devices and twins do not count.
func (s *State) Revision() (uint64, error) {
	leave, err := s.enter() // applies the transitions that are due
	if err != nil {
		return 0, err
	}
	defer leave()
	return s.store.revision.Load(), nil
}

// OnHosts calls f whenever a hub or a provisioning service may have been created, changed or deleted. f must return
// at once and not call the state.
func (s *State) OnHosts(f func()) {
	s.world.Lock()
	defer s.world.Unlock()
	s.onHosts = append(s.onHosts, f)
}

// notifyHosts calls the functions of OnHosts. The caller holds world for writing.
func (s *State) notifyHosts() {
	for _, f := range s.onHosts {
		f()
	}
}

// Reset deletes everything and ends every connection.
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
	s.notifyHosts()
	return nil
}

// enter begins a call that reads resources and reads or changes what is in them. It applies the transitions that are
// due.
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

// alter begins a call that changes resources. No other call runs until leave.
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

// sharedReader makes a source that permits one caller at a time safe for many.
type sharedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (s *sharedReader) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return io.ReadFull(s.r, p)
}

// locationName normalizes names: "West Europe" and "westeurope" are equal.
func locationName(location string) string {
	return strings.ToLower(strings.ReplaceAll(location, " ", ""))
}
