package environment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/hint"
)

// fileBackend returns the folder of a file backend, else "". keel reads states, histories and locks of a file backend
// itself; for any other backend it asks Pulumi.
func (e *Environment) fileBackend() string {
	if e.Backend == "" {
		if e.Target == Azure {
			return ""
		}
		return e.Folder.Backend()
	}
	path, ok := strings.CutPrefix(e.Backend, "file://")
	if !ok {
		return ""
	}
	path, _, _ = strings.Cut(path, "?")
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	if rest, ok := strings.CutPrefix(path, "~"); ok {
		return filepath.Join(e.inherited("HOME"), rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.Folder.Root, path)
	}
	return filepath.Clean(path)
}

// HasFileBackend reports whether states, histories and locks are in a folder that keel reads without Pulumi.
func (e *Environment) HasFileBackend() bool { return e.fileBackend() != "" }

// HasOwnBackend reports whether the backend is the checkout's own, which only this checkout uses: a resource that its
// emulator does not have exists nowhere.
func (e *Environment) HasOwnBackend() bool { return e.Backend == "" && e.Target != Azure }

// backendURL returns the backend for Pulumi; "" selects that of Pulumi's own login.
func (e *Environment) backendURL() string {
	if e.Backend != "" || e.Target == Azure {
		return e.Backend
	}
	// Without metadata=skip the backend writes a second file beside each state, and not atomically: a killed Pulumi can
	// leave it empty, and then Pulumi can no longer read the state ("failed to load checkpoint: EOF").
	own := url.URL{Scheme: "file", Path: filepath.ToSlash(e.Folder.Backend()), RawQuery: "metadata=skip"}
	return own.String()
}

// Login finds out which backend Pulumi is logged in to, for an environment on Azure that names none. Backend stays
// empty for Pulumi Cloud: Pulumi prints only the address of its web pages, and finds its service without it.
func (e *Environment) Login(ctx context.Context) error {
	if e.Target != Azure || e.Backend != "" || e.page != "" {
		return nil
	}
	if e.Backend = e.inherited("PULUMI_BACKEND_URL"); e.Backend != "" {
		return nil
	}
	login, err := e.whoami(ctx)
	switch {
	case err != nil:
		return err
	case login.URL == "": // a self-hosted Pulumi Cloud whose web pages Pulumi does not know
		return hint.To(errors.New("find the backend: pulumi whoami prints no URL"),
			"run pulumi login, or set PULUMI_BACKEND_URL or --backend")
	case cloudHost(login.URL) != "":
		e.page = login.URL
	default:
		e.Backend = login.URL
	}
	return nil
}

// backendID returns the identity of the backend, without credentials. A folder stores its own.
func (e *Environment) backendID(ctx context.Context) (string, error) {
	if folder := e.fileBackend(); folder != "" {
		return backendIdentity(folder)
	}
	if host := cloudHost(cmp.Or(e.Backend, e.page)); host != "" {
		owner, err := e.cloudOwner(ctx)
		return "https://" + host + "/" + owner, err
	}
	u, err := url.Parse(e.Backend)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("invalid backend %q: not a URL", Redacted(e.Backend))
	}
	// Credentials and access options are left out. The account is added, because it distinguishes buckets of one name.
	account := ""
	if u.Scheme == "azblob" {
		account = u.Query().Get("storage_account")
		if account == "" {
			account = e.inherited("AZURE_STORAGE_ACCOUNT")
		}
	}
	return strings.ToLower(u.Scheme+"://"+u.Host) + strings.TrimSuffix(u.Path, "/") + "#" + account, nil
}

// Redacted returns the URL of a backend without credentials.
func Redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "that was given"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// noSuchStack matches Pulumi's message, for every kind of backend, about a stack that does not exist
// (StackNotFoundError of pkg/v3/backend/backenderr of v3.250.0), and no other "not found", as of a container, an object
// or a login.
var noSuchStack = regexp.MustCompile(`(?m)error: no stack named '[^']*' found$`)

