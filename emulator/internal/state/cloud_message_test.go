package state_test

import (
	"fmt"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// queue adds messages to the queue of the device "d" of hub-1, each valid for an hour.
func (w *world) queue(bodies ...string) {
	w.t.Helper()
	for _, body := range bodies {
		must(w.t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{Body: []byte(body),
			Expiry: w.clock.Now().Add(time.Hour), Properties: map[string]string{"k": body}})))
	}
}

// take takes the next message, locked for a minute, and returns its body and lock; both are empty without a message.
func (w *world) take(maxDeliveries int64) (body, lock string) {
	w.t.Helper()
	c, _, err := w.TakeCloudMessage(hub1, "d", time.Minute, maxDeliveries)
	must(w.t, err)
	return string(c.Body), c.Lock
}

func (w *world) wantTake(want string) (lock string) {
	w.t.Helper()
	body, lock := w.take(10)
	if body != want {
		w.t.Fatalf("got message %q, want %q", body, want)
	}
	return lock
}

func (w *world) withDevice() *world {
	w.t.Helper()
	must(w.t, last(w.PutDevice(hub1, state.Device{ID: "d"}, "", true)))
	return w
}

func TestCloudMessagesAreTakenInOrderAndSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	w.wantTake("")
	w.queue("a", "b", "c")
	a, b := w.wantTake("a"), w.wantTake("b")
	must(t, w.SettleCloudMessage(hub1, "d", a, state.Success))
	wantKind(t, w.SettleCloudMessage(hub1, "d", a, state.Success), state.NotFound)
	must(t, w.SettleCloudMessage(hub1, "d", b, state.Abandoned))
	b = w.wantTake("b") // unlocked again, and older than c
	w.wantTake("c")
	w.wantTake("")
	w.clock.Add(time.Minute)
	wantKind(t, w.SettleCloudMessage(hub1, "d", b, state.Success), state.NotFound) // its lock has ended
	w.wantTake("b")
	if left, err := w.CloudMessages(hub1, "d"); err != nil || len(left) != 2 || left[0].Deliveries != 1 ||
		left[0].Sequence != 2 || left[0].Properties["k"] != "b" {
		t.Errorf("got %+v, %v; want b, given back once, and c", left, err)
	}
	if n, err := w.PurgeCloudMessages(hub1, "d"); n != 2 || err != nil {
		t.Errorf("got %d purged, %v; want 2", n, err)
	}
	w.wantTake("")
	w.queue("d")
	if left, err := w.CloudMessages(hub1, "d"); err != nil || len(left) != 1 || left[0].Sequence != 4 {
		t.Errorf("got %+v, %v; want a message with the next number, though none waited", left, err)
	}
}

func TestCloudMessagesExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	w.queue("often")
	for range 2 {
		_, lock := w.take(2)
		must(t, w.SettleCloudMessage(hub1, "d", lock, state.Abandoned))
	}
	if body, _ := w.take(2); body != "" {
		t.Errorf("got %q a third time, want it dropped when it was given back twice", body)
	}
	w.queue("late")
	w.clock.Add(time.Hour)
	w.wantTake("")

	for i := range state.MaxCloudMessages {
		w.queue(fmt.Sprint(i))
	}
	_, err := w.QueueCloudMessage(hub1, "d", state.CloudMessage{Expiry: w.clock.Now().Add(time.Hour)})
	wantKind(t, err, state.Quota)
	w.clock.Add(time.Hour) // expired ones do not count
	w.queue("fits")
	w.wantTake("fits")

	must(t, w.DeleteDevice(hub1, "d", ""))
	wantKind(t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{})), state.NotFound)
	w.withDevice()
	w.wantTake("") // the queue of the former device was deleted
}

func TestCloudMessagesSurviveARestartButLocksDoNot(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	first, err := state.Open(state.Options{Dir: dir, Now: clock.Now})
	must(t, err)
	w := &world{t: t, State: first, clock: clock}
	w.build(1)
	w.withDevice().queue("a", "b")
	w.wantTake("a")
	must(t, first.Close())
	w.State = open(t, state.Options{Dir: dir, Now: clock.Now})
	w.wantTake("a")
	w.wantTake("b")
	must(t, last(w.DeleteHub(id("hub-1"), 0)))
	rows, err := w.Rows()
	must(t, err)
	for key := range rows {
		if key[0] == 'Q' {
			t.Errorf("a deleted hub leaves the row %q", key)
		}
	}
}

func TestTheQueueIsDeletedWithItsDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	want := func(what string, locks, numbers int) {
		t.Helper()
		if l, n := w.CloudMessageLocks(); l != locks || n != numbers {
			t.Errorf("%s: got %d locks and %d numbers, want %d and %d", what, l, n, locks, numbers)
		}
	}
	w.queue("a", "b")
	lock := w.wantTake("a")
	w.wantTake("b")
	want("two taken", 2, 1)
	w.clock.Add(time.Minute)
	wantKind(t, w.SettleCloudMessage(hub1, "d", lock, state.Success), state.NotFound)
	want("settled too late", 0, 1) // expired messages before it are dropped too
	w.wantTake("a")
	w.clock.Add(time.Hour)
	w.wantTake("")
	want("both expired", 0, 1)
	w.queue("c")
	w.wantTake("c")
	if _, err := w.PurgeCloudMessages(hub1, "d"); err != nil {
		t.Fatal(err)
	}
	want("purged", 0, 1)
	w.queue("d")
	if left, err := w.CloudMessages(hub1, "d"); err != nil || len(left) != 1 || left[0].Sequence != 4 {
		t.Errorf("got %+v, %v, want the next number after a purge", left, err)
	}
	w.wantTake("d")
	must(t, w.DeleteDevice(hub1, "d", ""))
	want("device deleted", 0, 0)
}
