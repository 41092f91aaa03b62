//go:build !linux && !darwin

package emulator_test

import "errors"

var errNoLimit = errors.New("this system cannot limit the size of files")

func limitFileSize(uint64) error { return errNoLimit }
