package state

import (
	"maps"
	"strings"
	"time"
)

// settleTransitions applies the transitions that are due: resources become Active, and deleted ones are removed with
// everything in them. The caller holds world for writing.
func (s *State) settleTransitions() error {
	now := s.Now()
	if s.nextDue.IsZero() || now.Before(s.nextDue) {
		return nil
	}
	b := s.store.batch()
	var hubs, services []string
	var groups []*Group
	for host, h := range s.hubs {
		if s.ends(&h.Resource, now) {
			hubs = append(hubs, host)
		}
	}
	for host, v := range s.services {
		if s.ends(&v.Resource, now) {
			services = append(services, host)
		}
	}
	for _, g := range s.groups {
		if g.Phase == Deleting && !g.Due.After(now) {
			groups = append(groups, g)
		}
	}
	s.purge(b, groups, hubs, services)
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.forget(groups, hubs, services)
	if len(hubs)+len(services) > 0 {
		s.notifyHosts()
	}
	s.schedule()
	return nil
}

// ends makes r Active if its transition is due, or reports that r must be deleted. A row keeps the phase it was
// written with: the current phase follows from its due time.
func (s *State) ends(r *Resource, now time.Time) bool {
	if r.Phase == Active || r.Due.After(now) {
		return false
	}
	if r.Phase == Deleting {
		return true
	}
	r.Phase, r.Due = Active, time.Time{}
	return false
}

// purge adds the removal of the resources, of everything in them and of the role assignments on them to b.
func (s *State) purge(b *batch, groups []*Group, hubs, services []string) {
	for _, a := range s.rolesOn(groups, hubs, services) {
		b.delete(a.key())
	}
	for _, g := range groups {
		b.delete(g.key())
		b.deleteRange(under(tableIdentity, strings.ToLower(g.Subscription), strings.ToLower(g.Name)))
	}
	for _, host := range hubs {
		b.delete(s.hubs[host].key())
		for _, table := range []byte{tableDevice, tableTwin, tableCloudMessage, tableFeedback, tableSubscription,
			tableChild} {
			b.deleteRange(under(table, host))
		}
	}
	for _, host := range services {
		v := s.services[host]
		b.delete(v.key())
		b.deleteRange(under(tableChild, host))
		scope := strings.ToLower(v.IDScope)
		for _, table := range []byte{tableEnrollment, tableEnrollmentGroup, tableRegistration, tableGroupMember,
			tableOperation} {
			b.deleteRange(under(table, scope))
		}
	}
}

// rolesOn returns the role assignments at resources and groups and below them.
func (s *State) rolesOn(groups []*Group, hubs, services []string) []*RoleAssignment {
	var out []*RoleAssignment
	for _, g := range groups {
		out = append(out, s.rolesIn(Scope{Subscription: g.Subscription, Group: g.Name})...)
	}
	for _, host := range hubs {
		out = append(out, s.rolesIn(scopeOf(hubKind, s.hubs[host].ID))...)
	}
	for _, host := range services {
		out = append(out, s.rolesIn(scopeOf(serviceKind, s.services[host].ID))...)
	}
	return out
}

// forget removes from memory what purge removed from the store.
func (s *State) forget(groups []*Group, hubs, services []string) {
	for _, a := range s.rolesOn(groups, hubs, services) {
		delete(s.roles, string(a.key()))
	}
	for _, g := range groups {
		delete(s.groups, groupName(g.Subscription, g.Name))
		maps.DeleteFunc(s.identities, func(_ string, m *ManagedIdentity) bool { return m.ID.in(g) })
	}
	for _, host := range hubs {
		delete(s.hubs, host)
		s.presence.drop(host)
		for _, table := range []byte{tableCloudMessage, tableFeedback} {
			start, _ := under(table, host)
			s.locks.forget(string(start))
		}
	}
	for _, host := range services {
		delete(s.scopes, strings.ToLower(s.services[host].IDScope))
		delete(s.services, host)
	}
}

// schedule finds the end of the next transition.
func (s *State) schedule() {
	s.nextDue = time.Time{}
	note := func(p Phase, due time.Time) {
		if p != Active && (s.nextDue.IsZero() || due.Before(s.nextDue)) {
			s.nextDue = due
		}
	}
	for _, g := range s.groups {
		note(g.Phase, g.Due)
	}
	for _, h := range s.hubs {
		note(h.Phase, h.Due)
	}
	for _, v := range s.services {
		note(v.Phase, v.Due)
	}
}

// begin puts r into a transition of that duration, or makes it Active if the duration is zero.
func (s *State) begin(r *Resource, p Phase, took time.Duration) {
	if took <= 0 {
		r.Phase, r.Due = Active, time.Time{}
		return
	}
	r.Phase, r.Due = p, s.Now().Add(took)
}

// idle refuses to change a resource in transition.
func idle(object string, r Resource) error {
	if r.Phase == Active {
		return nil
	}
	return &Error{Kind: Busy, Object: object, Reason: "is " + string(r.Phase) + "; try again when it is Active"}
}
