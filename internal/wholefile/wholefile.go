// Package wholefile writes small files in one piece: whoever reads one finds what was there before or what is there
// now, and never half of it, whatever is killed, whatever disk is full and whenever the power fails.
package wholefile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Write makes text the content of the file at path, whose folder must exist, and returns once that survives a power
// cut. A failed write leaves the file as it was.
func Write(path string, text []byte, mode os.FileMode) error {
	return write(path, text, mode, os.Rename)
}

// Create is Write for a file that must not be there: of two that create it at once, one gets fs.ErrExist.
func Create(path string, text []byte, mode os.FileMode) error {
	return write(path, text, mode, func(temp, path string) error {
		if err := os.Link(temp, path); err != nil {
			return err
		}
		return os.Remove(temp)
	})
}

// write puts text into a file beside path, which place moves to its place.
func write(path string, text []byte, mode os.FileMode, place func(temp, path string) error) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temp.Write(text)
	if err == nil {
		err = errors.Join(temp.Chmod(mode), temp.Sync())
	}
	if err = errors.Join(err, temp.Close()); err == nil {
		err = place(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temp.Name()))
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// syncFolder makes a rename in a folder survive a power cut. Windows opens no folder for that, and keeps a rename by
// itself.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
