package registration_test

import (
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// TestCachedDecisionEndsWithTheChainsValidity: an authenticated caller is cached until its credentials expire.
func TestCachedDecisionEndsWithTheChainsValidity(t *testing.T) {
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

// TestCachedDecisionEndsWithTheToken checks the same for tokens and enrollments.
func TestCachedDecisionEndsWithTheToken(t *testing.T) {
	t.Parallel()
	var moved atomic.Int64
	w := newWorldAt(t, registration.Options{}, func() time.Time { return start.Add(time.Duration(moved.Load())) })
	group := func(settings state.Settings) {
		t.Helper()
		w.enrollGroup(t, state.EnrollmentGroup{ID: "g", Settings: settings})
	}
	token := w.token(t, "d-1", derived(t, key1, "d-1"))
	want := func(status int) {
		t.Helper()
		if got := w.register(t, attempt{id: "d-1", token: token}); got.status != status {
			t.Errorf("got %d %s, want %d", got.status, got.body, status)
		}
	}
	want(401)
	group(keys(key1, key2))
	want(200)
	want(200)
	moved.Store(int64(time.Hour))
	want(401) // the token has ended
	moved.Store(0)
	want(200)
	group(keys(otherKey, otherKey))
	want(401)
	group(keys(key2, key1))
	want(200)
	w.enroll(t, state.Enrollment{RegistrationID: "d-1", Settings: keys(otherKey, otherKey)})
	want(401) // the individual enrollment decides alone
	if err := w.st.DeleteEntry(state.Individuals, w.scope, "d-1", ""); err != nil {
		t.Fatal(err)
	}
	want(200)
	if err := w.st.DeleteEntry(state.Groups, w.scope, "g", ""); err != nil {
		t.Fatal(err)
	}
	want(401)
	group(keys(key1, key2))
	want(200)
	if err := w.st.Reset(); err != nil {
		t.Fatal(err)
	}
	want(401)
}
