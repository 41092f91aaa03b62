package environment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decision is the decision whether to remove an environment, with the reason.
type Decision struct {
	Reap   bool
	Reason string
}

// Decide decides about one environment. Only environments of owner are removed, or of all owners if it is "". An
// environment without a creation time is never removed: keel did not create it, or not with a lifetime.
func Decide(l Lifetime, owner string, now time.Time) Decision {
	left, ends := l.Left(now)
	switch {
	case l.Created.IsZero():
		return Decision{false, "it has no creation time"}
	case !ends:
		return Decision{false, "it has no end"}
	case left > 0:
		return Decision{false, "it expires at " + Stamp(l.Expires)}
	case owner != "" && l.Owner != owner:
		return Decision{false, fmt.Sprintf("it belongs to %q", l.Owner)}
	}
	return Decision{true, "it expired at " + Stamp(l.Expires)}
}

// KeepKey is the key of the configuration, and the tag of the resource group, with which, set to true, an expired
// environment is not removed.
const KeepKey = "keep"

// Kind is the kind of a candidate for removal.
type Kind string

// The kinds of candidates.
const (
	// Deployed is an environment with a stack in the current backend.
	Deployed Kind = "environment"
	// Orphan is a resource group of the current backend and project without a stack.
	Orphan Kind = "orphan"
	// Foreign is a resource group of another or an unknown backend or project; it is never removed.
	Foreign Kind = "foreign"
)

// Candidate is a candidate for removal: a stack with its resource groups, or one group without a stack.
type Candidate struct {
	Kind Kind
	// Stack is the stack's name; for a group without a stack, the name in its tag.
	Stack string
	// Groups are its resource groups; none for an empty stack.
	Groups   []Tagged
	Lifetime Lifetime
	Decision Decision
}

// Stack is a stack of the backend with the lifetime from its configuration.
type Stack struct {
	Name string
	// Configured is true if the checkout has the configuration: a shared backend also has stacks of others.
	Configured bool
	Lifetime   Lifetime
	// Keep is true if the configuration sets keep.
	Keep bool
	// Err is the error of reading the configuration.
	Err error
}

// Survey decides about all stacks of a backend and all resource groups with the tag Purpose. The groups must have been
// listed before the stacks: a group is created after its stack, so a new group is not mistaken for an orphan. origin is
// that of the current backend and project. Only environments of owner are removed, or of all owners if it is "".
func Survey(groups []Tagged, stacks []Stack, origin, owner string, now time.Time) []Candidate {
	var list []Candidate
	known := map[string]bool{}
	for _, s := range stacks {
		own := slices.DeleteFunc(slices.Clone(groups), func(g Tagged) bool {
			return g.Tag("stack") != s.Name || g.Tag(OriginKey) != origin
		})
		for _, g := range own {
			known[g.ID] = true
		}
		list = append(list, deployed(s, own, owner, now))
	}
	for _, g := range groups {
		if known[g.ID] {
			continue
		}
		c := Candidate{Kind: Foreign, Stack: g.Tag("stack"), Groups: []Tagged{g}}
		c.Lifetime, _ = g.lifetime() // only for printing
		switch {
		case g.Tag(OriginKey) == "":
			c.Decision.Reason = "its resource group has no tag with its backend"
		case g.Tag(OriginKey) != origin:
			c.Decision.Reason = "it belongs to another backend or project, " + g.Tag(OriginKey)
		default:
			c.Kind, c.Decision = Orphan, orphaned(g, owner, now)
		}
		list = append(list, c)
	}
	return list
}

// deployed decides about a stack. It expires at the later of the times in configuration and tag, because extending an
// environment from another machine changes only the tag.
func deployed(s Stack, groups []Tagged, owner string, now time.Time) Candidate {
	c := Candidate{Kind: Deployed, Stack: s.Name, Groups: groups, Lifetime: s.Lifetime}
	if s.Err != nil {
		c.Decision.Reason = "its lifetime cannot be read"
		return c
	}
	for _, g := range groups {
		tagged, err := g.lifetime()
		switch {
		case err != nil:
			c.Decision.Reason = "the lifetime in the tags of its resource group cannot be read"
			return c
		case !s.Configured && c.Lifetime == Lifetime{}:
			c.Lifetime = tagged
		case !c.Lifetime.Expires.IsZero() && tagged.Expires.After(c.Lifetime.Expires):
			c.Lifetime.Expires = tagged.Expires
		}
	}
	c.Decision = Decide(c.Lifetime, owner, now)
	switch {
	case !c.Decision.Reap:
	case s.Keep:
		c.Decision = Decision{false, "its configuration has keep: true"}
	case slices.ContainsFunc(groups, Tagged.isKept):
		c.Decision = Decision{false, "its resource group has the tag keep=true"}
	}
	return c
}

// orphaned decides about a group of this backend without a stack. A group without an end is removed, because it has no
// stack with which it could be.
func orphaned(g Tagged, owner string, now time.Time) Decision {
	l, err := g.lifetime()
	if err != nil {
		return Decision{false, "it has no stack, and its lifetime cannot be read"}
	}
	if !l.Created.IsZero() && l.Expires.IsZero() {
		l.Expires = l.Created
	}
	fate := Decide(l, owner, now)
	if fate.Reap && g.isKept() {
		return Decision{false, "it has no stack, but it has the tag keep=true"}
	}
	if fate.Reap {
		return Decision{true, "it has no stack in this backend"}
	}
	return Decision{false, "it has no stack, but " + fate.Reason}
}

func (g Tagged) isKept() bool { return strings.EqualFold(g.Tag(KeepKey), "true") }

func (g Tagged) lifetime() (Lifetime, error) {
	return lifetimeOf(func(key string) string { return g.Tag(key) })
}
