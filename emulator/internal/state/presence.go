package state

import (
	"errors"
	"strings"
	"sync"
	"time"
)

// Connection is a device's connection, which a surface serves.
type Connection interface {
	// End ends the connection for one of the reasons below. It returns at once and does not call the state.
	End(reason error)
}

// Reasons for which the state ends or refuses a connection.
var (
	ErrDeviceChanged = errors.New("the device was disabled, deleted or given other credentials")
	ErrHubGone       = errors.New("the hub was deleted")
	ErrReset         = errors.New("the state was reset or restored")
	ErrTakenOver     = errors.New("a new connection of the same device replaced it")
)

// presence is the only record of which devices are connected and of their last activity. It belongs to this process.
//
// An entry belongs to one generation of a device and is deleted with it: deleting the device, its hub or everything
// removes the entry while no device can connect, and ends its connection. What a connection does after its end has no
// effect, because the entry no longer refers to it.
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

// enter makes c the connection of a device and ends its previous one.
func (p *presence) enter(hub, id, generation string, c Connection, now time.Time) {
	p.mu.Lock()
	of := p.entry(hub, id, generation)
	old := of.connection
	of.connection, of.changed, of.heard = c, now, now
	p.mu.Unlock()
	end(ErrTakenOver, old)
}

// entry returns the entry of that generation of a device, and creates it if it does not exist. mu is held.
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

// of returns the entry whose connection is c, or nil. mu is held.
func (p *presence) of(hub, id string, c Connection) *seen {
	if of := p.hubs[strings.ToLower(hub)][id]; of != nil && of.connection == c {
		return of
	}
	return nil
}

// fill adds the known activity to d.
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

// expel ends the connection of a device that may no longer have one. The device is kept.
func (p *presence) expel(hub, id string, now time.Time) {
	p.mu.Lock()
	var old Connection
	if of := p.hubs[strings.ToLower(hub)][id]; of != nil && of.connection != nil {
		old, of.connection, of.changed = of.connection, nil, now
	}
	p.mu.Unlock()
	end(ErrDeviceChanged, old)
}

// forget removes a deleted device and ends its connection.
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

// drop removes all devices of a deleted hub.
func (p *presence) drop(hub string) {
	hub = strings.ToLower(hub)
	p.mu.Lock()
	old := connections(p.hubs[hub])
	delete(p.hubs, hub)
	p.mu.Unlock()
	end(ErrHubGone, old...)
}

// replace removes everything but the times of last activity. No device is connected afterwards.
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

// activities returns the times of last activity, by the names of their rows in a snapshot.
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

// deviceName distinguishes a device from others of its hub and from earlier and later ones with the same id.
type deviceName struct{ hub, id, generation string }

func connections(devices map[string]*seen) (all []Connection) {
	for _, of := range devices {
		if of.connection != nil {
			all = append(all, of.connection)
		}
	}
	return all
}

// end ends connections that are not nil. It is called without mu.
func end(reason error, all ...Connection) {
	for _, c := range all {
		if c != nil {
			c.End(reason)
		}
	}
}

// Connect makes c the connection of a device that authenticated as authenticated, and ends its previous one. It
// refuses with ErrDeviceChanged if the device has changed since: disabled, deleted or given other credentials. Until
// Disconnect, c is ended when that happens or when the hub is deleted.
func (s *State) Connect(hub string, authenticated Device, c Connection) error {
	// A change of the device holds the device's lock until it is stored, and then ends the connection that it finds.
	leave, err := s.readDevice(hub, authenticated.ID)
	if err != nil {
		return err
	}
	defer leave()
	var d Device
	found, err := s.store.get(deviceKey(hub, authenticated.ID), &d)
	if err != nil {
		return err
	}
	if !found || d.GenerationID != authenticated.GenerationID || d.Disabled || !d.sameCredentials(&authenticated) {
		return ErrDeviceChanged
	}
	s.presence.enter(hub, d.ID, d.GenerationID, c, s.Now())
	return nil
}

// Disconnect records that a connection has ended and reports whether it was the device's current one.
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

// Connection returns a device's current connection, or nil.
func (s *State) Connection(hub, id string) Connection {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	if of := s.presence.hubs[strings.ToLower(hub)][id]; of != nil {
		return of.connection
	}
	return nil
}

// RecordActivity records activity of a device and reports whether that connection is its current one.
func (s *State) RecordActivity(hub, id string, c Connection) bool {
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

// activitiesOf returns the activities of a snapshot whose devices exist in it. The caller holds world for writing.
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
