package state

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

func (v *Service) fields(c *codec) {
	v.Resource.fields(c)
	text(c, "idScope", &v.IDScope)
	text(c, "allocation", &v.Allocation)
	list(c, "links", &v.Links, func(l *Link) { l.fields(c) })
}

func (l *Link) fields(c *codec) {
	text(c, "hubHost", &l.HubHost)
	text(c, "keyName", &l.KeyName)
	text(c, "key", &l.Key)
	text(c, "location", &l.Location)
	optional(c, "apply", &l.Apply, func(apply *bool) { c.flags(flag{"", apply}) })
	weight := func(weight *int) {
		n := int64(*weight)
		c.int("", &n)
		*weight = int(n)
	}
	isWeighted, hasIdentity := l.Weight != nil, l.Identity != "" || l.User != ""
	if c.doc != nil {
		optional(c, "weight", &l.Weight, weight)
	} else {
		c.flags(flag{"", &isWeighted}, flag{"", &hasIdentity}) // rows of earlier versions have the first flag only
		if c.reading && isWeighted {
			l.Weight = new(int)
		}
		if isWeighted {
			weight(l.Weight)
		}
	}
	if c.doc != nil || hasIdentity {
		text(c, "identity", &l.Identity)
		text(c, "user", &l.User)
	}
}

func (v *Service) key() []byte { return keyOf(tableService, v.Host()) }

func (v *Service) copy() Service {
	out := *v
	out.Resource = v.Resource.copy()
	out.Links = slices.Clone(v.Links)
	out.Principals.Users = maps.Clone(v.Principals.Users)
	for i := range out.Links {
		l := &out.Links[i]
		l.Apply, l.Weight = clone(l.Apply), clone(l.Weight)
	}
	return out
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

func serviceObject(name string) string { return fmt.Sprintf("provisioning service %q", name) }

func noService(name string) error {
	return &Error{Kind: NotFound, Object: serviceObject(name), Reason: "does not exist"}
}

func (s *State) service(id ResourceID) (*Service, error) {
	v := s.services[ServiceHost(id.Name)]
	if v == nil || !v.ID.is(id) {
		return nil, noService(id.Name)
	}
	return v, nil
}

// Service returns the provisioning service with that id.
func (s *State) Service(id ResourceID) (Service, error) {
	return s.copyOfService(func() (*Service, error) { return s.service(id) })
}

// ServiceByHost returns the provisioning service with that host name, in any phase.
func (s *State) ServiceByHost(host string) (Service, error) {
	return s.copyOfService(func() (*Service, error) {
		if v := s.services[strings.ToLower(host)]; v != nil {
			return v, nil
		}
		return nil, noService(host)
	})
}

// ServiceByScope returns the provisioning service with that ID scope, in any phase.
func (s *State) ServiceByScope(idScope string) (Service, error) {
	return s.copyOfService(func() (*Service, error) {
		if v, err := s.scope(idScope); err == nil {
			return v, nil
		}
		return nil, &Error{Kind: NotFound, Object: fmt.Sprintf("ID scope %q", idScope), Reason: "does not exist"}
	})
}

// copyOfService returns a copy of the stored service that find returns. find is called with world held.
func (s *State) copyOfService(find func() (*Service, error)) (Service, error) {
	leave, err := s.enter()
	if err != nil {
		return Service{}, err
	}
	defer leave()
	v, err := find()
	if err != nil {
		return Service{}, err
	}
	return v.copy(), nil
}

// scope returns the stored service with that ID scope, for access to what is in it. The caller holds world.
func (s *State) scope(idScope string) (*Service, error) {
	v := s.services[s.scopes[strings.ToLower(idScope)]]
	if v == nil {
		return nil, &Error{Kind: ParentNotFound, Object: fmt.Sprintf("ID scope %q", idScope), Reason: "does not exist"}
	}
	return v, nil
}

// Services lists as Hubs does.
func (s *State) Services(subscription, group string) ([]Service, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []Service
	for _, host := range slices.Sorted(maps.Keys(s.services)) {
		if v := s.services[host]; v.ID.within(subscription, group) {
			out = append(out, v.copy())
		}
	}
	return out, nil
}

// PutService creates or replaces a provisioning service and refuses as PutHub does. The ID scope is generated at
// creation. An empty Allocation keeps the current one, which is Hashed at first. Nil Links keep the current ones,
// empty ones unlink all; a link without Identity and Key keeps the stored key for its hub and key name, or is Invalid
// without one.
func (s *State) PutService(v Service, etag string, took time.Duration) (Service, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return Service{}, false, err
	}
	defer leave()
	object, old := serviceObject(v.ID.Name), s.services[v.Host()]
	var known *Resource
	if old != nil {
		known = &old.Resource
	}
	next := v.copy()
	phase, err := s.replace(object, &next.Resource, known, etag)
	if err != nil {
		return Service{}, false, err
	}
	if err := s.completeService(object, &next, old); err != nil {
		return Service{}, false, err
	}
	if err := s.derive(&next); err != nil {
		return Service{}, false, err
	}
	s.begin(&next.Resource, phase, took)
	return next.copy(), old == nil, s.keepService(&next)
}

