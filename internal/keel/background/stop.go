package background

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Stop asks the process to end and waits until it has; one that does not within the time is killed. Nothing running is
// no error: stopped is false then.
func (p Process) Stop(ctx context.Context, patience time.Duration) (stopped bool, err error) {
	process, err := p.open()
	if errors.Is(err, ErrStopped) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = process.Release() }()
	if err := process.Signal(terminate); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("stop process %d: %w", process.Pid, err)
	}
	gentle, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err = p.awaitEnd(gentle); err == nil || ctx.Err() != nil {
		return err == nil, err
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("kill process %d: %w", process.Pid, err)
	}
	last, cancelLast := context.WithTimeout(ctx, patience)
	defer cancelLast()
	err = p.awaitEnd(last)
	return err == nil, err
}

// open returns the running process. It reads the record again after opening the process: at that time the id belonged
// to the process, and the opened process stays the same (on systems with process handles) even if another process gets
// its id afterwards.
func (p Process) open() (*os.Process, error) {
	record, err := p.Find()
	if err != nil {
		return nil, err
	}
	process, err := os.FindProcess(record.PID)
	if err != nil {
		return nil, fmt.Errorf("stop process %d: %w", record.PID, err)
	}
	again, err := p.Find()
	if err == nil && (again.PID != record.PID || !again.Started.Equal(record.Started)) {
		err = fmt.Errorf("stop process %d: another process has replaced it; try again", record.PID)
	}
	if err != nil {
		return nil, errors.Join(err, process.Release())
	}
	return process, nil
}

// awaitEnd returns when the lock is free.
func (p Process) awaitEnd(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if free, err := p.free(); err != nil || free {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of the background process: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
