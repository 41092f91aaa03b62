package state_test

import (
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

func TestTheClockContinuesAfterAMove(t *testing.T) {
	t.Parallel()
	base := newClock()
	c := state.NewClock(base.Now)
	start := c.Now()
	c.Move(24 * time.Hour)
	base.Add(time.Minute)
	if got, want := c.Now(), start.Add(24*time.Hour+time.Minute); !got.Equal(want) {
		t.Errorf("got %s after a move of a day, want %s", got, want)
	}
	c.Set(start.Add(-time.Hour))
	if got, want := c.Offset(), -time.Hour-time.Minute; got != want {
		t.Errorf("got offset %s after it was set, want %s", got, want)
	}
	c.Restore()
	if got, want := c.Now(), base.Now(); !got.Equal(want) {
		t.Errorf("got %s after the restore, want %s", got, want)
	}
}

func TestAlarmsFollowTheClock(t *testing.T) {
	t.Parallel()
	base := newClock() // does not advance: only moves of the clock end a wait
	c := state.NewClock(base.Now)
	rang := make(chan string, 2)
	stop := c.At(c.Now().Add(2*time.Hour), func() { rang <- "stopped" })
	c.At(c.Now().Add(3*time.Hour), func() { rang <- "later" })
	stop()
	c.Move(4 * time.Hour)
	select {
	case got := <-rang:
		if got != "later" {
			t.Errorf("got the call that was %s, want the other", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("got no call after the clock was moved past its time")
	}
}
