//go:build acceptance

package acceptance_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/testscript"

	own "evenkeel/acceptance/checkout"
)

// checkout is a copy of this project as a user has it: its path contains a space, and it has no files that git ignores.
// The stories use it one after another, so that programs and plugins are built once.
var checkout string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// The stories share a checkout, so they run one at a time.
	if err := flag.Set("test.parallel", "1"); err != nil {
		return fail(err)
	}
	folder, release, err := claimFolder()
	if err != nil {
		return fail(err)
	}
	defer release()
	checkout = filepath.Join(folder, "even keel")
	if err := own.Clone("..", checkout); err != nil {
		return fail(err)
	}
	if err := own.Build(checkout, os.Stderr); err != nil {
		return fail(err)
	}
	return m.Run()
}

// claimFolder returns an empty folder and a function that removes it. Every run gets the same folder: in another one,
// the go command would compile the packages again.
func claimFolder() (folder string, release func(), err error) {
	if folder, err = filepath.Abs(filepath.Join("..", ".evenkeel", "acceptance")); err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return "", nil, err
	}
	lock := flock.New(folder + ".lock")
	if ok, err := lock.TryLock(); err != nil || !ok {
		return "", nil, fmt.Errorf("lock %s: another test run holds it (%v)", lock.Path(), err)
	}
	if err := os.RemoveAll(folder); err != nil {
		return "", nil, err
	}
	return folder, func() {
		_ = os.RemoveAll(folder)
		_ = lock.Unlock()
	}, os.Mkdir(folder, 0o700)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "acceptance:", err)
	return 1
}

// startEmulator starts an empty emulator for a test, and removes it after the test.
func startEmulator(t *testing.T) own.Status {
	t.Helper()
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	if _, err := own.Keel(checkout, "emulator", "start"); err != nil {
		t.Fatal(err)
	}
	s, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition:           evaluateCondition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"enrollment":  editEnrollment,
			"register":    registerDevice,
			"kill9":       killEmulator,
			"emulated":    checkCount,
			"noplainkeys": checkNoPlainKeys,
			"grouptags":   portalCommand(wantTags),
			"grouptag":    portalCommand(setTag),
			"stranger":    portalCommand(addForeignHub),
			"stacktags":   stackTags,
			"arm":         callARM,
			"granthubs":   grantHubs,
		},
	})
}

// evaluateCondition implements the condition nameless: a process can run as a user whom the system does not know.
func evaluateCondition(name string) (bool, error) {
	if name != "nameless" {
		return false, fmt.Errorf("unknown condition %q", name)
	}
	return exec.Command("unshare", "--user", "--map-user=4711", "--map-group=4711", "true").Run() == nil, nil
}

// setup gives a story the checkout without environments, and removes what the story has created.
func setup(env *testscript.Env) error {
	clean := func() { own.TearDown(checkout) }
	clean()
	env.Defer(clean)
	for _, name := range []string{"HOME", "USER", "GOFLAGS", "GOPROXY", "XDG_CACHE_HOME"} {
		env.Setenv(name, os.Getenv(name))
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		env.Setenv(name, goEnv(name))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	env.Setenv("XDG_CACHE_HOME", cache)
	env.Setenv("CHECKOUT", checkout)
	env.Setenv("EVENKEEL_STACK", own.Stack)
	env.Setenv("PATH", filepath.Join(checkout, ".evenkeel", "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Cd = checkout
	return nil
}

// bounded returns a command that is killed after own.Limit, or at the end of the test.
func bounded(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), own.Limit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Minute // its children may hold its output open
	return cmd
}

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
