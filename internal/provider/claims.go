package provider

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"evenkeel/internal/azure/enrollment"
)

// An enrollment has one id at the service, whatever resource declares it, and a hub has one link. The engine creates a replacement before it
// deletes what was replaced, so a deletion has to know whether the entry is still its own. Claims are that knowledge for one run: which
// resource declares an id, and which one holds its entry. See the decision record on ownership.

// claimKey names an entry or a link: the collection, and the id in lower case, since the service ignores letter case.
type claimKey struct{ collection, id string }

func claimOf(collection, id string) claimKey { return claimKey{collection, strings.ToLower(id)} }

// owner is a resource in one of its lives: a replacement has the URN of what it replaces and another instance.
type owner struct {
	urn string
	// instance is empty for resources whose state was written before instances existed.
	instance string
}

// claims are the claims of one provider process, from one Configure to the next. They are safe for concurrent use.
type claims struct {
	mu sync.Mutex // guards what follows
	// declared is the URN of the resource whose inputs name the id, as Check saw them.
	declared map[claimKey]string
	// listed are the keys that each URN declares.
	listed map[string][]claimKey
	// held is the owner whose entry the service holds.
	held map[claimKey]owner
	// turns holds a channel for each id that an operation works on; it is closed when the operation ends.
	turns map[claimKey]chan struct{}
}

func newClaims() *claims {
	c := &claims{turns: map[claimKey]chan struct{}{}}
	c.reset()
	return c
}

// reset forgets what was claimed, as a new run of the engine begins. Turns stay: their operations end by themselves.
func (c *claims) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.declared, c.listed, c.held = map[claimKey]string{}, map[string][]claimKey{}, map[claimKey]owner{}
}

// declare notes what a resource's inputs name, instead of what they named before. It returns the URN of the resource that declares an id
// already, for each such id.
func (c *claims) declare(urn string, keys []claimKey) map[claimKey]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.listed[urn] {
		if c.declared[key] == urn {
			delete(c.declared, key)
		}
	}
	c.listed[urn] = keys
	var taken map[claimKey]string
	for _, key := range keys {
		if other, is := c.declared[key]; is && other != urn {
			if taken == nil {
				taken = map[claimKey]string{}
			}
			taken[key] = other
			continue
		}
		c.declared[key] = urn
	}
	return taken
}

// hold notes that the owner's entry is at the service.
func (c *claims) hold(o owner, keys ...claimKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.held[key] = o
	}
}

// keep does so for a resource that stays as it is. The engine also compares resources that left the program: those declare nothing in
// this run, and so they claim nothing.
func (c *claims) keep(o owner, keys iter.Seq[claimKey]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range keys {
		if c.declared[key] == o.urn {
			c.held[key] = o
		}
	}
}

// rival is the resource whose entry a deletion would take away.
type rival struct {
	urn string
	// holds is false for a resource that declares the id but has not got the entry, because its creation failed or was never tried.
	holds bool
}

// rivalOf returns who else has a claim on an entry that the owner is about to delete; nil for nobody.
func (c *claims) rivalOf(o owner, key claimKey) *rival {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder, is := c.held[key]; is {
		if holder == o {
			return nil
		}
		return &rival{holder.urn, true}
	}
	if urn, is := c.declared[key]; is && urn != o.urn {
		return &rival{urn, false}
	}
	return nil
}

// turn waits until no other operation works on any of the ids. They are taken in one order, so that two operations never wait for each
// other. An operation that is cancelled stops waiting.
func (c *claims) turn(ctx context.Context, keys ...claimKey) (done func(), err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b claimKey) int { return strings.Compare(a.collection+"/"+a.id, b.collection+"/"+b.id) })
	keys = slices.Compact(keys)
	taken := make(map[claimKey]chan struct{}, len(keys))
	done = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for key, own := range taken {
			delete(c.turns, key)
			close(own)
		}
	}
	for _, key := range keys {
		for taken[key] == nil {
			c.mu.Lock()
			other, busy := c.turns[key]
			if !busy {
				own := make(chan struct{})
				c.turns[key], taken[key] = own, own
			}
			c.mu.Unlock()
			if !busy {
				break
			}
			select {
			case <-other:
			case <-ctx.Done():
				done()
				return nil, ctx.Err()
			}
		}
	}
	return done, nil
}

// newInstance returns the instance of a resource that is created or imported now.
func newInstance() *string {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	instance := hex.EncodeToString(raw)
	return &instance
}

// longestID is how long ids can be. Longer ones are faults, which say nothing of other resources.
const longestID = 128

// declareOne declares the one id of a resource, and returns the fault of an id that another resource of the stack declares. An unknown id,
// which arrives empty, is declared when it is known.
func declareOne(ctx context.Context, path, collection, id string) []enrollment.Fault {
	if isEntry := collection == individualsName || collection == groupsName; id == "" || isEntry && len(id) > longestID {
		return nil
	}
	key := claimOf(collection, id)
	if other, is := claimsFrom(ctx).declare(string(urnFrom(ctx)), []claimKey{key})[key]; is {
		return []enrollment.Fault{{Path: path, Message: declaredTwice(id, other)}}
	}
	return nil
}

func declaredTwice(id, other string) string {
	return fmt.Sprintf("%s is declared twice in this stack: %s declares it too; remove one of them", enrollment.Quote(id), other)
}
