package background

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/internal/keel/claim"
)

const (
	// startPatience is how long a process may take to be ready.
	startPatience = time.Minute
	// endPatience is how long a process that did not become ready may take to end, before it is killed.
	endPatience = 10 * time.Second
)

// Start runs the command detached from this process and its terminal, with its output in Log, and returns once it is
// ready. When the process ends before, the error holds the end of its log. A process that already runs is returned as
// it is. Of two that start it at once the second waits for the first. A start that fails or is interrupted leaves no
// process behind.
func (p Process) Start(ctx context.Context, name string, args, env []string) (record Record, started bool, err error) {
	record, err = p.Find()
	if errors.Is(err, fs.ErrPermission) {
		return Record{}, false, err
	}
	if err == nil && record.Check(ctx) == nil {
		return record, false, nil
	}
	turn, err := claim.Take(
		ctx,
		filepath.Join(p.Folder, "start"),
		claim.Options{Command: "a start", Patience: startPatience + endPatience},
	)
	if err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	defer turn.Release()
	if record, err := p.Find(); err == nil && record.Check(ctx) == nil {
		return record, false, nil
	}
	if err := os.MkdirAll(filepath.Dir(p.Log), 0o700); err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	log, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	defer func() { _ = log.Close() }()
	begin, _ := log.Seek(0, io.SeekEnd)
	cmd := exec.Command(name, args...) // no context: it outlives this command
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.SysProcAttr = log, log, env, detached()
	if err := cmd.Start(); err != nil {
		return Record{}, false, fmt.Errorf("start the background process: %w", err)
	}
	c := child{pid: cmd.Process.Pid, ended: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.ended)
	}()
	record, err = p.await(ctx, &c, begin)
	if err != nil {
		c.end(cmd.Process)
	}
	return record, err == nil && record.PID == c.pid, err
}

// child is the process that a start has begun.
type child struct {
	pid int
	// ended is closed at its end, for which err is the reason.
	ended chan struct{}
	err   error
}

// end ends the child: gently at first, because it has a store to close.
func (c *child) end(process *os.Process) {
	_ = process.Signal(terminate) // or it has ended
	select {
	case <-c.ended:
	case <-time.After(endPatience):
		_ = process.Kill()
		<-c.ended
	}
}

// await returns the record of the process that is ready: the child's, or another's that was started at the same time in
// another way, beside which the child has ended.
func (p Process) await(ctx context.Context, c *child, begin int64) (Record, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startPatience, errors.New("it is not ready after a minute"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		var ended bool
		select {
		case <-ctx.Done():
			return Record{}, fmt.Errorf("start the background process: %w\n%s", context.Cause(ctx), p.since(begin))
		case <-c.ended:
			ended = true
		case <-tick.C:
		}
		record, err := p.Find()
		if err == nil && (ended || record.PID == c.pid) && record.Check(ctx) == nil {
			return record, nil
		}
		if !ended {
			continue
		}
		if free, err := p.free(); err != nil || free {
			return Record{}, errors.Join(
				fmt.Errorf(
					"start the background process: it ended at once (%v); its log %s ends with\n%s",
					c.err,
					p.Log,
					p.since(begin),
				),
				err,
			)
		}
		select { // another start's process is not ready yet
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// since returns what the log holds after an offset: its last 2,000 bytes.
func (p Process) since(begin int64) string {
	log, err := os.Open(p.Log)
	if err != nil {
		return ""
	}
	defer func() { _ = log.Close() }()
	if info, err := log.Stat(); err == nil {
		begin = max(begin, info.Size()-2000)
	}
	text, _ := io.ReadAll(io.NewSectionReader(log, begin, 2000))
	return strings.TrimSpace(string(text))
}
