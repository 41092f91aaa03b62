package toolchain_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/await"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/toolchain"
)

// TestMain makes the test binary pulumi or go if it is started under that name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "pulumi":
		fmt.Println(os.Getenv("FAKE_PULUMI"))
		os.Exit(0)
	case "go":
		os.Exit(fakeGo(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// fakeGo answers `go env GOVERSION` and writes what `go build -o` would; each build adds a line with its arguments and
// GOFLAGS to FAKE_LOG.
func fakeGo(args []string) int {
	if args[0] == "env" {
		fmt.Println(os.Getenv("FAKE_GO"))
		return 0
	}
	log, err := os.OpenFile(os.Getenv("FAKE_LOG"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 3
	}
	fmt.Fprintln(log, strings.Join(args, " "), "GOFLAGS="+os.Getenv("GOFLAGS"))
	if os.Getenv("FAKE_FAIL") != "" {
		fmt.Fprintln(os.Stderr, "x.go:1:2: undefined: y")
		return 1
	}
	out := args[slices.Index(args, "-o")+1]
	files := []string{out}
	if strings.HasSuffix(out, "/") {
		files = nil
		for _, arg := range args {
			if name, ok := strings.CutPrefix(arg, "./cmd/"); ok {
				files = append(files, out+name)
			}
		}
	}
	for _, file := range files {
		if err := os.WriteFile(file, []byte("built"), 0o700); err != nil {
			return 3
		}
	}
	return 0
}

// bench is a project, a cache and a PATH for one test.
type bench struct {
	t       *testing.T
	options toolchain.Options
	out     *bytes.Buffer
	log     string
}

func newBench(t *testing.T, env ...string) *bench {
	t.Helper()
	folder := t.TempDir()
	b := &bench{t: t, out: &bytes.Buffer{}, log: filepath.Join(folder, "builds")}
	b.options = toolchain.Options{
		Root: filepath.Join(folder, "my project"), Cache: filepath.Join(folder, "cache"),
		Path:   filepath.Join(folder, "bin"),
		Report: toolchain.Reporter{Out: b.out, Quiet: time.Hour},
		Env: append([]string{"PATH=" + filepath.Join(folder, "bin"), "FAKE_LOG=" + b.log, "FAKE_GO=go1.30.0"},
			env...),
	}
	for _, sub := range []string{"tools/pulumi", "tools/language-go"} {
		if err := os.MkdirAll(filepath.Join(b.options.Root, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(b.options.Root, "go.mod"), []byte("module x\n\ngo 1.26.0\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	b.install("bin", "go")
	return b
}

// install links the test binary under names in a folder beside the project.
func (b *bench) install(folder string, names ...string) string {
	b.t.Helper()
	folder = filepath.Join(filepath.Dir(b.options.Root), folder)
	self, err := os.Executable()
	if err == nil {
		err = os.MkdirAll(folder, 0o700)
	}
	for _, name := range names {
		err = errors.Join(err, os.Symlink(self, filepath.Join(folder, name)))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return folder
}

func (b *bench) builds() int {
	text, _ := os.ReadFile(b.log) // empty if absent
	return strings.Count(string(text), "\n")
}

func TestAcceptedVersions(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"v3.250.0": true, "v3.250.1": true, "v3.999.0": true, "v3.251.0-alpha.1": true, "v3.249.9": false,
		"v3.250.0-alpha.1": false,
		"v4.0.0":           false, "v4.0.0-beta.1": false, "v2.9.0": false, "3.250.0": false, "": false,
	} {
		t.Run(version, func(t *testing.T) {
			if got := toolchain.Accepted(version); got != want {
				t.Errorf("%q: got %v, want %v", version, got, want)
			}
		})
	}
}

func TestASuitablePulumiOnPathIsUsed(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_PULUMI=v3.260.0")
	folder := b.install("bin", "pulumi", "pulumi-language-go")
	tools, err := toolchain.Ensure(context.Background(), b.options)
	if err != nil {
		t.Fatal(err)
	}
	if tools.Pulumi != filepath.Join(folder, "pulumi") || tools.Version != "v3.260.0" || tools.Built ||
		tools.Note != "" {
		t.Errorf("got %+v, want the pulumi of %s", tools, folder)
	}
	if b.builds() != 0 {
		t.Error("something was built")
	}
}

func TestAnUnsuitablePulumiOnPathIsSkippedWithANote(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		version string
		host    bool
		want    string
	}{
		"too old":          {"v3.100.0", true, "v3.100.0"},
		"too new":          {"v4.0.0", true, "v4.0.0"},
		"no language host": {"v3.250.0", false, "no pulumi-language-go"},
		"no version":       {"hello", true, "the answer is not a version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, "FAKE_PULUMI="+tc.version)
			b.install("bin", "pulumi")
			if tc.host {
				b.install("bin", "pulumi-language-go")
			}
			tools, err := toolchain.Ensure(context.Background(), b.options)
			if err != nil {
				t.Fatal(err)
			}
			if !tools.Built || !strings.Contains(tools.Note, tc.want) {
				t.Errorf("got %+v, want the built one and a note with %q", tools, tc.want)
			}
		})
	}
}

func TestAnExplicitPulumiOutOfRangeIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_PULUMI=v3.1.0")
	b.options.Explicit = filepath.Join(b.install("other", "pulumi", "pulumi-language-go"), "pulumi")
	_, err := toolchain.Ensure(context.Background(), b.options)
	if !errors.Is(err, toolchain.ErrVersion) || !strings.Contains(err.Error(), "v3.1.0") || hint.Of(err) == "" {
		t.Errorf("got %v (hint %q), want ErrVersion that names v3.1.0, with a hint", err, hint.Of(err))
	}
	if b.builds() != 0 {
		t.Error("something was built")
	}
}

func TestTwoConcurrentBuildsBuildMissingToolsOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.options.Report = toolchain.Reporter{}
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			tools, err := toolchain.Ensure(context.Background(), b.options)
			if err != nil || !toolchain.Complete(tools) || !tools.Built {
				t.Errorf("got %+v, %v, want complete tools", tools, err)
			}
		})
	}
	await.Return(t, "both builds", wait.Wait)
	if got := b.builds(); got != 3 {
		t.Errorf("got %d builds, want 3: host, wrapper, CLI", got)
	}
	text, err := os.ReadFile(b.log)
	if err != nil || !strings.Contains(string(text), "version.Version="+toolchain.PinnedVersion) {
		t.Errorf("got %v and %q, want the version linked in", err, text)
	}
}

func TestAFailedBuildNamesItsLogAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_FAIL=1")
	_, err := toolchain.Ensure(context.Background(), b.options)
	if err == nil || !strings.Contains(err.Error(), "undefined: y") {
		t.Fatalf("got %v, want the compiler's complaint", err)
	}
	_, log, _ := strings.Cut(hint.Of(err), "whole output is in ")
	if text, readErr := os.ReadFile(log); readErr != nil || !strings.Contains(string(text), "undefined: y") {
		t.Errorf("got hint %q, %v, want it to name the log", hint.Of(err), readErr)
	}
	if toolchain.Complete(toolchain.Cached(b.options.Cache)) {
		t.Error("the tools look complete")
	}
}

func TestGoThatIsTooOldOrMissingIsAnError(t *testing.T) {
	t.Parallel()
	b := newBench(t, "FAKE_GO=go1.25.9")
	for name, build := range map[string]func() error{
		"tools":   func() error { _, err := toolchain.Ensure(context.Background(), b.options); return err },
		"project": func() error { return toolchain.BuildProject(context.Background(), b.options, t.TempDir()) },
		"keel":    func() error { return toolchain.BuildKeel(context.Background(), b.options, t.TempDir()) },
	} {
		t.Run(name, func(t *testing.T) {
			err := build()
			if !errors.Is(err, toolchain.ErrGo) || !strings.Contains(err.Error(), "go1.25.9") ||
				!strings.Contains(err.Error(), "go1.26.0") {
				t.Errorf("%s: got %v, want ErrGo with both versions", name, err)
			}
			if !strings.Contains(hint.Of(err), "go1.26.0") {
				t.Errorf("%s: got hint %q, want the version to install", name, hint.Of(err))
			}
		})
	}
	if b.builds() != 0 {
		t.Error("something was built")
	}
}