// completeService does for the fields of a service what completeResource does for those of every resource.
func (s *State) completeService(object string, v, old *Service) error {
	var known []Link
	if old == nil {
		scope, err := s.newScope()
		if err != nil {
			return err
		}
		v.IDScope = scope
	} else {
		v.IDScope, known = old.IDScope, old.Links
		if v.Links == nil {
			v.Links = old.copy().Links
		}
		if v.Allocation == "" {
			v.Allocation = old.Allocation
		}
	}
	if v.Allocation == "" {
		v.Allocation = Hashed
	}
	seen := make(map[string]bool)
	for i := range v.Links {
		l := &v.Links[i]
		l.HubHost = strings.ToLower(l.HubHost)
		if seen[l.HubHost] {
			return &Error{Kind: Invalid, Object: object, Reason: "links " + l.HubHost + " twice"}
		}
		seen[l.HubHost] = true
		if l.Identity != "" {
			l.KeyName, l.Key = "", ""
			continue
		}
		if l.Key == "" {
			l.Key = storedKey(*l, known)
		}
		if l.Key == "" {
			return &Error{Kind: Invalid, Object: object, Reason: "links " + l.HubHost + " without a key"}
		}
	}
	return nil
}

// newScope makes an ID scope as "0ne004E2F06".
func (s *State) newScope() (string, error) {
	for {
		var b [4]byte
		if _, err := io.ReadFull(s.random, b[:]); err != nil {
			return "", fmt.Errorf("make ID scope: %w", err)
		}
		scope := "0ne" + strings.ToUpper(hex.EncodeToString(b[:]))
		if _, taken := s.scopes[strings.ToLower(scope)]; !taken {
			return scope, nil
		}
	}
}

// SetServiceTags replaces a service's tags.
func (s *State) SetServiceTags(id ResourceID, tags map[string]string, took time.Duration) (Service, error) {
	leave, err := s.alter()
	if err != nil {
		return Service{}, err
	}
	defer leave()
	v, err := s.service(id)
	if err != nil {
		return Service{}, err
	}
	if err := idle(serviceObject(id.Name), v.Resource); err != nil {
		return Service{}, err
	}
	next := v.copy()
	next.Tags, next.Version = maps.Clone(tags), s.version+1
	s.begin(&next.Resource, Transitioning, took)
	return next.copy(), s.keepService(&next)
}

// DeleteService deletes a provisioning service with its enrollments and registrations, as DeleteHub does a hub.
func (s *State) DeleteService(id ResourceID, took time.Duration) (Service, error) {
	leave, err := s.alter()
	if err != nil {
		return Service{}, err
	}
	defer leave()
	v, err := s.service(id)
	if err != nil {
		return Service{}, err
	}
	if v.Phase == Deleting {
		return v.copy(), nil
	}
	if err := idle(serviceObject(id.Name), v.Resource); err != nil {
		return Service{}, err
	}
	next := v.copy()
	next.Phase, next.Due, next.Version = Deleting, s.Now().Add(max(took, 0)), s.version+1
	if err := s.keepService(&next); err != nil {
		return Service{}, err
	}
	return next.copy(), s.settleTransitions()
}

func (s *State) keepService(v *Service) error {
	b := s.store.batch()
	b.put(v.key(), v)
	b.put(keyOf(tableMeta), &meta{v.Version})
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.services[v.Host()], s.version = v, v.Version
	s.scopes[strings.ToLower(v.IDScope)] = v.Host()
	s.schedule()
	s.notifyHosts()
	return nil
}
