package state_test

import (
	"maps"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// outcomes takes the feedback of hub-1, and returns the message ids with their outcomes, and the lock.
func (w *world) outcomes() (found map[string]state.Outcome, lock string) {
	w.t.Helper()
	records, err := w.TakeFeedback(hub1, 64, time.Minute, time.Hour)
	must(w.t, err)
	found = map[string]state.Outcome{}
	for _, f := range records {
		if f.DeviceID != "d" || f.GenerationID == "" || f.Lock == "" {
			w.t.Errorf("got %+v, want the device with its generation, and a lock", f)
		}
		found[f.MessageID], lock = f.Outcome, f.Lock
	}
	return found, lock
}

func TestFeedbackReportsTheOutcome(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(*testing.T, *world)
		want state.Outcome
	}{
		"completed": {func(t *testing.T, w *world) {
			_, lock := w.take(10)
			must(t, w.SettleCloudMessage(hub1, "d", lock, state.Success))
		}, state.Success},
		"rejected": {func(t *testing.T, w *world) {
			_, lock := w.take(10)
			must(t, w.SettleCloudMessage(hub1, "d", lock, state.Rejected))
		}, state.Rejected},
		"abandoned too often": {func(t *testing.T, w *world) {
			_, lock := w.take(1)
			must(t, w.SettleCloudMessage(hub1, "d", lock, state.Abandoned))
		}, state.DeliveryCountExceeded},
		"expired, found by the device": {func(_ *testing.T, w *world) {
			w.clock.Add(time.Minute)
			w.take(10)
		}, state.Expired},
		"expired, never looked for": {func(_ *testing.T, w *world) { w.clock.Add(time.Minute) }, state.Expired},
		"purged": {func(t *testing.T, w *world) { must(t, last(w.PurgeCloudMessages(hub1, "d"))) },
			state.Purged},
	} {
		for ack, wanted := range map[state.Ack]bool{
			"": false, state.AckNone: false, state.AckFull: true, state.AckPositive: test.want == state.Success,
			state.AckNegative: test.want != state.Success,
		} {
			t.Run(name+" "+string(ack), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, state.Options{}, 1).withDevice()
				must(t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{MessageID: "m", Ack: ack,
					Expiry: w.clock.Now().Add(time.Minute)})))
				test.end(t, w)
				got, _ := w.outcomes()
				if outcome, ok := got["m"]; ok != wanted || ok && outcome != test.want {
					t.Errorf("got %v, want %s: %t", got, test.want, wanted)
				}
			})
		}
	}
}

func TestFeedbackIsLockedSettledAndExpires(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	for _, id := range []string{"a", "b"} {
		must(t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{MessageID: id, Ack: state.AckFull,
			Expiry: w.clock.Now().Add(time.Hour)})))
	}
	must(t, last(w.PurgeCloudMessages(hub1, "d")))
	first, lock := w.outcomes()
	if len(first) != 2 {
		t.Fatalf("got %v, want a and b", first)
	}
	if again, _ := w.outcomes(); len(again) != 0 {
		t.Errorf("got %v while it is locked, want nothing", again)
	}
	must(t, w.SettleFeedback(hub1, lock, false))
	wantKind(t, w.SettleFeedback(hub1, lock, true), state.NotFound)
	_, lock = w.outcomes()
	w.clock.Add(time.Minute) // the lock's
	wantKind(t, w.SettleFeedback(hub1, lock, true), state.NotFound)
	_, lock = w.outcomes()
	must(t, w.SettleFeedback(hub1, lock, true))
	if left, _ := w.outcomes(); len(left) != 0 {
		t.Errorf("got %v after it was settled, want nothing", left)
	}
	must(t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{MessageID: "c", Ack: state.AckFull,
		Expiry: w.clock.Now().Add(time.Hour)})))
	must(t, last(w.PurgeCloudMessages(hub1, "d")))
	w.clock.Add(time.Hour)
	if old, _ := w.outcomes(); len(old) != 0 {
		t.Errorf("got %v after an hour, want nothing", old)
	}
	wantKind(t, last(w.TakeFeedback("hub-9.azure-devices.net", 64, time.Minute, time.Hour)), state.ParentNotFound)
}

func TestFeedbackIsDeletedWithItsDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	must(t, last(w.QueueCloudMessage(hub1, "d", state.CloudMessage{MessageID: "m", Ack: state.AckFull,
		Expiry: w.clock.Now().Add(time.Hour)})))
	must(t, last(w.PurgeCloudMessages(hub1, "d")))
	must(t, w.DeleteDevice(hub1, "d", ""))
	w.clock.Add(time.Second)
	w.withDevice()
	if got, _ := w.outcomes(); len(got) != 0 {
		t.Errorf("got %v of the former device, want nothing", got)
	}
}

func TestSubscriptionsAreDeletedWithTheirDevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, state.Options{}, 1).withDevice()
	wants := func(want state.Subscriptions) {
		t.Helper()
		if got, err := w.Subscriptions(hub1, "d"); err != nil || !maps.Equal(got, want) {
			t.Errorf("got %v %v, want %v", got, err, want)
		}
	}
	wants(nil)
	for range 2 {
		must(t, w.PutSubscription(hub1, "d", state.SubscriptionMessages, 1))
		must(t, w.PutSubscription(hub1, "d", state.SubscriptionMethods, 0))
	}
	wants(state.Subscriptions{state.SubscriptionMessages: 1, state.SubscriptionMethods: 0})
	must(t, w.DropSubscription(hub1, "d", state.SubscriptionMessages))
	wants(state.Subscriptions{state.SubscriptionMethods: 0})
	must(t, w.DropSubscriptions(hub1, "d"))
	wants(nil)
	must(t, w.PutSubscription(hub1, "d", state.SubscriptionDesired, 0))
	must(t, w.DeleteDevice(hub1, "d", ""))
	w.withDevice()
	wants(nil)
	wantKind(t, w.PutSubscription(hub1, "never", state.SubscriptionMessages, 1), state.NotFound)
	must(t, w.DropSubscriptions(hub1, "never"))
}
