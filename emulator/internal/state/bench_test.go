package state_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"evenkeel/emulator/internal/state"
)

// BenchmarkRegister registers each device of a group once, durably, with that many callers; "ceiling/s" is the rate at
// which only the store commits in the same run.
func BenchmarkRegister(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			w := newWorld(b, state.Options{Dir: b.TempDir()}, 2)
			group := w.putGroupEntry("group", state.Settings{})
			inParallel(b, callers, func(i int64) error {
				return last(w.Register(context.Background(), state.RegisterRequest{
					Scope: w.scope, RegistrationID: fmt.Sprint("device-", i), Group: &group,
					Keys: *group.Attestation.SymmetricKey,
				}))
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "registrations/s")
			took, err := state.CommitCeiling(b.TempDir(), callers, max(b.N, 1000), 512)
			must(b, err)
			b.ReportMetric(float64(max(b.N, 1000))/took.Seconds(), "ceiling/s")
		})
	}
}

// BenchmarkRegisterAgain registers ten devices repeatedly.
func BenchmarkRegisterAgain(b *testing.B) {
	w := newWorld(b, state.Options{Dir: b.TempDir()}, 2)
	group := w.putGroupEntry("group", state.Settings{})
	inParallel(b, 64, func(i int64) error {
		return last(w.Register(context.Background(), state.RegisterRequest{
			Scope: w.scope, RegistrationID: fmt.Sprint("device-", i%10), Group: &group,
			Keys: *group.Attestation.SymmetricKey,
		}))
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "registrations/s")
}

// BenchmarkPutEnrollment creates individual enrollments with 64 callers.
func BenchmarkPutEnrollment(b *testing.B) {
	w := newWorld(b, state.Options{Dir: b.TempDir()}, 2)
	inParallel(b, 64, func(i int64) error {
		return second(w.PutEnrollment(w.scope, state.Enrollment{RegistrationID: fmt.Sprint("device-", i),
			Settings: state.Settings{
				Attestation: state.Attestation{SymmetricKey: &state.SymmetricKey{}}}}, ""))
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrollments/s")
}

func inParallel(b *testing.B, callers int, do func(i int64) error) {
	var next atomic.Int64
	var group errgroup.Group
	b.ResetTimer()
	for range callers {
		group.Go(func() error {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := do(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(b, group.Wait())
	b.StopTimer()
}
