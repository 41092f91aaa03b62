package toolchain_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/toolchain"
)

// Settings outside the checkout or in the environment belong to other projects (golang/go issue 51604).
func TestABuildIgnoresGoSettingsOfOtherProjects(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700),
			os.WriteFile(file, []byte(text), 0o600)); err != nil {
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

func TestABuildWithoutGoFoldersHintsAtTheVariables(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module x\n\ngo 1.26\n",
		"cmd/keel/main.go": "package main\n\nfunc main() {}\n", "file": ""} {
		file := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700),
			os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, env := range map[string][]string{
		"no HOME": nil, "one that cannot be written": {"HOME=" + filepath.Join(folder, "file", "home")},
	} {
		t.Run(name, func(t *testing.T) {
			o := toolchain.Options{Root: folder, Env: append(env, "PATH="+os.Getenv("PATH"), "GOENV=off")}
			err := toolchain.BuildKeel(t.Context(), o, t.TempDir())
			if err == nil || !strings.Contains(hint.Of(err), "set HOME, or GOCACHE and GOPATH") {
				t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
			}
		})
	}
}

// buildWithoutTags builds a program as earlier versions built the tools: with the C library and without a build tag.
func (b *bench) buildWithoutTags() string {
	b.t.Helper()
	folder := b.t.TempDir()
	err := errors.Join(
		os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module x\n\ngo 1.26\n"), 0o600),
		os.WriteFile(filepath.Join(folder, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o600),
	)
	if err != nil {
		b.t.Fatal(err)
	}
	build := exec.CommandContext(b.t.Context(), "go", "build", "-o", "old", ".")
	build.Dir, build.Env = folder, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		b.t.Fatalf("build a program: %v\n%s", err, out)
	}
	return filepath.Join(folder, "old")
}

// A container that runs with any user id has no entry for its user (localstack/localstack issue 7163, pulumi/pulumi
// issue 7201).
func TestToolsThatCannotLookUpTheUserAreBuiltAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	cached := toolchain.Cached(b.options.Cache)
	folder := filepath.Dir(cached.Pulumi)
	b.put("x", "")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	old := b.buildWithoutTags()
	for _, name := range []string{"pulumi", "pulumi-language-go", "pulumi-language-go-real"} {
		if err := os.Symlink(old, filepath.Join(folder, name)); err != nil {
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
	if err != nil || b.builds() != 3 || strings.Count(string(text), "-tags=osusergo") != 3 {
		t.Errorf("got %q, %v, want all three built with the tag", text, err)
	}
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || !there {
		t.Errorf("after that: got %v, %v", there, err)
	}
}

// Without HOME there is no cache folder (pulumi/pulumi issue 15159); only tools in that folder need it.
func TestOnlyBuildsOfPulumiNeedACacheFolder(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_PULUMI=v3.260.0")
	b.options.Cache = ""
	for name, err := range map[string]error{
		"look":   func() error { _, _, err := toolchain.Look(t.Context(), b.options); return err }(),
		"ensure": func() error { _, err := toolchain.Ensure(t.Context(), b.options); return err }(),
	} {
		t.Run(name, func(t *testing.T) {
			if !errors.Is(err, toolchain.ErrNoCache) || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") ||
				!strings.Contains(hint.Of(err), "--pulumi") {
				t.Errorf("%s: got %v, hint %q", name, err, hint.Of(err))
			}
		})
	}
	b.install("bin", "pulumi", "pulumi-language-go")
	if _, there, err := toolchain.Look(t.Context(), b.options); err != nil || !there {
		t.Errorf("a pulumi on PATH: got %v, %v", there, err)
	}
}

func TestAReadOnlyCacheFolderIsAnErrorWithAHint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	file := b.put("file", "")
	b.options.Cache = filepath.Join(file, "cache") // not even root can create a folder below a file
	_, err := toolchain.Ensure(t.Context(), b.options)
	if err == nil || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") {
		t.Errorf("got %v, hint %q", err, hint.Of(err))
	}
	if err := toolchain.CanBuild(b.options); err == nil || !strings.Contains(hint.Of(err), "XDG_CACHE_HOME") {
		t.Errorf("got %v, hint %q, want the same error before a build", err, hint.Of(err))
	}
	b.options.Cache = filepath.Join(t.TempDir(), "a", "b")
	if err := toolchain.CanBuild(b.options); err != nil {
		t.Errorf("a folder that can be created: got %v", err)
	}
	if _, err := os.Stat(filepath.Dir(b.options.Cache)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want nothing created", err)
	}
}

// Make and keel build the same packages one after the other: with other flags the second compiles them again. A program
// that go run starts has other flags too, since it has no debug information.
func TestMakeBuildsWithTheFlagsOfKeel(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	flags := strings.Join(toolchain.BuildFlags(), " ")
	if want := "\nexport GOFLAGS := $(GOFLAGS) " + flags + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("the Makefile has no line %q", want)
	}
	if !strings.Contains(string(text), " go build -o .evenkeel/bin/ ./cmd/keel ") ||
		strings.Contains(string(text), "go run ./cmd/") {
		t.Error("want the Makefile to build keel to where keel builds it, and to run no command with go run")
	}
	for line := range strings.Lines(string(text)) {
		_, tags, found := strings.Cut(line, "-tags ")
		if found && !strings.HasPrefix(tags, "osusergo,") {
			t.Errorf("got -tags %s, want it to begin with osusergo, since it replaces the tags of GOFLAGS", tags)
		}
	}
}

func TestEveryBuildHasTheSameFlags(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("main.go", "package main")
	if _, err := toolchain.Ensure(t.Context(), b.options); err != nil {
		t.Fatal(err)
	}
	if err := toolchain.BuildProject(t.Context(), b.options, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.log)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 5 {
		t.Errorf("got %d builds, want those of the host, its wrapper, the CLI, keel with the plugin, and the program",
			len(lines))
	}
	want := "GOFLAGS=-mod=readonly " + strings.Join(toolchain.BuildFlags(), " ")
	for _, line := range lines {
		// Flags of the linker compile nothing again.
		if !strings.HasSuffix(line, want) || strings.Contains(line, "-trimpath") ||
			strings.Contains(line, "-gcflags") || strings.Count(line, "-tags") != 1 {
			t.Errorf("got %q, want it to end with %q and to have no other flag of the compiler", line, want)
		}
	}
}
