package claim_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/keel/claim"
)

// TestMain makes the test binary hold a claim until its standard input ends.
func TestMain(m *testing.M) {
	if path := os.Getenv("CLAIM_TEST"); path != "" {
		os.Exit(hold(path))
	}
	os.Exit(m.Run())
}

func hold(path string) int {
	c, err := claim.Take(
		context.Background(),
		path,
		claim.Options{Command: "keel up", Shared: os.Getenv("CLAIM_SHARED") != ""},
	)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(c.Token())
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	c.Release()
	return 0
}

// holder starts a process that holds a claim, and returns the claim's token and a function that kills the process.
func holder(t *testing.T, path string, env ...string) (token string, kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), append(env, "CLAIM_TEST="+path)...)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		cancel()
		_ = cmd.Wait() // it was killed
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), kill
}

// soon are options that do not wait.
var soon = claim.Options{Command: "keel down"}

func TestABusyClaimNamesItsHolderAndIsFreeAfterItDies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "claims", "local.lock")
	_, kill := holder(t, path)
	_, err := claim.Take(t.Context(), path, soon)
	busy := (*claim.BusyError)(nil)
	if !errors.As(err, &busy) || len(busy.Holders) != 1 ||
		!strings.Contains(err.Error(), "in use by keel up (process ") {
		t.Errorf("got %v, want it busy, with its holder", err)
	}
	kill()
	c, err := claim.Take(t.Context(), path, soon)
	if err != nil {
		t.Fatalf("after the death of its holder: got %v", err)
	}
	if got := claim.Holders(path); len(got) != 1 || got[0].PID != os.Getpid() || got[0].Command != "keel down" {
		t.Errorf("got holders %v, want this process alone", got)
	}
	c.Release()
	if got := claim.Holders(path); got != nil {
		t.Errorf("after the release: got %v, want no holder", got)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || left != nil {
		t.Errorf("got %v, %v left over, want no note", left, err)
	}
}

func TestSharedClaimsExcludeOnlyExclusiveOnes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "emulator.lock")
	_, kill := holder(t, path, "CLAIM_SHARED=1")
	shared, err := claim.Take(t.Context(), path, claim.Options{Command: "keel exec", Shared: true})
	if err != nil {
		t.Fatal(err)
	}
	busy := (*claim.BusyError)(nil)
	if _, err := claim.Take(t.Context(), path, soon); !errors.As(err, &busy) || len(busy.Holders) != 2 {
		t.Errorf("beside two: got %v, want both named", err)
	}
	kill()
	if _, err := claim.Take(t.Context(), path, soon); !errors.As(err, &busy) || len(busy.Holders) != 1 {
		t.Errorf("beside one: got %v, want it named", err)
	}
	shared.Release()
	alone, err := claim.Take(t.Context(), path, soon)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Release()
	if _, err := claim.Take(t.Context(), path, claim.Options{Shared: true}); !errors.As(err, &busy) {
		t.Errorf("shared beside one that is not: got %v, want it busy", err)
	}
}

func TestAWaitEndsWithTheHolderOrTimesOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "local.lock")
	_, kill := holder(t, path)
	waits := make(chan []claim.Holder, 1)
	got := make(chan error, 1)
	go func() {
		c, err := claim.Take(
			t.Context(),
			path,
			claim.Options{Patience: time.Minute, Waiting: func(h []claim.Holder) { waits <- h }},
		)
		if err == nil {
			c.Release()
		}
		got <- err
	}()
	select {
	case h := <-waits:
		if len(h) != 1 || h[0].Command != "keel up" {
			t.Errorf("got a notice of %v, want the holder", h)
		}
	case err := <-got:
		t.Fatalf("got %v, want it to wait and to name the holder", err)
	}
	kill()
	if err := <-got; err != nil {
		t.Errorf("after the holder's end: got %v", err)
	}
	c, err := claim.Take(t.Context(), path, soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	busy := (*claim.BusyError)(nil)
	if _, err := claim.Take(t.Context(), path, claim.Options{Patience: 1100 * time.Millisecond}); !errors.As(
		err,
		&busy,
	) {
		t.Errorf("with little patience: got %v, want it busy", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := claim.Take(ended, path, claim.Options{Patience: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: got %v, want it to give up", err)
	}
}

func TestAChildThatInheritsAClaimDoesNotWaitForIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "local.lock")
	token, kill := holder(t, path)
	c, err := claim.Take(t.Context(), path, claim.Options{Inherited: []string{"another", token}})
	if err != nil {
		t.Fatal(err)
	}
	c.Release()
	busy := (*claim.BusyError)(nil)
	if _, err := claim.Take(t.Context(), path, soon); !errors.As(err, &busy) {
		t.Errorf("got %v, want the claim still held", err)
	}
	kill()
	own, err := claim.Take(t.Context(), path, claim.Options{Inherited: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Release()
	if own.Token() == "" || own.Token() == token {
		t.Errorf("got token %q: a claim of a dead process has no holder", own.Token())
	}
}

// TestConcurrentProbesDoNotDisturbEachOther: many processes look for holders at once while claims begin and end.
func TestConcurrentProbesDoNotDisturbEachOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "local.lock")
	c, err := claim.Take(t.Context(), path, soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	var looking sync.WaitGroup
	for range 8 {
		looking.Go(func() {
			for range 200 {
				if got := claim.Holders(path); len(got) != 1 ||
					!slices.ContainsFunc(got, func(h claim.Holder) bool { return h.Token == c.Token() }) {
					t.Errorf("got %v, want the one holder", got)
					return
				}
			}
		})
	}
	looking.Wait()
}
