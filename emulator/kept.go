package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"evenkeel/emulator/internal/state"
)

// keep has files of the data folder looked for from now on.
func (e *Emulator) keep(names ...string) {
	if e.options.Dir == "" {
		return
	}
	if kept := e.kept.Load(); kept != nil {
		names = slices.Concat(*kept, names)
	}
	e.kept.Store(&names)
}

// lookForFiles fails when a file is gone that the next start would make again, unlike the one that clients have.
func (e *Emulator) lookForFiles() error {
	kept := e.kept.Load()
	if kept == nil {
		return nil
	}
	for _, name := range *kept {
		// Another error says nothing of the file: too many may be open.
		if _, err := e.options.disk.Stat(filepath.Join(e.options.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w (%s)", state.ErrRemoved, name)
		}
	}
	return nil
}
