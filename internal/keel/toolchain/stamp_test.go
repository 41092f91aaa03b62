package toolchain_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"evenkeel/internal/keel/toolchain"
)

// put writes a file to the bench's project.
func (b *bench) put(name, text string) string {
	b.t.Helper()
	file := filepath.Join(b.options.Root, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		b.t.Fatal(err)
	}
	return file
}

func TestAProgramIsFreshUntilItsInputsChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(b *bench, bin string) error
		fresh  bool
	}{
		"nothing": {func(*bench, string) error { return nil }, true},
		"a test": {func(b *bench, _ string) error { b.put("cmd/keel/x_test.go", "package main"); return nil },
			true},
		"a stack file": {func(b *bench, _ string) error {
			b.put("stacks/Pulumi.local.yaml", "config: {}")
			return nil
		}, true},
		"what keel keeps": {func(b *bench, _ string) error { b.put(".evenkeel/x.json", "{}"); return nil }, true},
		"a source": {func(b *bench, _ string) error { b.put("main.go", "package main // more"); return nil },
			false},
		"a new source": {func(b *bench, _ string) error { b.put("internal/new/new.go", "package new"); return nil },
			false},
		"the module": {func(b *bench, _ string) error { b.put("go.mod", "module x\n\ngo 1.26.1\n"); return nil },
			false},
		"a picture":        {func(b *bench, _ string) error { b.put("docs/images/split.png", ""); return nil }, true},
		"an embedded page": {func(b *bench, _ string) error { b.put("internal/page.html", "<p>"); return nil }, false},
		"a workspace":      {func(b *bench, _ string) error { b.put("../go.work", "go 1.26\n"); return nil }, true},
		"a module from elsewhere": {func(b *bench, _ string) error {
			b.put("go.mod", "module x\n\ngo 1.26\n\nrequire y v1.0.0\n\nreplace y => ../y\n")
			return toolchain.BuildProject(context.Background(), b.options, filepath.Join(b.options.Root, ".evenkeel",
				"bin"))
		}, false},
		"a workspace's own variable": {func(b *bench, _ string) error {
			b.options.Env = append(b.options.Env, "GOWORK=/elsewhere/go.work")
			return nil
		}, true},
		"an embedded file": {func(b *bench, _ string) error { b.put("internal/table.json", "[1]"); return nil }, false},
		"a source was removed": {func(b *bench, _ string) error {
			return os.Remove(filepath.Join(b.options.Root, "main.go"))
		}, false},
		"a program was removed": {func(_ *bench, bin string) error {
			return os.Remove(filepath.Join(bin, "pulumi-resource-azure-dps"))
		}, false},
		"a program is blank": {func(_ *bench,
			bin string) error {
			return os.Truncate(filepath.Join(bin, "program"), 0)
		}, false},
		"another Go": {func(b *bench, _ string) error {
			b.options.Env = append(b.options.Env, "PATH="+b.install("newer", "go"))
			return nil
		}, false},
		"a Go variable": {func(b *bench, _ string) error {
			b.options.Env = append(b.options.Env, "CGO_ENABLED=0")
			return nil
		}, false},
		"another project's variables": {func(b *bench, _ string) error {
			b.options.Env = append(b.options.Env, "GOFLAGS=-mod=vendor", "GOOS=plan9", "GOARCH=arm", "GO111MODULE=off")
			return nil
		}, true},
		"keel alone was built": {func(b *bench, bin string) error {
			return toolchain.BuildKeel(context.Background(), b.options, bin)
		}, false},
		"a build failed": {func(b *bench, bin string) error {
			o := b.options
			o.Env = append(o.Env, "FAKE_FAIL=1")
			if err := toolchain.BuildProject(context.Background(), o, bin); err == nil {
				return errors.New("the build did not fail")
			}
			return nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.put("main.go", "package main")
			bin := filepath.Join(b.options.Root, ".evenkeel", "bin")
			if toolchain.Fresh(b.options, bin) {
				t.Fatal("fresh before anything is built")
			}
			if err := toolchain.BuildProject(t.Context(), b.options, bin); err != nil {
				t.Fatal(err)
			}
			if err := tc.change(b, bin); err != nil {
				t.Fatal(err)
			}
			if got := toolchain.Fresh(b.options, bin); got != tc.fresh {
				t.Errorf("got fresh %v, want %v", got, tc.fresh)
			}
			if got := b.out.String(); got != "" {
				t.Errorf("got %q said, want silence", got)
			}
		})
	}
}

// TestTheProgramIsNotBuiltForAHostThatBuildsIt: an installed Pulumi would build it a second time.
func TestTheProgramIsNotBuiltForAHostThatBuildsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("main.go", "package main")
	bin := filepath.Join(b.options.Root, ".evenkeel", "bin")
	b.options.HostBuilds = true
	if err := toolchain.BuildProject(t.Context(), b.options, bin); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(toolchain.Program(bin)); err == nil || b.builds() != 1 {
		t.Errorf("got %d builds, the program: %v; want only keel with the plugin", b.builds(), err)
	}
	if !toolchain.Fresh(b.options, bin) {
		t.Error("got it stale, want it fresh without the program")
	}
	b.options.HostBuilds = false
	if toolchain.Fresh(b.options, bin) {
		t.Error("got it fresh for the pinned Pulumi, which needs the program")
	}
}

func TestALongWaitForAnotherBuildIsReported(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bin := t.TempDir()
	held := flock.New(filepath.Join(bin, ".lock"))
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := &listener{heard: cancel} // the test stops waiting as soon as the report arrives
	options := b.options
	options.Report = toolchain.Reporter{Out: heard, Quiet: time.Millisecond}
	if err := toolchain.BuildKeel(ctx, options, bin); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to wait until it is given up", err)
	}
	if got, want := heard.text, "waiting for another keel that is building\n"; got != want {
		t.Errorf("got %q said, want %q", got, want)
	}
	if err := errors.Join(held.Unlock(), toolchain.BuildKeel(t.Context(), b.options, bin)); err != nil {
		t.Fatal(err)
	}
	if got := b.out.String(); got != "" {
		t.Errorf("got %q reported, want nothing, since no other build runs", got)
	}
}

// listener calls its function at the first report.
type listener struct {
	text  string
	heard func()
}

func (l *listener) Write(p []byte) (int, error) {
	l.text += string(p)
	l.heard()
	return len(p), nil
}

func TestACheckoutThatIsMovedStaysFresh(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("main.go", "package main")
	if err := toolchain.BuildProject(t.Context(), b.options, filepath.Join(b.options.Root, ".evenkeel",
		"bin")); err != nil {
		t.Fatal(err)
	}
	moved := b.options
	moved.Root += " moved"
	if err := os.Rename(b.options.Root, moved.Root); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(moved.Root, ".evenkeel", "bin")
	if !toolchain.Fresh(moved, bin) {
		t.Error("got it stale, want it fresh: only the folder's name has changed")
	}
	b.options = moved
	b.put("internal/new.go", "package internal")
	if toolchain.Fresh(moved, bin) {
		t.Error("got it fresh after a change in the new folder, want it stale")
	}
}
