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

// fail makes the store take no more changes, for the first reason that it is given. What it holds can still be read, as
// far as the disk lets it.
func (s *store) fail(cause error) {
	err := stopped(cause)
	if !s.failed.CompareAndSwap(nil, &err) {
		return
	}
	s.logger.Error("the emulator changes nothing more", "error", err)
}

// stopped says by one of our sentences why the store takes no more.
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

// Stopped is the reason, with what to do, for which a state takes no more changes, when err says so: ErrUnwritable,
// ErrRemoved or ErrCorrupt. Otherwise it is nil.
func Stopped(err error) error {
	for _, reason := range []error{ErrUnwritable, ErrRemoved, ErrCorrupt} {
		if errors.Is(err, reason) {
			return reason
		}
	}
	return nil
}

// guard runs a write. What the database did while or after the store failed it may have done in memory: it does not
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

// quiet is the database's logger. It says nothing. Its Fatalf must not return: it ends the commit under way, which
// guard reports, or the goroutine of the database's own that gave up. Refused writes do not get here, see disk.
type quiet struct{ s *store }

type fatal struct{ err error }

// fatalCommit begins the message with which the database gives up on the goroutine of a commit.
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

// listener hears of the database's own work. The default one would end the process for a damaged block, which the read
// that met it reports.
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

// unreadable explains the error of a read. After a damaged or missing file the store takes no more changes.
func (s *store) unreadable(err error) error {
	if isCorrupt(err) || errors.Is(err, fs.ErrNotExist) {
		s.fail(err)
		return *s.failed.Load()
	}
	return explain(err)
}

// explain gives the database's errors our words.
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

// explainOpen gives errors of opening our words. What is neither a refusal of the operating system nor our own is
// damage: the database expected other files, or another content.
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

// unwritable reports whether the operating system refused a write for want of room, or because the disk is broken or
// cannot be written.
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
