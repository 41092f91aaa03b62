package state

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Managed identities: those of provisioning services, and user-assigned ones, which are resources.

// LinkIdentity is the kind of managed identity with which a provisioning service uses a linked hub.
type LinkIdentity string

// Kinds of identities of links, in Azure's terms. The zero value is a key.
const (
	SystemAssigned LinkIdentity = "SystemAssigned"
	UserAssigned   LinkIdentity = "UserAssigned"
)

// Principals are the principals of the managed identities of a resource.
type Principals struct {
	// System is that of the system-assigned identity, empty without one.
	System string
	// Users are those of user-assigned identities, by resource id in lower case.
	Users map[string]string
}

// Of returns the principal with which a link's hub is used, or "" without such an identity.
func (p Principals) Of(l Link) string {
	switch l.Identity {
	case SystemAssigned:
		return p.System
	case UserAssigned:
		return p.Users[strings.ToLower(l.User)]
	}
	return ""
}

// readPrincipals sets the principals of a service from its properties.
func (s *State) readPrincipals(v *Service) error {
	v.Principals = Principals{}
	if s.principals == nil {
		return nil
	}
	given, err := s.principals(v.Resource)
	if err != nil {
		return fmt.Errorf("read the identities of %s: %w", serviceObject(v.ID.Name), err)
	}
	v.Principals = given
	return nil
}

// NewID returns a random GUID.
func (s *State) NewID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4 of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// ManagedIdentity is a user-assigned managed identity.
type ManagedIdentity struct {
	ID       ResourceID
	Location string
	Tags     map[string]string
	// Principal and Client are GUIDs that are generated at creation and never change.
	Principal, Client string
	Created           time.Time
}

func (m *ManagedIdentity) fields(c *codec) {
	text(c, "subscription", &m.ID.Subscription)
	text(c, "group", &m.ID.Group)
	text(c, "name", &m.ID.Name)
	text(c, "location", &m.Location)
	c.tags("tags", &m.Tags)
	text(c, "principal", &m.Principal)
	text(c, "client", &m.Client)
	c.time("created", &m.Created)
}

func (m *ManagedIdentity) key() []byte {
	return keyOf(tableIdentity, strings.ToLower(m.ID.Subscription), strings.ToLower(m.ID.Group),
		strings.ToLower(m.ID.Name))
}

func (m *ManagedIdentity) copy() ManagedIdentity {
	out := *m
	out.Tags = maps.Clone(m.Tags)
	return out
}

// identityKind is the kind of user-assigned identities in scopes.
const identityKind = "microsoft.managedidentity/userassignedidentities"

func identityObject(name string) string { return fmt.Sprintf("managed identity %q", name) }

// ManagedIdentity returns the user-assigned identity with that id.
func (s *State) ManagedIdentity(id ResourceID) (ManagedIdentity, error) {
	leave, err := s.enter()
	if err != nil {
		return ManagedIdentity{}, err
	}
	defer leave()
	m := s.identities[string((&ManagedIdentity{ID: id}).key())]
	if m == nil {
		return ManagedIdentity{}, &Error{Kind: NotFound, Object: identityObject(id.Name), Reason: "does not exist"}
	}
	return m.copy(), nil
}

// ManagedIdentities lists as Hubs does, ordered by group and name.
func (s *State) ManagedIdentities(subscription, group string) ([]ManagedIdentity, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var out []ManagedIdentity
	for _, m := range s.identities {
		if m.ID.within(subscription, group) {
			out = append(out, m.copy())
		}
	}
	slices.SortFunc(out, func(a, b ManagedIdentity) int { return cmp.Compare(string(a.key()), string(b.key())) })
	return out, nil
}

// PutManagedIdentity creates a user-assigned identity or replaces its tags, and reports whether it created one.
func (s *State) PutManagedIdentity(m ManagedIdentity) (ManagedIdentity, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return ManagedIdentity{}, false, err
	}
	defer leave()
	if err := s.home(identityObject(m.ID.Name), m.ID); err != nil {
		return ManagedIdentity{}, false, err
	}
	m = m.copy()
	old := s.identities[string(m.key())]
	if old != nil {
		tags := m.Tags
		m = old.copy()
		m.Tags = tags
	} else {
		m.Created = s.Now()
		if m.Principal, err = s.NewID(); err != nil {
			return ManagedIdentity{}, false, err
		}
		if m.Client, err = s.NewID(); err != nil {
			return ManagedIdentity{}, false, err
		}
	}
	b := s.store.batch()
	b.put(m.key(), &m)
	if err := s.store.commit(b); err != nil {
		return ManagedIdentity{}, false, err
	}
	s.identities[string(m.key())] = &m
	return m.copy(), old == nil, nil
}

// DeleteManagedIdentity deletes a user-assigned identity and the role assignments on it. Roles of its principal stay,
// as on Azure.
func (s *State) DeleteManagedIdentity(id ResourceID) error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	defer leave()
	m := s.identities[string((&ManagedIdentity{ID: id}).key())]
	if m == nil {
		return &Error{Kind: NotFound, Object: identityObject(id.Name), Reason: "does not exist"}
	}
	b := s.store.batch()
	b.delete(m.key())
	roles := s.rolesIn(scopeOf(identityKind, id))
	for _, a := range roles {
		b.delete(a.key())
	}
	if err := s.store.commit(b); err != nil {
		return err
	}
	delete(s.identities, string(m.key()))
	for _, a := range roles {
		delete(s.roles, string(a.key()))
	}
	return nil
}

// Path returns the resource id of the identity.
func (m ManagedIdentity) Path() string {
	return "/subscriptions/" + m.ID.Subscription + "/resourceGroups/" + m.ID.Group +
		"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/" + m.ID.Name
}

// isGone reports whether the user-assigned identity with that resource id and principal was deleted. Identities of
// other subscriptions are not known here, and count as existing. The caller holds world.
func (s *State) isGone(subscription, path, principal string) bool {
	if own := "/subscriptions/" + subscription + "/"; len(path) < len(own) || !strings.EqualFold(path[:len(own)], own) {
		return false
	}
	for _, m := range s.identities {
		if strings.EqualFold(m.Path(), path) {
			return m.Principal != principal
		}
	}
	return true
}
