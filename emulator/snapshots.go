package emulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"evenkeel/emulator/internal/control"
	"evenkeel/emulator/internal/documents"
)

// snapshotsDir is the folder of named snapshots in the data folder.
const snapshotsDir = "snapshots"

// WriteSnapshot writes everything in the emulated cloud as JSON, including keys and certificates. Equal states give
// equal texts. Connections, telemetry and the request log are not included, nor are the emulator's own certificates,
// ports and secrets.
func (e *Emulator) WriteSnapshot(w io.Writer) error {
	if err := e.state.WriteSnapshot(w); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}

// Seed replaces everything in the emulated cloud with a snapshot of WriteSnapshot. On an error nothing changes.
// Connected devices are disconnected.
func (e *Emulator) Seed(r io.Reader) error {
	if err := e.state.ReadSnapshot(r); err != nil {
		return fmt.Errorf("emulator: seed: %w", err)
	}
	e.hubs.Reset()
	return nil
}

// SaveSnapshot saves a snapshot under that name, in the data folder (mode 0600), or in memory if there is no data
// folder.
func (e *Emulator) SaveSnapshot(name string) error {
	if err := e.snapshots.Put(name, e.WriteSnapshot); err != nil {
		return fmt.Errorf("emulator: save snapshot %q: %w", name, err)
	}
	return nil
}

// RestoreSnapshot calls Seed with the snapshot of that name.
func (e *Emulator) RestoreSnapshot(name string) error {
	f, err := e.snapshots.Open(name)
	if err != nil {
		return fmt.Errorf("emulator: restore snapshot %q: %w", name, err)
	}
	return errors.Join(e.Seed(f), f.Close())
}

// seedEmpty loads the file Options.Seed if the state is empty.
func (e *Emulator) seedEmpty() error {
	if e.options.Seed == "" {
		return nil
	}
	groups, err := e.state.Groups("")
	if err != nil {
		return err
	}
	if len(groups) > 0 {
		e.options.Logger.Info("the seed is ignored because the emulator is not empty", "seed", e.options.Seed)
		return nil
	}
	f, err := os.Open(e.options.Seed)
	if err != nil {
		return fmt.Errorf("open the seed: %w", err)
	}
	if err := errors.Join(e.state.ReadSnapshot(f), f.Close()); err != nil {
		return fmt.Errorf("seed from %s: %w", e.options.Seed, err)
	}
	return nil
}

// Now returns the time of the emulated cloud.
func (e *Emulator) Now() time.Time { return e.clock.Now() }

// MoveClock moves the clock of the emulated cloud by d, backwards if d is negative. Expiry, due times and timestamps
// follow it; TLS certificates follow the real clock. A restart undoes the move.
func (e *Emulator) MoveClock(d time.Duration) { e.clock.Move(d) }

// snapshotControl implements the snapshot calls of the control port.
type snapshotControl struct {
	*documents.Folder
	e *Emulator
}

var _ control.Snapshots = snapshotControl{}

// Save implements control.Snapshots. So do the methods below.
func (s snapshotControl) Save(name string) error    { return s.e.SaveSnapshot(name) }
func (s snapshotControl) Restore(name string) error { return s.e.RestoreSnapshot(name) }
func (s snapshotControl) Seed(r io.Reader) error    { return s.e.Seed(r) }
