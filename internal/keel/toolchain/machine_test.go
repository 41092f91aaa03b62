package toolchain_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/toolchain"
)

// What is around the checkout, or in the environment, is for other projects (golang/go issue 51604).
func TestABuildIsOursWhateverIsAroundIt(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("checkout/go.mod", "module x\n\ngo 1.26\n")
	write(
		"checkout/cmd/keel/main.go",
		"package main\n\nimport \"runtime\"\n\nfunc main() { print(runtime.GOOS, \"/\", runtime.GOARCH) }\n",
	)
	elsewhere := write("elsewhere/go.work", "go 1.26\n")
	write("go.work", "go 1.26\n")
	set := write("env", "GOFLAGS=-mod=vendor\nGOOS=plan9\nGOARCH=arm\nGO111MODULE=off\n") // as `go env -w` writes it
	for name, foreign := range map[string][]string{
		"a workspace above":       nil,
		"a workspace by its name": {"GOWORK=" + elsewhere},
		"flags":                   {"GOFLAGS=-mod=vendor -tags=x -race"},
		"no modules":              {"GO111MODULE=off"},
		"another system":          {"GOOS=windows", "GOARCH=arm64"},
		"settings of the go tool": {"GOENV=" + set},
		"flags that are kept":     {"GOFLAGS=-p=1 -x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			o := toolchain.Options{Root: filepath.Join(folder, "checkout"), Env: append(os.Environ(), foreign...)}
			if err := toolchain.BuildKeel(t.Context(), o, bin); err != nil {
				t.Fatalf("got %v", err)
			}
			out, err := exec.CommandContext(t.Context(), filepath.Join(bin, "keel")).CombinedOutput()
			if want := runtime.GOOS + "/" + runtime.GOARCH; err != nil || string(out) != want {
				t.Errorf("got %q, %v, want %s", out, err, want)
			}
			log, err := os.ReadFile(filepath.Join(bin, "build.log"))
			if traced := strings.Contains(string(log), "WORK="); err != nil ||
				traced != (name == "flags that are kept") {
				t.Errorf("got the log %q, %v", log, err)
			}
		})
	}
}

func TestABuildWithoutFoldersForTheGoCommandSaysWhatToSet(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module x\n\ngo 1.26\n", "cmd/keel/main.go": "package main\n\nfunc main() {}\n", "file": ""} {
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, env := range map[string][]string{
		"no HOME": nil, "one that cannot be written": {"HOME=" + filepath.Join(folder, "file", "home")},
	} {
		o := toolchain.Options{Root: folder, Env: append(env, "PATH="+os.Getenv("PATH"), "GOENV=off")}
		err := toolchain.BuildKeel(t.Context(), o, t.TempDir())
		if err == nil || !strings.Contains(hint.Of(err), "set HOME, or GOCACHE and GOPATH") {
			t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
		}
	}
}

// A container that runs under any number has no entry for its user (localstack/localstack issue 7163, pulumi/pulumi
// issue 7201).
func TestToolsThatAskTheCLibraryForTheUserAreBuiltAgainWhereItDoesNotKnowThem(t *testing.T) {
	t.Parallel()
	build, ok := debug.ReadBuildInfo()
	if !ok ||
		slices.ContainsFunc(
			build.Settings,
			func(s debug.BuildSetting) bool { return s.Key == "CGO_ENABLED" && s.Value == "0" },
		) {
		t.Skip("this test is not linked to the C library")
	}
	b := newBench(t)
	cached := toolchain.Cached(b.options.Cache)
	folder := filepath.Dir(cached.Pulumi)
	b.put("x", "")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pulumi", "pulumi-language-go", "pulumi-language-go-real"} {
		if err := os.Symlink(self, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || !there {
		t.Errorf("a user with an entry: got %v, %v, want the tools that are there", there, err)
	}
	b.options.Nameless = true
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || there {
		t.Errorf("a user without: got %v, %v, want them built again", there, err)
	}
	if _, err := toolchain.Ensure(t.Context(), b.options); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.log)
	if err != nil || b.builds() != 3 || strings.Count(string(text), "-tags osusergo") != 3 {
		t.Errorf("got %q, %v, want all three built with the tag", text, err)
	}
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || !there {
		t.Errorf("after that: got %v, %v", there, err)
	}
}

// Without HOME there is no cache folder (pulumi/pulumi issue 15159); only what lies there misses it.
func TestACacheFolderIsNeededByWhatIsBuiltThereAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_PULUMI=v3.260.0")
	b.options.Cache = ""
	for name, err := range map[string]error{
		"look":   func() error { _, _, err := toolchain.Look(t.Context(), b.options); return err }(),
		"ensure": func() error { _, err := toolchain.Ensure(t.Context(), b.options); return err }(),
	} {
		if !errors.Is(err, toolchain.ErrNoCache) || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") ||
			!strings.Contains(hint.Of(err), "--pulumi") {
			t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
		}
	}
	b.install("bin", "pulumi", "pulumi-language-go")
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || !there {
		t.Errorf("a pulumi on PATH: got %v, %v", there, err)
	}
}

func TestACacheFolderThatCannotBeWrittenIsSaidWithAWayOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	file := b.put("file", "")
	b.options.Cache = filepath.Join(file, "cache") // below a file no folder can be, for root neither
	_, err := toolchain.Ensure(t.Context(), b.options)
	if err == nil || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	if err := toolchain.CanBuild(b.options); err == nil || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") {
		t.Errorf("got %v, hint %q, want it told before", err, hint.Of(err))
	}
	b.options.Cache = filepath.Join(t.TempDir(), "a", "b")
	if err := toolchain.CanBuild(b.options); err != nil {
		t.Errorf("a folder that can be made: got %v", err)
	}
	if _, err := os.Stat(filepath.Dir(b.options.Cache)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want nothing made", err)
	}
}
