//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keel": main})
}

// TestScripts runs the stories in testdata. Each has a checkout "a checkout" with a fake go and a fake pulumi on PATH
// (testdata/fake), and the real keel and emulator.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		Setup:               setup,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"take":     take,
			"crash":    crash,
			"seed":     seed,
			"enrolled": enrolled,
			"shaped":   shaped,

			"examples":   runExamples,
			"administer": administer,

			"expire": func(ts *testscript.TestScript, _ bool, args []string) {
				expire(ts, args[0], "2020-01-01T00:00:00Z")
			},
			"unexpire": func(ts *testscript.TestScript, _ bool, args []string) {
				expire(ts, args[0], "2100-01-01T00:00:00Z")
			},
			"tag":        tag,
			"azurelogin": azureLogin,
			"claim":      claimed,
			"release":    release,
			"await":      awaitLine,

			"entry":   entry,
			"alive":   alive,
			"asked":   asked,
			"deleted": deleted,
			"drained": drained,

			"blocks":   blocks,
			"plain":    plain,
			"message":  message,
			"received": received,
		},
	})
}

func setup(env *testscript.Env) error {
	checkout := filepath.Join(env.WorkDir, "a checkout")
	bin := filepath.Join(env.WorkDir, "fake")
	for name, text := range map[string]string{
		"Pulumi.yaml": "name: evenkeel\nruntime: go\nstackConfigDir: stacks\n", "tools/pulumi/go.mod": "module x\n",
		"tools/language-go/go.mod": "module x\n",
		"go.mod":                   "module evenkeel\n\ngo 1.26.0\n", "deep/er/file": "", "stacks/file": "",
	} {
		file := filepath.Join(checkout, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := os.CopyFS(bin, os.DirFS("testdata/fake")); err != nil {
		return err
	}
	for _, name := range []string{"go", "pulumi", "pulumi-language-go"} {
		if err := os.Chmod(filepath.Join(bin, name), 0o700); err != nil {
			return err
		}
	}
	env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("CHECKOUT", checkout)
	env.Setenv("EVENKEEL_STACK", environment.Local) // whatever the developer's own is
	if u, err := user.Current(); err == nil {
		env.Setenv("USERNAME", u.Username)
	}
	env.Setenv("FAKE", bin)
	env.Values[held] = make(chan func(), 1)
	env.Values[fleetsKey{}] = &fleets{}
	env.Defer(func() {
		_, _ = process(checkout).Stop(context.Background(), 5*time.Second)
	})
	return nil
}

func process(checkout string) background.Process {
	folder := environment.Folder{Root: checkout}
	return background.Process{Folder: folder.Background(), Log: folder.Log()}
}

// take: `take PORT` listens on one of the emulator's remembered ports until the story ends.
func take(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: take arm|data|mqtt|control")
	}
	var ports map[string]int
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(filepath.Join(ts.Getenv("CHECKOUT"), ".evenkeel", "emulator",
		"endpoints.json"))), &ports))
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[args[0]])))
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv("TAKEN", strconv.Itoa(ports[args[0]]))
}

// crash kills the emulator as kill -9 does, and waits until it has ended.
func crash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: crash")
	}
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ts.Check(syscall.Kill(record.PID, syscall.SIGKILL))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := process(ts.Getenv("CHECKOUT")).Find(); errors.Is(err, background.ErrStopped) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("process %d does not die", record.PID)
		}
	}
}
