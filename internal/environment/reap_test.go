package environment_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/environment"
)

func TestOnlyWhatHasExpiredAndIsOnesOwnIsReaped(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	past, future := now.Add(-time.Second), now.Add(time.Second)
	for name, tc := range map[string]struct {
		life  environment.Lifetime
		owner string
		want  bool
	}{
		"expired":               {environment.Lifetime{Owner: "me", Created: past, Expires: past}, "me", true},
		"this very moment":      {environment.Lifetime{Owner: "me", Created: past, Expires: now}, "me", true},
		"still alive":           {environment.Lifetime{Owner: "me", Created: past, Expires: future}, "me", false},
		"for ever":              {environment.Lifetime{Owner: "me", Created: past}, "me", false},
		"without creation time": {environment.Lifetime{Owner: "me", Expires: past}, "me", false},
		"another's":             {environment.Lifetime{Owner: "you", Created: past, Expires: past}, "me", false},
		"nobody's":              {environment.Lifetime{Created: past, Expires: past}, "me", false},
		"another's, for all":    {environment.Lifetime{Owner: "you", Created: past, Expires: past}, "", true},
		"no creation, for all":  {environment.Lifetime{Owner: "you", Expires: past}, "", false},
	} {
		if got := environment.FateOf(tc.life, tc.owner, now); got.Reap != tc.want || got.Reason == "" {
			t.Errorf("%s: got %+v, want %v with a reason", name, got, tc.want)
		}
	}
}

func TestTheSecondToClaimAnEnvironmentWaitsAndIsTold(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	told := make(chan string, 1)
	e.Notice = func(text string) { told <- text }
	release, err := e.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := *e
	other.Stack = "other"
	releaseOther, err := other.Claim(t.Context())
	if err != nil {
		t.Fatalf("another environment: got %v, want it free", err)
	}
	releaseOther()
	got := make(chan error, 1)
	go func() {
		again, err := e.Claim(t.Context())
		if err == nil {
			again()
		}
		got <- err
	}()
	select {
	case text := <-told:
		if !strings.Contains(text, "another keel works on environment local") {
			t.Errorf("got notice %q", text)
		}
	case err := <-got:
		t.Fatalf("got %v at once, want it to wait", err)
	}
	release()
	if err := <-got; err != nil {
		t.Errorf("after the release: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if release, err := e.Claim(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		defer release()
	}
	if _, err := e.Claim(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended meanwhile: got %v, want it to give up", err)
	}
}
