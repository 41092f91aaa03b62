package state

import (
	"strings"
	"sync"
	"time"
)

// presence is what is connected, and when it was last heard of. It is of this process alone.
type presence struct {
	mu   sync.Mutex
	hubs map[string]map[string]seen // by host, then device id
	// onGone are called without mu.
	onGone []func(hub, id string)
}

type seen struct {
	connected      bool
	changed, heard time.Time
}

func newPresence() *presence { return &presence{hubs: make(map[string]map[string]seen)} }

func (p *presence) note(hub, id string, change func(*seen)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	hub = strings.ToLower(hub)
	if p.hubs[hub] == nil {
		p.hubs[hub] = make(map[string]seen)
	}
	of := p.hubs[hub][id]
	change(&of)
	p.hubs[hub][id] = of
}

// fill adds to d what is known of it.
func (p *presence) fill(hub string, d *Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	of := p.hubs[strings.ToLower(hub)][d.ID]
	d.Connected, d.ConnectionTime, d.LastActivity = of.connected, of.changed, of.heard
}

func (p *presence) connected(hub string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, of := range p.hubs[strings.ToLower(hub)] {
		if of.connected {
			n++
		}
	}
	return n
}

// forget drops what is known of a device that is no more.
func (p *presence) forget(hub, id string) {
	hub = strings.ToLower(hub)
	p.mu.Lock()
	delete(p.hubs[hub], id)
	tell := p.onGone
	p.mu.Unlock()
	for _, f := range tell {
		f(hub, id)
	}
}

// drop forgets all devices of a hub that is no more.
func (p *presence) drop(hub string) {
	hub = strings.ToLower(hub)
	p.mu.Lock()
	delete(p.hubs, hub)
	tell := p.onGone
	p.mu.Unlock()
	for _, f := range tell {
		f(hub, "")
	}
}

func (p *presence) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.hubs)
}

// SetConnected notes that a device connected or disconnected; kept in memory only.
func (s *State) SetConnected(hub, id string, connected bool) {
	now := s.Now()
	s.presence.note(hub, id, func(of *seen) { of.connected, of.changed, of.heard = connected, now, now })
}

// Touch notes that a device was heard of; kept in memory only.
func (s *State) Touch(hub, id string) {
	now := s.Now()
	s.presence.note(hub, id, func(of *seen) { of.heard = now })
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

// replace forgets everything but when the devices named as in activities were heard of; nothing is connected.
func (p *presence) replace(heard map[string]activity) {
	p.clear()
	for name, a := range heard {
		if key, err := rowKey(tableDevice, name); err == nil {
			if hub, id, ok := strings.Cut(string(key[1:]), string(rune(separator))); ok {
				p.note(hub, id, func(of *seen) { of.changed, of.heard = a.connection, a.heard })
			}
		}
	}
}

// OnGone calls f when a device was deleted, by whatever way, or with an empty id when its whole hub was. The host is in lower case. f must
// return at once and not call the state.
func (s *State) OnGone(f func(hub, id string)) {
	s.presence.mu.Lock()
	defer s.presence.mu.Unlock()
	s.presence.onGone = append(s.presence.onGone, f)
}
