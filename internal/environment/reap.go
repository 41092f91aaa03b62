package environment

import (
	"fmt"
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
		return Fate{false, "it lives for ever"}
	case left > 0:
		return Fate{false, "it lives until " + Stamp(l.Expires)}
	case owner != "" && l.Owner != owner:
		return Fate{false, fmt.Sprintf("it belongs to %q", l.Owner)}
	}
	return Fate{true, "it expired at " + Stamp(l.Expires)}
}

// KeepTag is the tag of a resource group, with the value true, that keeps its environment from being removed when it has expired.
const KeepTag = "keep"
