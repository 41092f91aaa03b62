//go:build acceptance

package acceptance_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// checkout is a copy of this project as a user has it: its path holds a space, and what git ignores is not in it. The stories share
// it, one after another, so that programs and plugins are built once.
var checkout string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// The stories share a checkout: one at a time.
	if err := flag.Set("test.parallel", "1"); err != nil {
		return fail(err)
	}
	folder, err := os.MkdirTemp("", "evenkeel-acceptance-")
	if err != nil {
		return fail(err)
	}
	defer os.RemoveAll(folder)
	checkout = filepath.Join(folder, "even keel")
	if err := clone(checkout); err != nil {
		return fail(err)
	}
	if err := build(checkout); err != nil {
		return fail(err)
	}
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "acceptance:", err)
	return 1
}

// clone copies the project's files, uncommitted ones too, into a git repository of their own.
func clone(to string) error {
	list, err := exec.Command("git", "-C", "..", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list the project's files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if err := copyFile(filepath.Join("..", name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=story", "-c", "user.email=story@example.com", "commit", "-qm", "story"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", to}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if os.IsNotExist(err) {
		return nil // deleted, and the deletion not committed yet
	}
	if err != nil {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, info.Mode().Perm())
}

// build makes what `keel up` would make, so that the stories' own timings are about the stories.
func build(folder string) error {
	cmd := exec.Command("go", "run", "./cmd/keel", "build")
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build keel: %w", err)
	}
	return nil
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"enrollment": editEnrollment,
			"kill9":      killEmulator,
			"emulated":   emulated,
		},
	})
}

// setup gives a story the checkout with no environment in it, and takes away what the story leaves.
func setup(env *testscript.Env) error {
	clean := func() { tearDown(checkout) }
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
	env.Setenv("PATH", filepath.Join(checkout, ".evenkeel", "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Cd = checkout
	return nil
}

// tearDown ends an environment the hard way: the emulator is stopped, and all but the built programs is removed.
func tearDown(folder string) {
	keel := exec.Command(filepath.Join(folder, ".evenkeel", "bin", "keel"), "emulator", "stop")
	keel.Dir = folder
	_ = keel.Run() // there may be none
	entries, _ := os.ReadDir(filepath.Join(folder, ".evenkeel"))
	for _, entry := range entries {
		if entry.Name() != "bin" {
			_ = os.RemoveAll(filepath.Join(folder, ".evenkeel", entry.Name()))
		}
	}
	stacks, _ := filepath.Glob(filepath.Join(folder, "stacks", "Pulumi.*.yaml"))
	for _, file := range stacks {
		_ = os.Remove(file)
	}
}

func goEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