// load reads the stack's state. The cause of the error is fs.ErrNotExist if the stack does not exist.
func (e *Environment) load(ctx context.Context) (deployment, error) {
	if e.fileBackend() != "" {
		project, _, err := e.Folder.Project()
		if err != nil {
			return deployment{}, err
		}
		return readState(e.stateFile(project))
	}
	text, err := e.output(ctx, "stack", "export", "--stack", e.Stack)
	if err != nil {
		if noSuchStack.MatchString(err.Error()) {
			err = fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
		}
		return deployment{}, fmt.Errorf("read the state: %w", err)
	}
	var exported struct {
		Deployment deployment `json:"deployment"`
	}
	if err := json.Unmarshal(text, &exported); err != nil {
		return deployment{}, fmt.Errorf("read the state: %w", err)
	}
	return exported.Deployment, nil
}

// Names returns the names of the project's stacks in the backend, in order.
func (e *Environment) Names(ctx context.Context) ([]string, error) {
	if folder := e.fileBackend(); folder != "" {
		return stacksIn(e.Folder, folder)
	}
	text, err := e.output(ctx, "stack", "ls", "--json")
	if err != nil {
		return nil, fmt.Errorf("list the stacks: %w", err)
	}
	var list []struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("list the stacks: %w", err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	return names, nil
}

// stacksIn lists the stacks in the folder of a file backend.
func stacksIn(f Folder, backend string) ([]string, error) {
	project, _, err := f.Project()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(backend, ".pulumi", "stacks", project))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the stacks: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".json"); ok && !entry.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}

// newestFromPulumi asks Pulumi for the newest entry of the stack's history.
func (e *Environment) newestFromPulumi(ctx context.Context) (update, error) {
	text, err := e.output(ctx, "stack", "history", "--stack", e.Stack, "--json", "--page-size", "1")
	if err != nil {
		return update{}, fmt.Errorf("read the history of stack %q: %w", e.Stack, err)
	}
	var updates []update
	if err := json.Unmarshal(text, &updates); err != nil {
		return update{}, fmt.Errorf("read the history of stack %q: %w", e.Stack, err)
	}
	if len(updates) == 0 {
		return update{}, nil
	}
	return updates[0], nil
}

// holder matches the holder of a lock in Pulumi's error (pkg/v3/backend/diy/lock.go of v3.250.0).
var holder = regexp.MustCompile(`created by (\S*)@(\S+) \(pid (\d+)\) at (\S+)`)

// staleLocks returns the holders of the locks in an error of Pulumi, if all of them are dead processes of this machine.
func staleLocks(complaint string) (holders []string) {
	host, err := os.Hostname()
	if err != nil {
		return nil
	}
	for _, match := range holder.FindAllStringSubmatch(complaint, -1) {
		pid, err := strconv.Atoi(match[3])
		if err != nil || match[2] != host || isAlive(pid) {
			return nil
		}
		holders = append(holders, fmt.Sprintf("process %d, %s", pid, match[4]))
	}
	return holders
}

// Operate runs a Pulumi operation. Only Pulumi's error shows a lock that a dead process of this machine has left in a
// backend that is not a folder: Operate then removes the lock, recovers, and runs the operation again.
func (e *Environment) Operate(ctx context.Context, azure Cloud, args ...string) error {
	err := e.Run(ctx, args...)
	broken, err := e.breakLock(ctx, err)
	if err != nil || !broken {
		return err
	}
	if err := e.recover(ctx, azure, true); err != nil {
		return err
	}
	return e.Run(ctx, args...)
}

// retryWithoutStaleLock calls do, and again if a stale lock made it fail; broken reports whether it removed such a
// lock.
func (e *Environment) retryWithoutStaleLock(ctx context.Context, do func() error) (broken bool, err error) {
	if broken, err = e.breakLock(ctx, do()); broken {
		err = do()
	}
	return broken, err
}

// breakLock removes the locks that made an operation fail, if all of their holders are dead. It returns any other
// error.
func (e *Environment) breakLock(ctx context.Context, refusal error) (broken bool, err error) {
	stale := (*staleLockError)(nil)
	if !errors.As(refusal, &stale) {
		return false, refusal
	}
	if _, err := e.output(ctx, "cancel", "--yes", "--stack", e.Stack); err != nil {
		return false, fmt.Errorf("remove the lock of stack %q: %w", e.Stack, err)
	}
	e.notice("removed the stale lock of a Pulumi process that has ended (%s)", strings.Join(stale.holders, "; "))
	return true, nil
}

// staleLockError is the error of an operation that failed because of locks whose holders are dead.
type staleLockError struct {
	error
	holders []string
}

func (s *staleLockError) Unwrap() error { return s.error }
