package state_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
)

// TestTooManyOpenFilesForAWhileFailNothing refuses to open or create files of the store for some attempts: clients hold
// connections, and close them later.
func TestTooManyOpenFilesForAWhileFailNothing(t *testing.T) {
	t.Parallel()
	var left atomic.Int64
	faults := errorfs.InjectorFunc(func(op errorfs.Op) error {
		opens := op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpOpen
		if opens && strings.HasPrefix(op.Path, "store") && left.Add(-1) >= 0 {
			return syscall.EMFILE
		}
		return nil
	})
	w := newWorld(t, state.Options{Dir: "store", FS: errorfs.Wrap(vfs.NewMem(), faults)}, 1)
	twin := []byte(`{"tags":{"n":"` + strings.Repeat("x", 8000) + `"}}`)
	for i := range 300 {
		if i%100 == 0 {
			left.Store(3)
		}
		w.putEnrollment(fmt.Sprint("device-", i), state.Settings{InitialTwin: twin})
	}
	if err := w.Err(); err != nil {
		t.Errorf("got %v, want no failure", err)
	}
	if left.Load() >= 0 {
		t.Errorf("got %d refusals left, want the store to have met them", left.Load()+1)
	}
}

// TestAFailureOfTheDatabasesOwnWorkStopsChanges reports a transient failure to the state, and a permanent one.
func TestAFailureOfTheDatabasesOwnWorkStopsChanges(t *testing.T) {
	t.Parallel()
	s := open(t, state.Options{Dir: "store", FS: vfs.NewMem()})
	s.HearFailure(fmt.Errorf("open a table: %w", syscall.EMFILE))
	if err := s.Err(); err != nil {
		t.Errorf("too many open files: got %v, want nothing", err)
	}
	s.HearFailure(fmt.Errorf("write a table: %w", syscall.EIO))
	if err := s.Err(); !errors.Is(err, state.ErrUnwritable) || !errors.Is(err, syscall.EIO) {
		t.Errorf("a broken disk: got %v, want %v", err, state.ErrUnwritable)
	}
}
