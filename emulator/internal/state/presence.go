package state

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// Connection is a device's connection, in the hands of the surface that serves it.
type Connection interface {
	// End ends the connection for one of the reasons below. It returns at once and does not call the state.
	End(reason error)
}

// Reasons for which the state ends a connection, and refuses one.
var (
	ErrDeviceChanged = errors.New("the device was disabled, deleted or given other credentials")
	ErrHubGone       = errors.New("the hub was deleted")
	ErrReset         = errors.New("the state was reset or restored")
	ErrTakenOver     = errors.New("a new connection of the same device took over")
)

// presence is the one place that knows who is connected, and when it was last heard of. It is of this process alone.
//
// An entry is of one generation of a device and goes with it: whoever deletes the device, its hub or everything
// removes the entry while nobody can connect, and ends its connection. What a connection does after its end leaves no
// trace, because it is no longer the entry's.
type presence struct {
	mu   sync.Mutex
	hubs map[string]map[string]*seen // by host, then device id
}

type seen struct {
	generation string
	// connection is nil for a device that is not connected.
	connection     Connection
	changed, heard time.Time
}

func newPresence() *presence { return &presence{hubs: make(map[string]map[string]*seen)} }

// enter makes c the connection of a device, and ends the one that it had.
func (p *presence) enter(hub, id, generation string, c Connection, now time.Time) {
	p.mu.Lock()
	of := p.entry(hub, id, generation)
	old := of.connection
	of.connection, of.changed, of.heard = c, now, now
	p.mu.Unlock()
	end(ErrTakenOver, old)
}

// entry returns the entry of that generation of a device, and makes it when it does not exist; mu is held.
func (p *presence) entry(hub, id, generation string) *seen {
	hub = strings.ToLower(hub)
	if p.hubs[hub] == nil {
		p.hubs[hub] = make(map[string]*seen)
	}
	of := p.hubs[hub][id]
	if of == nil || of.generation != generation {
		of = &seen{generation: generation}
		p.hubs[hub][id] = of
	}
	return of
}

// of is the entry whose connection is c, or nil; mu is held.
func (p *presence) of(hub, id string, c Connection) *seen {
	if of := p.hubs[strings.ToLower(hub)][id]; of != nil && of.connection == c {
		return of
	}
	return nil
}

// fill adds to d what is known of it.
func (p *presence) fill(hub string, d *Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if of := p.hubs[strings.ToLower(hub)][d.ID]; of != nil && of.generation == d.GenerationID {
		d.Connected, d.ConnectionTime, d.LastActivity = of.connection != nil, of.changed, of.heard
	}
}

func (p *presence) connected(hub string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.hubs[strings.ToLower(hub)] {
		if of.connection != nil {
			n++
		}
	}
	return n
}

// expel ends the connection of a device that may no longer have it; the device stays.
func (p *presence) expel(hub, id string, now time.Time) {
	p.mu.Lock()
	var old Connection
	if of := p.hubs[strings.ToLower(hub)][id]; of != nil && of.connection != nil {
		old, of.connection, of.changed = of.connection, nil, now
	}
	p.mu.Unlock()
	end(ErrDeviceChanged, old)
}

// forget removes a device that is no more, and ends its connection.
func (p *presence) forget(hub, id string) {
	hub = strings.ToLower(hub)
	p.mu.Lock()
	var old Connection
	if of := p.hubs[hub][id]; of != nil {
		old = of.connection
		delete(p.hubs[hub], id)
	}
	p.mu.Unlock()
	end(ErrDeviceChanged, old)
}

// drop forgets all devices of a hub that is no more.
func (p *presence) drop(hub string) {
	hub = strings.ToLower(hub)
	p.mu.Lock()
	old := connections(p.hubs[hub])
	delete(p.hubs, hub)
	p.mu.Unlock()
	end(ErrHubGone, old...)
}

// replace forgets everything but when devices were heard of; nothing is connected.
func (p *presence) replace(heard map[deviceName]activity) {
	p.mu.Lock()
	var old []Connection
	for _, devices := range p.hubs {
		old = append(old, connections(devices)...)
	}
	clear(p.hubs)
	for name, a := range heard {
		of := p.entry(name.hub, name.id, name.generation)
		of.changed, of.heard = a.connection, a.heard
	}
	p.mu.Unlock()
	end(ErrReset, old...)
}

// activities are when devices were heard of, by the names of their rows in a snapshot.
func (p *presence) activities() map[string]activity {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[string]activity)
	for hub, devices := range p.hubs {
		for id, of := range devices {
			out[snapshotName(deviceKey(hub, id))] = activity{of.changed, of.heard}
		}
	}
	return out
}

// deviceName tells a device from others of its hub, and from those of the same id before and after it.
type deviceName struct{ hub, id, generation string }

func connections(devices map[string]*seen) (all []Connection) {
	for _, of := range devices {
		if of.connection != nil {
			all = append(all, of.connection)
		}
	}
	return all
}

// end ends connections that are there; it is called without mu.
func end(reason error, all ...Connection) {
	for _, c := range all {
		if c != nil {
			c.End(reason)
		}
	}
}

// Connect makes c the connection of a device that proved itself as authenticated, and ends the one that it had. It
// refuses with ErrDeviceChanged a device that has changed since: disabled, deleted or given other credentials. From
// here until Disconnect, c is ended when that happens, or when the hub goes.
func (s *State) Connect(hub string, authenticated Device, c Connection) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := s.registry(hub); err != nil {
		return err
	}
	key := deviceKey(hub, authenticated.ID)
	// Whoever changes the device holds this lock until the change is made, and then ends the connection that it finds.
	defer s.devices.read(key)()
	var d Device
	found, err := s.store.get(key, &d)
	if err != nil {
		return err
	}
	if !found || d.GenerationID != authenticated.GenerationID || d.Disabled || !d.sameCredentials(&authenticated) {
		return ErrDeviceChanged
	}
	s.presence.enter(hub, d.ID, d.GenerationID, c, s.Now())
	return nil
}

// Disconnect notes that a connection has ended, and reports whether it was the device's present one until now.
func (s *State) Disconnect(hub, id string, c Connection) bool {
	now := s.Now()
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	of := s.presence.of(hub, id, c)
	if of == nil {
		return false
	}
	of.connection, of.changed, of.heard = nil, now, now
	return true
}

// Connection returns a device's present connection, nil when it has none.
func (s *State) Connection(hub, id string) Connection {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	if of := s.presence.hubs[strings.ToLower(hub)][id]; of != nil {
		return of.connection
	}
	return nil
}

// Heard notes that a device was heard of, and reports whether that connection is its present one.
func (s *State) Heard(hub, id string, c Connection) bool {
	now := s.Now()
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	of := s.presence.of(hub, id, c)
	if of == nil {
		return false
	}
	of.heard = now
	return true
}

// activitiesOf are those of a snapshot, without those of devices that it does not have. The caller holds world for
// writing.
func (s *State) activitiesOf(heard map[string]activity) (map[deviceName]activity, error) {
	out := make(map[deviceName]activity, len(heard))
	for name, a := range heard {
		key, err := rowKey(tableDevice, name)
		if err != nil {
			return nil, err
		}
		var d Device
		found, err := s.store.get(key, &d)
		if err != nil {
			return nil, err
		}
		if hub, id, ok := strings.Cut(string(key[1:]), string(rune(separator))); ok && found {
			out[deviceName{hub, id, d.GenerationID}] = a
		}
	}
	return out, nil
}
