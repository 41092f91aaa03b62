package registration_test

import (
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// TestAKnownChainIsTrustedNoLongerThanItHolds: ways that were verified once are remembered, and must be forgotten in time.
func TestAKnownChainIsTrustedNoLongerThanItHolds(t *testing.T) {
	t.Parallel()
	var moved atomic.Int64
	w := newWorldAt(t, registration.Options{}, func() time.Time { return start.Add(time.Duration(moved.Load())) })
	root := issue(t, nil, "root", true, start.AddDate(1, 0, 0))
	factory := issue(t, root, "factory", true, start.Add(30*time.Minute))
	device := issue(t, factory, "sn-1", false, start.AddDate(1, 0, 0))
	w.upload(t, "root", root, true)
	w.enrollGroup(t, state.EnrollmentGroup{ID: "g", Settings: signing(root)})
	at := func(after time.Duration, want int) {
		t.Helper()
		moved.Store(int64(after))
		if got := w.register(t, attempt{id: "sn-1", certificates: chain(device, factory, root)}); got.status != want {
			t.Errorf("%s later: got %d %s, want %d", after, got.status, got.body, want)
		}
	}
	at(0, 200)
	at(30*time.Minute-time.Second, 200) // near the end of the intermediate
	at(30*time.Minute+time.Second, 401) // past it
	at(29*time.Minute, 200)             // back again
	at(-time.Hour-time.Second, 401)     // before any of them was valid
	at(10*time.Minute, 200)
	if err := w.st.DeleteChild(state.ServiceHost("dps-1"), state.CertificateKind, "root", ""); err != nil {
		t.Fatal(err)
	}
	at(10*time.Minute, 401)
}
