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

// fileBackend returns the folder of the backend when it is a folder, else "". Only there keel reads states, histories and locks by itself;
// of any other backend it asks Pulumi.
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

// InFiles reports whether states, histories and locks lie in a folder that keel reads by itself.
func (e *Environment) InFiles() bool { return e.fileBackend() != "" }

// OwnsBackend reports whether the backend is the checkout's own, which nobody else uses: what this emulator does not have is nowhere.
func (e *Environment) OwnsBackend() bool { return e.Backend == "" && e.Target != Azure }

// backendURL is what Pulumi is told; "" leaves it to Pulumi's own login.
func (e *Environment) backendURL() string {
	if e.Backend != "" || e.Target == Azure {
		return e.Backend
	}
	// Without metadata=skip the backend writes a second file beside each, not at once: a killed Pulumi can leave it empty, and then
	// no Pulumi reads the state any more ("failed to load checkpoint: EOF").
	own := url.URL{Scheme: "file", Path: filepath.ToSlash(e.Folder.Backend()), RawQuery: "metadata=skip"}
	return own.String()
}

// Login finds out which backend Pulumi is logged in to, for an environment on Azure that names none. Backend stays empty when that is
// Pulumi Cloud: Pulumi tells the address of its pages alone, and knows by itself where its service is.
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
	case login.URL == "": // a Pulumi Cloud of somebody's own, of which Pulumi cannot tell where its pages are
		return hint.To(errors.New("find the backend: pulumi whoami names none"), "run pulumi login, or set PULUMI_BACKEND_URL or --backend")
	case cloudHost(login.URL) != "":
		e.page = login.URL
	default:
		e.Backend = login.URL
	}
	return nil
}

// backendID is the identity of the backend, without what lets somebody in. A folder holds its own.
func (e *Environment) backendID(ctx context.Context) (string, error) {
	if folder := e.fileBackend(); folder != "" {
		return identify(folder)
	}
	if host := cloudHost(cmp.Or(e.Backend, e.page)); host != "" {
		owner, err := e.cloudOwner(ctx)
		return "https://" + host + "/" + owner, err
	}
	u, err := url.Parse(e.Backend)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("invalid backend %q: not a URL", Redacted(e.Backend))
	}
	// Credentials and options of the access stay out; what tells buckets of one name apart, the account, is added.
	account := ""
	if u.Scheme == "azblob" {
		account = u.Query().Get("storage_account")
		if account == "" {
			account = e.inherited("AZURE_STORAGE_ACCOUNT")
		}
	}
	return strings.ToLower(u.Scheme+"://"+u.Host) + strings.TrimSuffix(u.Path, "/") + "#" + account, nil
}

// Redacted is the URL of a backend without what lets somebody in.
func Redacted(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "that was given"
	}
	u.RawQuery = ""
	return u.Redacted()
}

// noSuchStack is Pulumi's one sentence, for every kind of backend, about a stack that is not there (StackNotFoundError
// of pkg/v3/backend/backenderr of v3.250.0). A container, an object or a login that is "not found" is another matter.
var noSuchStack = regexp.MustCompile(`(?m)error: no stack named '[^']*' found$`)

// load reads the stack's state. fs.ErrNotExist is the cause of the error when there is no such stack.
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

// stacksIn lists the states that lie in the folder of a file backend.
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

// newestByPulumi returns the newest entry of the stack's history as Pulumi tells it.
func (e *Environment) newestByPulumi(ctx context.Context) (update, error) {
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

// holder is how Pulumi's complaint names who holds a lock (pkg/v3/backend/diy/lock.go of v3.250.0).
var holder = regexp.MustCompile(`created by (\S*)@(\S+) \(pid (\d+)\) at (\S+)`)

// staleLocks returns who held the locks that a complaint names, when all of them were taken on this machine by processes that are dead.
func staleLocks(complaint string) (holders []string) {
	host, err := os.Hostname()
	if err != nil {
		return nil
	}
	for _, match := range holder.FindAllStringSubmatch(complaint, -1) {
		pid, err := strconv.Atoi(match[3])
		if err != nil || match[2] != host || alive(pid) {
			return nil
		}
		holders = append(holders, fmt.Sprintf("process %d, %s", pid, match[4]))
	}
	return holders
}

// Operate runs a Pulumi operation. A lock that a dead process of this machine has left in a backend that is no folder is found by its
// complaint alone: it is removed, what the dead process left is mended, and the operation begins again.
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

// refused does something, and once more when it was refused for a lock that a dead process has left; broken says so.
func (e *Environment) refused(ctx context.Context, do func() error) (broken bool, err error) {
	if broken, err = e.breakLock(ctx, do()); broken {
		err = do()
	}
	return broken, err
}

// breakLock removes the locks that an operation was refused for, when all of their holders are dead. Any other refusal it returns.
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

// staleLockError is the refusal of an operation because of locks whose holders are dead.
type staleLockError struct {
	error
	holders []string
}

func (s *staleLockError) Unwrap() error { return s.error }
