package state

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// asyncKept is how long the record of an operation is kept after its end.
const asyncKept = 24 * time.Hour

// asyncSweep is how often expired records are deleted, while new ones are added.
const asyncSweep = time.Hour

// meta is the single row about the state itself.
type meta struct{ version uint64 }

func (m *meta) fields(c *codec) { c.uint("version", &m.version) }

func (s *State) empty() {
	s.groups = make(map[string]*Group)
	s.hubs = make(map[string]*Hub)
	s.services = make(map[string]*Service)
	s.scopes = make(map[string]string)
	s.roles = make(map[string]*RoleAssignment)
	s.identities = make(map[string]*ManagedIdentity)
	s.nextDue = time.Time{}
}

// load reads the resources, which are few and kept in memory. Everything in them stays on disk.
func (s *State) load() error {
	s.empty()
	var m meta
	if _, err := s.store.get(keyOf(tableMeta), &m); err != nil {
		return err
	}
	s.version = m.version
	err := cmp.Or(
		loadAll(s.store, tableGroup, func(g *Group) error {
			s.groups[groupName(g.Subscription, g.Name)] = g
			return nil
		}),
		loadAll(s.store, tableHub, func(h *Hub) error {
			s.hubs[h.Host()] = h
			return s.derive(h)
		}),
		loadAll(s.store, tableService, func(v *Service) error {
			s.services[v.Host()], s.scopes[strings.ToLower(v.IDScope)] = v, v.Host()
			return s.derive(v)
		}),
		loadAll(s.store, tableRole, func(a *RoleAssignment) error {
			s.roles[string(a.key())] = a
			return nil
		}),
		loadAll(s.store, tableIdentity, func(m *ManagedIdentity) error {
			s.identities[string(m.key())] = m
			return nil
		}))
	if err != nil {
		return err
	}
	s.schedule()
	return s.forgetAsync()
}

// rowOf is a pointer to T that is a row.
type rowOf[T any] interface {
	*T
	row
}

func loadAll[T any, P rowOf[T]](st *store, table byte, keep func(P) error) error {
	start, end := under(table)
	return st.scan(start, end, func(_, value []byte) (bool, error) {
		p := P(new(T))
		if err := decode(value, p); err != nil {
			return false, err
		}
		return true, keep(p)
	})
}

// page decodes up to limit rows (all if limit is not positive) after the given id, and returns the id to continue
// after, or "" at the end.
func page[T any, P rowOf[T]](st *store, table byte, parents []string, after string, limit int, id func(P) string) ([]T,
	string, error) {
	start, end := under(table, parents...)
	if after != "" {
		start = following(keyOf(table, append(slices.Clone(parents), after)...))
	}
	var items []T
	var next string
	err := st.scan(start, end, func(_, value []byte) (bool, error) {
		if limit > 0 && len(items) == limit {
			next = id(&items[limit-1])
			return false, nil
		}
		var item T
		if err := decode(value, P(&item)); err != nil {
			return false, err
		}
		items = append(items, item)
		return true, nil
	})
	return items, next, err
}

// Counts is the number of objects of each kind.
type Counts struct {
	Groups, Hubs, Services, Enrollments, EnrollmentGroups, Registrations, Operations, Devices int
}

// Counts counts by scanning, for tests and the control port.
func (s *State) Counts() (Counts, error) {
	leave, err := s.enter()
	if err != nil {
		return Counts{}, err
	}
	defer leave()
	n := Counts{Groups: len(s.groups), Hubs: len(s.hubs), Services: len(s.services)}
	for table, count := range map[byte]*int{
		tableEnrollment: &n.Enrollments, tableEnrollmentGroup: &n.EnrollmentGroups, tableRegistration: &n.Registrations,
		tableOperation: &n.Operations, tableDevice: &n.Devices,
	} {
		start, end := under(table)
		err := s.store.scan(start, end, func(_, _ []byte) (bool, error) {
			*count++
			return true, nil
		})
		if err != nil {
			return Counts{}, err
		}
	}
	return n, nil
}
