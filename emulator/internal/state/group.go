package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func groupName(subscription, name string) string {
	return strings.ToLower(subscription) + "/" + strings.ToLower(name)
}

func (g *Group) key() []byte {
	return keyOf(tableGroup, strings.ToLower(g.Subscription), strings.ToLower(g.Name))
}

func (g *Group) fields(c *codec) {
	text(c, "subscription", &g.Subscription)
	text(c, "name", &g.Name)
	text(c, "location", &g.Location)
	c.tags("tags", &g.Tags)
	c.time("created", &g.Created)
	text(c, "phase", &g.Phase)
	c.time("due", &g.Due)
}

func (g *Group) copy() Group {
	out := *g
	out.Tags = maps.Clone(g.Tags)
	return out
}

func groupObject(name string) string { return fmt.Sprintf("resource group %q", name) }

// Group returns the resource group with that name.
func (s *State) Group(subscription, name string) (Group, error) {
	leave, err := s.enter()
	if err != nil {
		return Group{}, err
	}
	defer leave()
	g := s.groups[groupName(subscription, name)]
	if g == nil {
		return Group{}, &Error{Kind: NotFound, Object: groupObject(name), Reason: "does not exist"}
	}
	return g.copy(), nil
}

// Groups returns the resource groups of the subscription, sorted by name, or all groups if subscription is empty.
func (s *State) Groups(subscription string) ([]Group, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []Group
	for _, g := range s.groups {
		if subscription == "" || strings.EqualFold(g.Subscription, subscription) {
			out = append(out, g.copy())
		}
	}
	slices.SortFunc(out, func(a, b Group) int {
		return cmp.Compare(groupName(a.Subscription, a.Name), groupName(b.Subscription, b.Name))
	})
	return out, nil
}

// PutGroup creates a resource group or replaces its tags, and reports whether it created one. A changed location is
// Invalid; a group that is being deleted is Busy.
func (s *State) PutGroup(g Group) (Group, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return Group{}, false, err
	}
	defer leave()
	g.Created, g.Phase, g.Due, g.Tags = s.Now(), Active, time.Time{}, maps.Clone(g.Tags)
	old := s.groups[groupName(g.Subscription, g.Name)]
	if old != nil {
		if old.Phase != Active {
			return Group{}, false, &Error{Kind: Busy, Object: groupObject(g.Name), Reason: "is being deleted"}
		}
		if locationName(old.Location) != locationName(g.Location) {
			return Group{}, false, &Error{Kind: Invalid, Object: groupObject(g.Name), Reason: "is in " + old.Location +
				"; the location of a resource group cannot be changed"}
		}
		g.Subscription, g.Name, g.Location, g.Created = old.Subscription, old.Name, old.Location, old.Created
	}
	return g.copy(), old == nil, s.keepGroup(&g)
}

// SetGroupTags replaces a resource group's tags.
func (s *State) SetGroupTags(subscription, name string, tags map[string]string) (Group, error) {
	leave, err := s.alter()
	if err != nil {
		return Group{}, err
	}
	defer leave()
	g := s.groups[groupName(subscription, name)]
	if g == nil {
		return Group{}, &Error{Kind: NotFound, Object: groupObject(name), Reason: "does not exist"}
	}
	changed := *g
	changed.Tags = maps.Clone(tags)
	return changed.copy(), s.keepGroup(&changed)
}

func (s *State) keepGroup(g *Group) error {
	b := s.store.batch()
	b.put(g.key(), g)
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.groups[groupName(g.Subscription, g.Name)] = g
	return nil
}

// DeleteGroup deletes a resource group and every resource in it, which takes the duration took. Deleting a group that
// is being deleted changes nothing.
func (s *State) DeleteGroup(subscription, name string, took time.Duration) error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	defer leave()
	g := s.groups[groupName(subscription, name)]
	if g == nil {
		return &Error{Kind: NotFound, Object: groupObject(name), Reason: "does not exist"}
	}
	if g.Phase == Deleting {
		return nil
	}
	var hubs, services []string
	for host, h := range s.hubs {
		if h.ID.in(g) {
			hubs = append(hubs, host)
		}
	}
	for host, v := range s.services {
		if v.ID.in(g) {
			services = append(services, host)
		}
	}
	if took > 0 {
		return s.scheduleDeletion(g, hubs, services, s.Now().Add(took))
	}
	b := s.store.batch()
	s.purge(b, []*Group{g}, hubs, services)
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.forget([]*Group{g}, hubs, services)
	s.schedule()
	s.notifyHosts()
	return nil
}

// scheduleDeletion marks the group and its resources for deletion at due.
func (s *State) scheduleDeletion(g *Group, hubs, services []string, due time.Time) error {
	b := s.store.batch()
	dead := *g
	dead.Phase, dead.Due = Deleting, due
	b.put(dead.key(), &dead)
	deadHubs, deadServices := make(map[string]*Hub), make(map[string]*Service)
	for _, host := range hubs {
		h := *s.hubs[host]
		h.Phase, h.Due = Deleting, due
		b.put(h.key(), &h)
		deadHubs[host] = &h
	}
	for _, host := range services {
		v := *s.services[host]
		v.Phase, v.Due = Deleting, due
		b.put(v.key(), &v)
		deadServices[host] = &v
	}
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.groups[groupName(g.Subscription, g.Name)] = &dead
	maps.Copy(s.hubs, deadHubs)
	maps.Copy(s.services, deadServices)
	s.schedule()
	return nil
}

// in reports whether the resource is in the group.
func (id ResourceID) in(g *Group) bool {
	return groupName(id.Subscription, id.Group) == groupName(g.Subscription, g.Name)
}

// home returns the group of a new resource.
func (s *State) home(object string, id ResourceID) error {
	switch g := s.groups[groupName(id.Subscription, id.Group)]; {
	case g == nil:
		return &Error{Kind: ParentNotFound, Object: object, Reason: groupObject(id.Group) + " does not exist"}
	case g.Phase != Active:
		return &Error{Kind: Busy, Object: object, Reason: groupObject(id.Group) + " is being deleted"}
	}
	return nil
}
