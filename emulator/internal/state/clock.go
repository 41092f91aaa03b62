package state

import (
	"sync"
	"time"
)

// Clock is the time of the emulated cloud: the time of another clock plus an offset that can be changed. Moving the
// clock can make alarms fire early, late or at once. Its methods may be called concurrently.
type Clock struct {
	base func() time.Time

	mu     sync.Mutex
	offset time.Duration
	alarms map[*alarm]struct{}
}

// alarm is a call that is due at a time of the clock.
type alarm struct {
	at    time.Time
	timer *time.Timer
}

// NewClock returns a clock that follows base; nil means time.Now.
func NewClock(base func() time.Time) *Clock {
	if base == nil {
		base = time.Now
	}
	return &Clock{base: base, alarms: map[*alarm]struct{}{}}
}

// Now returns the time of the clock, in UTC.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time { return c.base().Add(c.offset).UTC() }

// Offset returns how far the clock is ahead of its base.
func (c *Clock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Set moves the clock to now, from which it continues.
func (c *Clock) Set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift(now.Sub(c.base()))
}

// Move moves the clock by d, backwards when d is negative.
func (c *Clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift(c.offset + d)
}

// Restore resets the offset to zero.
func (c *Clock) Restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift(0)
}

// shift sets the offset and reschedules alarms. The caller holds mu.
func (c *Clock) shift(offset time.Duration) {
	c.offset = offset
	now := c.now()
	for a := range c.alarms {
		a.timer.Reset(max(0, a.at.Sub(now)))
	}
}

// At calls f on its own goroutine when the clock reaches at, unless stop is called first.
func (c *Clock) At(at time.Time, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: at}
	c.alarms[a] = struct{}{}
	forget := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waiting := c.alarms[a]
		delete(c.alarms, a)
		return waiting
	}
	a.timer = time.AfterFunc(max(0, at.Sub(c.now())), func() {
		if forget() {
			f()
		}
	})
	return func() {
		if forget() {
			a.timer.Stop()
		}
	}
}
