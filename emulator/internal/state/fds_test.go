package state_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"evenkeel/emulator/internal/state"
)

// TestTooManyOpenFilesForAWhileFailNothing refuses to open or make files of the store for some tries: clients hold
// connections, and let go of them.
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
