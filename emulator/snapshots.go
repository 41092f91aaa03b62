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

// snapshotsDir holds the named snapshots, in the data folder.
const snapshotsDir = "snapshots"

// WriteSnapshot writes everything that the emulated cloud holds as JSON, keys and certificates included. Equal states give equal
// texts. Connections, telemetry and the request log are not part of it, nor are the emulator's own certificates, ports and secrets.
func (e *Emulator) WriteSnapshot(w io.Writer) error {
	if err := e.state.WriteSnapshot(w); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}

// Seed replaces everything that the emulated cloud holds by what WriteSnapshot wrote, as a whole or, on an error, not at all. Devices
// that are connected lose their connections.
func (e *Emulator) Seed(r io.Reader) error {
	if err := e.state.ReadSnapshot(r); err != nil {
		return fmt.Errorf("emulator: seed: %w", err)
	}
	e.hubs.Reset()
	return nil
}

// SaveSnapshot keeps a snapshot under that name, in the data folder (mode 0600) or, without one, in memory.
func (e *Emulator) SaveSnapshot(name string) error {
	if err := e.snapshots.Put(name, e.WriteSnapshot); err != nil {
		return fmt.Errorf("emulator: save snapshot %q: %w", name, err)
	}
	return nil
}

// RestoreSnapshot is Seed with the snapshot of that name.
func (e *Emulator) RestoreSnapshot(name string) error {
	f, err := e.snapshots.Open(name)
	if err != nil {
		return fmt.Errorf("emulator: restore snapshot %q: %w", name, err)
	}
	return errors.Join(e.Seed(f), f.Close())
}

// seedEmpty seeds a state that holds nothing from the file of the options.
func (e *Emulator) seedEmpty() error {
	if e.options.Seed == "" {
		return nil
	}
	groups, err := e.state.Groups("")
	if err != nil {
		return err
	}
	if len(groups) > 0 {
		e.options.Logger.Info("the seed is left alone: the emulator holds something already", "seed", e.options.Seed)
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

// Now is the time of the emulated cloud.
func (e *Emulator) Now() time.Time { return e.clock.Now() }

// MoveClock moves the time of the emulated cloud, back when d is negative: what expires, is due or is dated goes by it. TLS
// certificates follow the real clock. The move ends with the process.
func (e *Emulator) MoveClock(d time.Duration) { e.clock.Move(d) }

// snapshotControl is what the control port does with snapshots.
type snapshotControl struct {
	*documents.Folder
	e *Emulator
}

var _ control.Snapshots = snapshotControl{}

// Save implements control.Snapshots, as do the others.
func (s snapshotControl) Save(name string) error    { return s.e.SaveSnapshot(name) }
func (s snapshotControl) Restore(name string) error { return s.e.RestoreSnapshot(name) }
func (s snapshotControl) Seed(r io.Reader) error    { return s.e.Seed(r) }
