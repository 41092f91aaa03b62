// Package claim lets commands of one machine take turns: a claim is a lock on a file that names its holder. The
// operating system frees the claim of a process that dies.
//
// It knows neither what is claimed nor who claims.
package claim

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Holder is who holds a claim.
type Holder struct {
	PID int `json:"pid"`
	// Command is what the process does, as `keel up`.
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
	// Token is the name of this one claim; see Options.Inherited. It opens nothing.
	Token string `json:"token"`
}

func (h Holder) String() string {
	return fmt.Sprintf("%s (process %d, since %s)", h.Command, h.PID, h.Since.Local().Format(time.TimeOnly))
}

// BusyError is the cause when others hold a claim.
type BusyError struct {
	// Holders are those that could be found out.
	Holders []Holder
}

func (b *BusyError) Error() string { return "it is in use by " + Names(b.Holders) }

// Names lists holders for people.
func Names(holders []Holder) string {
	if len(holders) == 0 {
		return "another command"
	}
	var names []string
	for _, h := range holders {
		names = append(names, h.String())
	}
	return strings.Join(names, ", ")
}

// Options set how Take claims.
type Options struct {
	// Command is what the caller does, for those who wait.
	Command string
	// Shared claims exclude only those that are not.
	Shared bool
	// Patience is how long others are waited for; 0 is not at all.
	Patience time.Duration
	// Waiting is called once when the caller has to wait longer than a moment. Nil is allowed.
	Waiting func([]Holder)
	// Inherited are the tokens of claims that ancestors of this process hold: it works on their behalf and does not
	// wait for them.
	Inherited []string
}

// Claim is a claim that is held until Release.
type Claim struct {
	lock *flock.Flock
	note note
	// alive is the lock of the note.
	alive *flock.Flock
	// token is "" for a claim that an ancestor holds.
	token string
}

// moment is how long a caller waits without a report; it is longer than a look at the claim takes.
const moment = time.Second

// Take takes the claim of a path, whose folder is made when needed. The error is a BusyError when others keep it for
// longer than the caller's patience.
func Take(ctx context.Context, path string, o Options) (*Claim, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(Holders(path), func(h Holder) bool { return slices.Contains(o.Inherited, h.Token) }) {
		return &Claim{}, nil
	}
	lock := flock.New(path)
	ok, err := await(ctx, lock, o.Shared, min(moment, max(o.Patience, moment/10)))
	if !ok && err == nil && o.Patience > moment {
		if o.Waiting != nil {
			o.Waiting(Holders(path))
		}
		ok, err = await(ctx, lock, o.Shared, o.Patience-moment)
	}
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, &BusyError{Holders(path)}
	}
	c := &Claim{lock: lock, token: rand.Text()}
	if err := c.sign(path, o.Command); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return c, nil
}

// await takes a lock; it is not ok when others keep it for the whole time.
func await(ctx context.Context, lock *flock.Flock, shared bool, patience time.Duration) (ok bool, err error) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	try := lock.TryLockContext
	if shared {
		try = lock.TryRLockContext
	}
	ok, err = try(limited, 20*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, nil
	}
	return ok, err
}

// sign writes a note that names the holder of the claim.
func (c *Claim) sign(path, command string) error {
	c.note = note(path + "." + c.token)
	// The lock comes first: a note without one is taken for a dead process's.
	alive, err := c.note.hold()
	if err != nil {
		return err
	}
	c.alive = alive
	text, err := json.Marshal(Holder{os.Getpid(), command, time.Now(), c.token})
	if err != nil {
		return err
	}
	return os.WriteFile(c.note.text(), text, 0o600)
}

// Token names the claim to the processes that work on the holder's behalf; "" for a claim that an ancestor holds.
func (c *Claim) Token() string { return c.token }

// Release gives the claim back. What an ancestor holds stays held.
func (c *Claim) Release() {
	if c.lock == nil {
		return
	}
	_ = c.alive.Unlock()
	c.note.remove()
	_ = c.lock.Unlock()
}

// Holders returns the known holders of the claim of a path, the oldest first. It removes the notes of dead processes.
func Holders(path string) []Holder {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil
	}
	var holders []Holder
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), note("").text())
		if !ok || !strings.HasPrefix(name, filepath.Base(path)+".") {
			continue
		}
		if h, ok := note(filepath.Join(filepath.Dir(path), name)).read(); ok {
			holders = append(holders, h)
		}
	}
	slices.SortFunc(holders, func(a, b Holder) int { return a.Since.Compare(b.Since) })
	return holders
}

// note says who holds a claim. It consists of a text and of a lock that its writer keeps: one that is free is a dead
// process's.
type note string

func (n note) text() string { return string(n) + ".json" }
func (n note) lock() string { return string(n) + ".lock" }

func (n note) remove() { _, _ = os.Remove(n.text()), os.Remove(n.lock()) }

func (n note) hold() (*flock.Flock, error) {
	alive := flock.New(n.lock())
	if ok, err := alive.TryLock(); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("lock %s", n.lock()), err)
	}
	return alive, nil
}

// read returns the content of a note whose writer is alive. Readers share the lock, so that none takes another for the
// writer.
func (n note) read() (Holder, bool) {
	text, err := os.ReadFile(n.text())
	if err != nil {
		return Holder{}, false
	}
	look := flock.New(n.lock())
	dead, err := look.TryRLock()
	if dead {
		_ = look.Unlock()
		n.remove() // a name is used once: no process is writing this note
		return Holder{}, false
	}
	var h Holder
	return h, err == nil && json.Unmarshal(text, &h) == nil
}
