package environment

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/hint"
)

// The keys of a stack's configuration for its owner and lifetime. Only keel writes them; the program sets tags from
// them.
const (
	OwnerKey   = "owner"
	CreatedKey = "createdAt"
	ExpiresKey = "expiresAt"
)

// MaxLifetimeKey is the key of the project's configuration, in Pulumi.yaml, that bounds the lifetime of an environment.
// It applies to the whole team: the file is tracked, and a stack's configuration does not override it.
const MaxLifetimeKey = "maxLifetime"

// ShortestTTL and LongestTTL bound the lifetimes that users may set.
const (
	ShortestTTL = time.Minute
	LongestTTL  = 366 * 24 * time.Hour
)

// LimitTTL returns the lifetime of an environment for the requested ttl, 0 for none, and the team's maximum most, 0 for
// none.
func LimitTTL(ttl, most time.Duration) (time.Duration, error) {
	switch {
	case most == 0:
		return ttl, nil
	case ttl == 0:
		return most, nil
	case ttl > most:
		return 0, hint.To(fmt.Errorf("%s is longer than the team's maximum, %s", ttl, most),
			"use a shorter lifetime; the maximum is %s in Pulumi.yaml", MaxLifetimeKey)
	}
	return ttl, nil
}

// Lifetime is the owner of an environment, and when it was created and expires. Zero times mean none.
type Lifetime struct {
	Owner            string
	Created, Expires time.Time
}

// Left returns the time until the environment expires, negative afterwards; ok is false if it does not expire.
func (l Lifetime) Left(now time.Time) (left time.Duration, ok bool) {
	if l.Expires.IsZero() {
		return 0, false
	}
	return l.Expires.Sub(now), true
}

// Stamp formats a time for configuration and tags: to the second, in UTC.
func Stamp(at time.Time) string { return at.UTC().Truncate(time.Second).Format(time.RFC3339) }

// ParseTTL parses a lifetime such as 90m, 8h or 2d.
func ParseTTL(text string) (time.Duration, error) {
	ttl, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		ttl = time.Duration(min(n, 100_000)) * 24 * time.Hour
	}
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 8h or 2d", text)
	}
	if ttl < ShortestTTL || ttl > LongestTTL {
		return 0, fmt.Errorf("%s is out of range: a lifetime is from one minute to 366 days", text)
	}
	return ttl, nil
}

// Lifetime reads the stack's lifetime from its configuration.
func (e *Environment) Lifetime() (Lifetime, error) {
	settings, err := e.Settings()
	if err != nil {
		return Lifetime{}, err
	}
	l, err := lifetimeOf(func(key string) string { return settings[key] })
	if err != nil {
		return Lifetime{}, fmt.Errorf("read the lifetime of stack %q: %w", e.Stack, err)
	}
	return l, nil
}

// lifetimeOf reads a lifetime from settings or tags; "" means absent.
func lifetimeOf(get func(key string) string) (Lifetime, error) {
	l := Lifetime{Owner: get(OwnerKey)}
	for key, at := range map[string]*time.Time{CreatedKey: &l.Created, ExpiresKey: &l.Expires} {
		text := get(key)
		if text == "" {
			continue
		}
		var err error
		if *at, err = time.Parse(time.RFC3339, text); err != nil {
			return Lifetime{}, fmt.Errorf("%s is not a time in the form 2026-01-31T17:00:00Z: %q", key, text)
		}
	}
	return l, nil
}

// Settings returns the plain configuration of the stack by keys without the project's name.
func (e *Environment) Settings() (map[string]string, error) {
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	return readSettings(stackFile(stacks, e.Stack), project)
}
