package state

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RoleHubData is the role "IoT Hub Data Contributor", by the id of its definition. With it a managed identity may use a
// hub as a shared access policy with all rights does ("azure-built-in-roles" of the Azure documentation).
const RoleHubData = "4fc6c259-987e-4a07-842e-c321cc9d413f"

// Scope is what a role assignment applies to: a resource, or everything in a resource group or a subscription. Its
// parts are compared case-insensitively.
type Scope struct {
	Subscription string
	// Group is empty for a subscription.
	Group string
	// Kind and Name are empty for a group. A kind is, for example, "Microsoft.Devices/IotHubs".
	Kind, Name string
}

// The kinds of resources in scopes that the state itself has.
const (
	hubKind     = "microsoft.devices/iothubs"
	serviceKind = "microsoft.devices/provisioningservices"
)

// scopeOf returns the scope of a resource.
func scopeOf(kind string, id ResourceID) Scope {
	return Scope{id.Subscription, id.Group, kind, id.Name}
}

func (s Scope) parts() []string {
	parts := []string{s.Subscription, s.Group, s.Kind, s.Name}
	for i := range parts {
		parts[i] = strings.ToLower(parts[i])
	}
	return parts
}

// Contains reports whether the other scope is the same or below this one.
func (s Scope) Contains(other Scope) bool {
	wanted, found := s.parts(), other.parts()
	for i := range wanted {
		if wanted[i] != "" && wanted[i] != found[i] {
			return false
		}
	}
	return true
}

// RoleAssignment gives a principal a role at a scope and everything below it.
type RoleAssignment struct {
	Scope Scope
	// Name is a GUID, which identifies the assignment at its scope.
	Name string
	// Role is the GUID of a role definition, Principal that of a principal, both in lower case.
	Role, Principal string
	// Properties are in the format of the ARM surface, which is the only reader.
	Properties       []byte
	Created, Updated time.Time
}

func (a *RoleAssignment) fields(c *codec) {
	text(c, "subscription", &a.Scope.Subscription)
	text(c, "group", &a.Scope.Group)
	text(c, "kind", &a.Scope.Kind)
	text(c, "resource", &a.Scope.Name)
	text(c, "name", &a.Name)
	text(c, "role", &a.Role)
	text(c, "principal", &a.Principal)
	c.bytes("properties", &a.Properties)
	c.time("created", &a.Created)
	c.time("updated", &a.Updated)
}

func (a *RoleAssignment) key() []byte {
	return keyOf(tableRole, append(a.Scope.parts(), strings.ToLower(a.Name))...)
}

func (a *RoleAssignment) copy() RoleAssignment {
	out := *a
	out.Properties = slices.Clone(a.Properties)
	return out
}

func roleObject(name string) string { return fmt.Sprintf("role assignment %q", name) }

// RoleAssignment returns the role assignment of that name at a scope.
func (s *State) RoleAssignment(at Scope, name string) (RoleAssignment, error) {
	leave, err := s.enter()
	if err != nil {
		return RoleAssignment{}, err
	}
	defer leave()
	a := RoleAssignment{Scope: at, Name: name}
	found := s.roles[string(a.key())]
	if found == nil {
		return RoleAssignment{}, &Error{Kind: NotFound, Object: roleObject(name), Reason: "does not exist"}
	}
	return found.copy(), nil
}

// RoleAssignments returns all role assignments, ordered by scope and name.
func (s *State) RoleAssignments() ([]RoleAssignment, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	out := make([]RoleAssignment, 0, len(s.roles))
	for _, a := range s.roles {
		out = append(out, a.copy())
	}
	slices.SortFunc(out, func(a, b RoleAssignment) int { return cmp.Compare(string(a.key()), string(b.key())) })
	return out, nil
}

// PutRoleAssignment creates a role assignment, or replaces the properties of one with the same name, and reports
// whether it created one. Another role or principal under the name is Invalid; the same role of the principal at the
// scope under another name Exists.
func (s *State) PutRoleAssignment(a RoleAssignment) (RoleAssignment, bool, error) {
	leave, err := s.alter()
	if err != nil {
		return RoleAssignment{}, false, err
	}
	defer leave()
	a = a.copy()
	a.Role, a.Principal = strings.ToLower(a.Role), strings.ToLower(a.Principal)
	a.Created, a.Updated = s.Now(), s.Now()
	old := s.roles[string(a.key())]
	if old != nil {
		if old.Role != a.Role || old.Principal != a.Principal {
			return RoleAssignment{}, false, &Error{Kind: Invalid, Object: roleObject(a.Name),
				Reason: "gives another role, or gives it to another principal"}
		}
		a.Scope, a.Name, a.Created = old.Scope, old.Name, old.Created
	}
	for _, other := range s.roles {
		if old == nil && other.Role == a.Role && other.Principal == a.Principal &&
			slices.Equal(other.Scope.parts(), a.Scope.parts()) {
			return RoleAssignment{}, false, &Error{Kind: Exists, Object: roleObject(other.Name),
				Reason: "already exists"}
		}
	}
	b := s.store.batch()
	b.put(a.key(), &a)
	if err := s.store.commit(b); err != nil {
		return RoleAssignment{}, false, err
	}
	s.roles[string(a.key())] = &a
	return a.copy(), old == nil, nil
}

// DeleteRoleAssignment deletes a role assignment and returns it.
func (s *State) DeleteRoleAssignment(at Scope, name string) (RoleAssignment, error) {
	leave, err := s.alter()
	if err != nil {
		return RoleAssignment{}, err
	}
	defer leave()
	a := RoleAssignment{Scope: at, Name: name}
	old := s.roles[string(a.key())]
	if old == nil {
		return RoleAssignment{}, &Error{Kind: NotFound, Object: roleObject(name), Reason: "does not exist"}
	}
	b := s.store.batch()
	b.delete(old.key())
	if err := s.store.commit(b); err != nil {
		return RoleAssignment{}, err
	}
	delete(s.roles, string(old.key()))
	return old.copy(), nil
}

// isGranted reports whether a principal has a role at a scope or above it. The caller holds world.
func (s *State) isGranted(principal, role string, at Scope) bool {
	for _, a := range s.roles {
		if a.Principal == strings.ToLower(principal) && a.Role == role && a.Scope.Contains(at) {
			return true
		}
	}
	return false
}

// rolesIn returns the role assignments at a scope and below it. The caller holds world.
func (s *State) rolesIn(at Scope) []*RoleAssignment {
	var out []*RoleAssignment
	for _, a := range s.roles {
		if at.Contains(a.Scope) {
			out = append(out, a)
		}
	}
	return out
}

// RequireRoles sets whether a provisioning service that uses a hub by a managed identity needs the role RoleHubData
// there. Otherwise the identity is enough. It is not stored.
func (s *State) RequireRoles(on bool) { s.requireRoles.Store(on) }

// RequiresRoles returns what RequireRoles set.
func (s *State) RequiresRoles() bool { return s.requireRoles.Load() }
