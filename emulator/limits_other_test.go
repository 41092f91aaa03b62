//go:build limits && !linux && !darwin

package emulator_test

import "errors"

func wantFiles(uint64) error {
	return errors.New("this system does not tell how many files may be open")
}
