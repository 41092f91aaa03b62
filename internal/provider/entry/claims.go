package entry

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

// An enrollment has one id at the service, whatever resource declares it, and a hub has one link. The engine creates a
// replacement before it deletes the replaced resource, so a deletion must know whether its resource still owns the
// entry. Claims record that for one run: which resource declares an id, and which one holds its entry. See the decision
// record on ownership.

// ClaimKey names an entry or a link: the collection, and the id in lower case, since the service ignores letter case.
type ClaimKey struct{ collection, id string }

// ClaimOf returns the claim on an entry or a link.
func ClaimOf(collection, id string) ClaimKey { return ClaimKey{collection, strings.ToLower(id)} }

// Owner is one instance of a resource: a replacement has the same URN as the resource that it replaces, and another
// instance.
type Owner struct {
	URN string
	// Instance is empty for resources whose state was written before instances existed.
	Instance string
}

// Claims are the claims of one provider process, from one Configure to the next. They are safe for concurrent use.
type Claims struct {
	mu sync.Mutex // guards what follows
	// declared is the URN of the resource whose inputs name the id, as Check saw them.
	declared map[ClaimKey]string
	// listed are the keys that each URN declares.
	listed map[string][]ClaimKey
	// held is the owner whose entry the service holds.
	held map[ClaimKey]Owner
	// turns holds a channel for each id that an operation works on; it is closed when the operation ends.
	turns map[ClaimKey]chan struct{}
}

// NewClaims returns empty claims.
func NewClaims() *Claims {
	c := &Claims{turns: map[ClaimKey]chan struct{}{}}
	c.Reset()
	return c
}

// Reset removes all claims at the beginning of a run of the engine. Turns stay until their operations end.
func (c *Claims) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.declared, c.listed, c.held = map[ClaimKey]string{}, map[string][]ClaimKey{}, map[ClaimKey]Owner{}
}

// Declare records the ids that a resource's inputs name and removes those that they named before. For each id that
// another resource declares already, it returns that resource's URN.
func (c *Claims) Declare(urn string, keys []ClaimKey) map[ClaimKey]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.listed[urn] {
		if c.declared[key] == urn {
			delete(c.declared, key)
		}
	}
	c.listed[urn] = keys
	var taken map[ClaimKey]string
	for _, key := range keys {
		if other, is := c.declared[key]; is && other != urn {
			if taken == nil {
				taken = map[ClaimKey]string{}
			}
			taken[key] = other
			continue
		}
		c.declared[key] = urn
	}
	return taken
}

// Hold records that the owner has the entry at the service.
func (c *Claims) Hold(o Owner, keys ...ClaimKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.held[key] = o
	}
}

// Keep does so for a resource that does not change. The engine also compares resources that left the program: they
// declare nothing in this run and get no claim.
func (c *Claims) Keep(o Owner, keys iter.Seq[ClaimKey]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range keys {
		if c.declared[key] == o.URN {
			c.held[key] = o
		}
	}
}

// otherOwner is the resource whose entry a deletion would remove.
type otherOwner struct {
	URN string
	// Holds is false for a resource that declares the id but has not got the entry, because its creation failed or was
	// never tried.
	Holds bool
}

// OtherOwnerOf returns the other resource with a claim on an entry that the owner is about to delete, or nil.
func (c *Claims) OtherOwnerOf(o Owner, key ClaimKey) *otherOwner {
	c.mu.Lock()
	defer c.mu.Unlock()
	if holder, is := c.held[key]; is {
		if holder == o {
			return nil
		}
		return &otherOwner{holder.URN, true}
	}
	if urn, is := c.declared[key]; is && urn != o.URN {
		return &otherOwner{urn, false}
	}
	return nil
}

// Lock waits until no other operation works on any of the ids. It takes them in a fixed order, so that two operations
// never wait for each other. A cancelled operation stops waiting.
func (c *Claims) Lock(ctx context.Context, keys ...ClaimKey) (done func(), err error) {
	keys = slices.Clone(keys)
	slices.SortFunc(keys, func(a, b ClaimKey) int {
		return strings.Compare(a.collection+"/"+a.id, b.collection+"/"+b.id)
	})
	keys = slices.Compact(keys)
	taken := make(map[ClaimKey]chan struct{}, len(keys))
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

// NewInstance returns the instance of a resource that is created or imported now.
func NewInstance() *string {
	raw := make([]byte, 8)
	_, _ = rand.Read(raw) // never fails
	instance := hex.EncodeToString(raw)
	return &instance
}

// LongestID is how long ids can be. Longer ones are invalid and are not compared with other resources.
const LongestID = 128

// DeclareOne declares the one id of a resource, and returns the fault of an id that another resource of the stack
// declares. An unknown id, which arrives empty, is declared when it is known.
func DeclareOne(ctx context.Context, path, collection, id string) []enrollment.Fault {
	if isEntry := collection == IndividualsName || collection == groupsName; id == "" || isEntry &&
		len(id) > LongestID {
		return nil
	}
	key := ClaimOf(collection, id)
	if other, is := ClaimsOf(ctx).Declare(string(URN(ctx)), []ClaimKey{key})[key]; is {
		return []enrollment.Fault{{Path: path, Message: DeclaredTwice(id, other)}}
	}
	return nil
}

// DeclaredTwice returns the error for an id that another resource of the stack declares too.
func DeclaredTwice(id, other string) string {
	return fmt.Sprintf("%s is declared twice in this stack: %s declares it too; remove one of them",
		enrollment.Quote(id), other)
}
