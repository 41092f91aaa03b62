package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
)

// fail makes the store read-only. Only the first reason counts. Stored data can still be read, as far as the disk
// permits.
func (s *store) fail(cause error) {
	err := stopped(cause)
	if !s.failed.CompareAndSwap(nil, &err) {
		return
	}
	s.logger.Error("the emulator is now read-only", "error", err)
}

// stopped returns the reason why the store is read-only as one of our errors.
func stopped(cause error) error {
	switch {
	case Stopped(cause) != nil:
		return cause
	case errors.Is(cause, fs.ErrNotExist):
		return fmt.Errorf("%w (%w)", ErrRemoved, cause)
	case isCorrupt(cause):
		return fmt.Errorf("%w (%w)", ErrCorrupt, cause)
	}
	return fmt.Errorf("%w (%w)", ErrUnwritable, cause)
}

// Stopped returns the reason, with advice, for which a state is read-only if err is caused by it: ErrUnwritable,
// ErrRemoved or ErrCorrupt. Otherwise it returns nil.
func Stopped(err error) error {
	for _, reason := range []error{ErrUnwritable, ErrRemoved, ErrCorrupt} {
		if errors.Is(err, reason) {
			return reason
		}
	}
	return nil
}

// guard runs a write. If the store failed before or during it, the write may exist only in memory, so it does not
// count.
func (s *store) guard(write func() error) (err error) {
	defer func() {
		switch cause := recover().(type) {
		case nil:
		case fatal:
			s.fail(cause.err)
		default:
			panic(cause)
		}
		if failed := s.failed.Load(); failed != nil {
			err = *failed
		}
	}()
	if s.failed.Load() != nil {
		return nil // the deferred function has the reason
	}
	return explain(write())
}

// quiet is the database's logger. It logs nothing. Its Fatalf must not return: it ends the current commit, which
// guard reports, or the database's own goroutine that failed. Refused writes do not get here, see disk.
type quiet struct{ s *store }

type fatal struct{ err error }

// fatalCommit is the prefix of the message with which the database gives up on the goroutine of a commit.
const fatalCommit = "pebble: fatal commit error"

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (q quiet) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if strings.HasPrefix(format, fatalCommit) {
		panic(fatal{err})
	}
	q.s.fail(err)
	runtime.Goexit()
}

// listener receives events of the database's background work. The default one would end the process because of a
// damaged block, which the read that finds it reports.
func (s *store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(pebble.DataCorruptionInfo) {},
		BackgroundError: func(err error) {
			if !tooManyOpen(err) { // then the database tries again
				s.fail(err)
			}
		},
	}
}

// unreadable explains a read error. After a damaged or missing file the store is read-only.
func (s *store) unreadable(err error) error {
	if isCorrupt(err) || errors.Is(err, fs.ErrNotExist) {
		s.fail(err)
		return *s.failed.Load()
	}
	return explain(err)
}

// explain translates the database's errors.
func explain(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrCorrupt):
		return err
	case isCorrupt(err):
		return fmt.Errorf("%w (%s)", ErrCorrupt, firstLine(err))
	case errors.Is(err, pebble.ErrClosed):
		return ErrClosed
	}
	return err
}

func isCorrupt(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, io.ErrUnexpectedEOF)
}

// explainOpen translates errors of opening. An error that is neither from the operating system nor our own means
// damage: the database expected other files or other content.
func (s *store) explainOpen(err error) error {
	if failed := s.failed.Load(); failed != nil {
		return *failed
	}
	system := syscall.Errno(0)
	switch {
	case Stopped(err) != nil, errors.Is(err, ErrNewer), errors.Is(err, ErrOlder), errors.Is(err, fs.ErrPermission):
		return err
	case unwritable(err):
		return stopped(err)
	case errors.As(err, &system) && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return fmt.Errorf("%w (%s)", ErrCorrupt, firstLine(err))
}

// unwritable reports whether the operating system refused a write because the disk is full, broken or read-only.
func unwritable(err error) bool {
	for _, reason := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
