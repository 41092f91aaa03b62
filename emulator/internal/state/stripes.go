package state

import (
	"hash/maphash"
	"slices"
	"sync"
)

// stripes are locks by key. A writer holds the locks of its keys from its first read until its change is synced, so
// that no other call returns or builds on a change that a crash could undo. A reader of one row holds its lock for
// the same reason.
type stripes struct {
	seed  maphash.Seed
	locks [1024]sync.RWMutex
}

func newStripes() *stripes { return &stripes{seed: maphash.MakeSeed()} }

func (s *stripes) index(key []byte) int {
	return int(maphash.Bytes(s.seed, key) % uint64(len(s.locks)))
}

// lock takes the locks of all keys, in an order that cannot deadlock, and returns a function that releases them.
func (s *stripes) lock(keys ...[]byte) (unlock func()) {
	if len(keys) == 1 {
		l := &s.locks[s.index(keys[0])]
		l.Lock()
		return l.Unlock
	}
	var order []int
	for _, key := range keys {
		order = append(order, s.index(key))
	}
	slices.Sort(order)
	order = slices.Compact(order)
	for _, i := range order {
		s.locks[i].Lock()
	}
	return func() {
		for _, i := range order {
			s.locks[i].Unlock()
		}
	}
}

// read takes the key's lock together with other readers.
func (s *stripes) read(key []byte) (unlock func()) {
	l := &s.locks[s.index(key)]
	l.RLock()
	return l.RUnlock
}
