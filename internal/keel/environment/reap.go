package environment

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fate says why an environment is to be removed, or why not.
type Fate struct {
	Reap   bool
	Reason string
}

// FateOf decides about one environment. owner is whose environments are removed, "" for anybody's. Without a creation time nothing is
// ever removed: keel has not made it, or not to be removed.
func FateOf(l Lifetime, owner string, now time.Time) Fate {
	left, ends := l.Left(now)
	switch {
	case l.Created.IsZero():
		return Fate{false, "it has no creation time"}
	case !ends:
		return Fate{false, "it has no end"}
	case left > 0:
		return Fate{false, "it lives until " + Stamp(l.Expires)}
	case owner != "" && l.Owner != owner:
		return Fate{false, fmt.Sprintf("it belongs to %q", l.Owner)}
	}
	return Fate{true, "it expired at " + Stamp(l.Expires)}
}

// KeepKey is the key of the configuration, and the tag of the resource group, that with the value true keep an environment from being
// removed when it has expired.
const KeepKey = "keep"

// Kind is what a candidate of reaping is.
type Kind string

// The kinds of candidates.
const (
	// Deployed is an environment with a stack in the present backend.
	Deployed Kind = "environment"
	// Orphan is a resource group of the present backend and project without a stack.
	Orphan Kind = "orphan"
	// Foreign is a resource group of another backend or project, or one that does not say; never removed.
	Foreign Kind = "foreign"
)

// Candidate is what reaping decides about: a stack with its resource groups, or one group without a stack.
type Candidate struct {
	Kind Kind
	// Stack is the stack's name; of a group without one, what its tag says.
	Stack string
	// Groups are the resource groups of it, none for a stack that holds nothing.
	Groups   []Tagged
	Lifetime Lifetime
	Fate     Fate
}

// Stack is a stack of the backend with the lifetime that its configuration tells.
type Stack struct {
	Name string
	// Configured says that the configuration lies here: a shared backend has stacks of others, too.
	Configured bool
	Lifetime   Lifetime
	// Keep is true when the configuration says so.
	Keep bool
	// Err is why the configuration cannot be read.
	Err error
}

// Survey decides about all stacks of a backend and all resource groups that carry Purpose. The groups must have been listed before the
// stacks: a group is made after its stack, so that none is taken for an orphan while it is being made. origin is that of the present
// backend and project, owner whose environments are removed, "" for anybody's.
func Survey(groups []Tagged, stacks []Stack, origin, owner string, now time.Time) []Candidate {
	var list []Candidate
	known := map[string]bool{}
	for _, s := range stacks {
		own := slices.DeleteFunc(slices.Clone(groups), func(g Tagged) bool { return g.Tag("stack") != s.Name || g.Tag(OriginKey) != origin })
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
		c.Lifetime, _ = g.lifetime() // told only
		switch {
		case g.Tag(OriginKey) == "":
			c.Fate.Reason = "its resource group does not say which backend it belongs to"
		case g.Tag(OriginKey) != origin:
			c.Fate.Reason = "it belongs to another backend or project, " + g.Tag(OriginKey)
		default:
			c.Kind, c.Fate = Orphan, orphaned(g, owner, now)
		}
		list = append(list, c)
	}
	return list
}

// deployed decides about a stack. Its end is the later of what configuration and tag say: whoever extends an environment from another
// machine moves the tag.
func deployed(s Stack, groups []Tagged, owner string, now time.Time) Candidate {
	c := Candidate{Kind: Deployed, Stack: s.Name, Groups: groups, Lifetime: s.Lifetime}
	if s.Err != nil {
		c.Fate.Reason = "its lifetime cannot be read"
		return c
	}
	for _, g := range groups {
		told, err := g.lifetime()
		switch {
		case err != nil:
			c.Fate.Reason = "the lifetime in the tags of its resource group cannot be read"
			return c
		case !s.Configured && c.Lifetime == Lifetime{}:
			c.Lifetime = told
		case !c.Lifetime.Expires.IsZero() && told.Expires.After(c.Lifetime.Expires):
			c.Lifetime.Expires = told.Expires
		}
	}
	c.Fate = FateOf(c.Lifetime, owner, now)
	switch {
	case !c.Fate.Reap:
	case s.Keep:
		c.Fate = Fate{false, "its configuration says keep: true"}
	case slices.ContainsFunc(groups, Tagged.kept):
		c.Fate = Fate{false, "its resource group carries the tag keep=true"}
	}
	return c
}

// orphaned decides about a group of this backend without a stack. One without an end is removed: no stack is left that could end it.
func orphaned(g Tagged, owner string, now time.Time) Fate {
	l, err := g.lifetime()
	if err != nil {
		return Fate{false, "it has no stack, and its lifetime cannot be read"}
	}
	if !l.Created.IsZero() && l.Expires.IsZero() {
		l.Expires = l.Created
	}
	fate := FateOf(l, owner, now)
	if fate.Reap && g.kept() {
		return Fate{false, "it has no stack, but carries the tag keep=true"}
	}
	if fate.Reap {
		return Fate{true, "it has no stack in this backend"}
	}
	return Fate{false, "it has no stack, but " + fate.Reason}
}

func (g Tagged) kept() bool { return strings.EqualFold(g.Tag(KeepKey), "true") }

func (g Tagged) lifetime() (Lifetime, error) {
	return lifetimeOf(func(key string) string { return g.Tag(key) })
}
