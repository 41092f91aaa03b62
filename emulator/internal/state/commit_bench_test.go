package state_test

import (
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/emulator/internal/state"
)

// committers is the number of concurrent goroutines for each CPU; on two CPUs they are as many as the devices in the
// benchmark of registrations.
const committers = 16

// BenchmarkCommit measures the limit of the disk and the store: the rows of a first registration of a group's device,
// in one synced change each, without the logic of a registration. `make bench` compares registrations with it.
func BenchmarkCommit(b *testing.B) {
	rows := registrationRows(b)
	// The disk is that of the system's temporary folder, which TMPDIR selects.
	s, err := state.Open(state.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	size := 0
	for key, value := range rows {
		size += len(key) + len(value)
	}
	b.SetParallelism(committers)
	var n atomic.Uint64
	start := time.Now()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Commit(rows, strconv.FormatUint(n.Add(1), 10)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "commits/s")
	b.ReportMetric(float64(len(rows)), "rows")
	b.ReportMetric(float64(size), "bytes")
}

// registrationRows returns the rows of a registration.
func registrationRows(b *testing.B) map[string]string {
	b.Helper()
	w := newWorld(b, state.Options{}, 2)
	key := state.SymmetricKey{Primary: "a2V5", Secondary: "a2V5"}
	group, _, err := w.PutEnrollmentGroup(w.scope, state.EnrollmentGroup{
		ID: "devices", Settings: state.Settings{Attestation: state.Attestation{SymmetricKey: &key}},
	}, state.Unconditional)
	must(b, err)
	before := allRows(b, w)
	must(b, last(w.Register(b.Context(), state.RegisterRequest{
		Scope: w.scope, RegistrationID: "bench-device-00000", APIVersion: "2019-03-31", Group: &group, Keys: key,
	})))
	rows := allRows(b, w)
	for key := range before {
		delete(rows, key)
	}
	if len(rows) == 0 {
		b.Fatal("a registration left no rows")
	}
	return rows
}

func allRows(b *testing.B, w *world) map[string]string {
	b.Helper()
	rows, err := w.Rows()
	must(b, err)
	return rows
}
