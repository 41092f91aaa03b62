package emulator

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"evenkeel/emulator/internal/state"
)

// keep adds files of the data folder to those that lookForFiles checks.
func (e *Emulator) keep(names ...string) {
	if e.options.Dir == "" {
		return
	}
	if kept := e.kept.Load(); kept != nil {
		names = slices.Concat(*kept, names)
	}
	e.kept.Store(&names)
}

// lookForFiles fails if a file is missing that the next start would replace with a different one, while clients still
// use the old one.
func (e *Emulator) lookForFiles() error {
	kept := e.kept.Load()
	if kept == nil {
		return nil
	}
	for _, name := range *kept {
		// Other errors do not mean that the file is missing: for example, too many files may be open.
		if _, err := e.options.disk.Stat(filepath.Join(e.options.Dir, name)); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w (%s)", state.ErrRemoved, name)
		}
	}
	return nil
}
