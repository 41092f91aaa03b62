package environment_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/await"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/claim"
	"evenkeel/internal/keel/environment"
)

func TestOnlyOwnExpiredEnvironmentsAreReaped(t *testing.T) {
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
		"without an end":        {environment.Lifetime{Owner: "me", Created: past}, "me", false},
		"without creation time": {environment.Lifetime{Owner: "me", Expires: past}, "me", false},
		"another's":             {environment.Lifetime{Owner: "you", Created: past, Expires: past}, "me", false},
		"nobody's":              {environment.Lifetime{Created: past, Expires: past}, "me", false},
		"another's, for all":    {environment.Lifetime{Owner: "you", Created: past, Expires: past}, "", true},
		"no creation, for all":  {environment.Lifetime{Owner: "you", Expires: past}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := environment.Decide(tc.life, tc.owner, now); got.Reap != tc.want || got.Reason == "" {
				t.Errorf("%s: got %+v, want %v with a reason", name, got, tc.want)
			}
		})
	}
}

func TestTheSecondClaimOfAnEnvironmentWaitsWithANotice(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	notices := make(chan string, 1)
	e.Notice = func(text string) { notices <- text }
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
	second := *e
	go func() {
		again, err := second.Claim(t.Context())
		if err == nil {
			again()
		}
		got <- err
	}()
	select {
	case text := <-notices:
		if !strings.Contains(text, "environment local is in use by another keel (process ") {
			t.Errorf("got notice %q", text)
		}
	case err := <-got:
		t.Fatalf("got %v at once, want it to wait", err)
	}
	release()
	if err := await.Next(t, got, "the claim"); err != nil {
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

func TestAChildOfAClaimsHolderDoesNotWait(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.Command = "keel exec"
	release, err := e.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	child := *e
	child.Inherited = e.Environ()
	free, err := child.ClaimNow(t.Context())
	if err != nil {
		t.Fatalf("on behalf of the holder: got %v", err)
	}
	free()
	busy := (*claim.BusyError)(nil)
	if _, err := e.ClaimNow(t.Context()); !errors.As(err, &busy) ||
		!strings.Contains(err.Error(), "keel exec (process ") || hint.Of(err) == "" {
		t.Errorf("another keel: got %v, hint %q, want the holder named", err, hint.Of(err))
	}
	release()
	if env := e.Environ(); slices.ContainsFunc(env,
		func(pair string) bool { return strings.HasPrefix(pair, environment.ClaimsVariable) }) {
		t.Errorf("after the release: got %q", env)
	}
	for _, claims := range []func() (func(), error){
		func() (func(), error) { return e.Folder.ClaimReaping(t.Context(), "keel reap") },
		func() (func(), error) { return e.Folder.ClaimEmulatorAlone(t.Context(), "keel down", 0, nil) },
	} {
		release, err := claims()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := claims(); !errors.As(err, &busy) {
			t.Errorf("a second: got %v, want it busy", err)
		}
		release()
	}
}

func TestASurveyDistinguishesOwnOrphanedAndForeignGroups(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	past, future := environment.Stamp(now.Add(-time.Hour)), environment.Stamp(now.Add(time.Hour))
	dead := environment.Lifetime{Owner: "me", Created: now.Add(-2 * time.Hour), Expires: now.Add(-time.Hour)}
	const here, there = "p@here", "p@there"
	group := func(name string, tags ...string) environment.Tagged {
		g := environment.Tagged{ID: subscription + name, Tags: map[string]string{"stack": name, "origin": here,
			"owner": "me", "createdat": past}}
		for i := 0; i < len(tags); i += 2 {
			g.Tags[tags[i]] = tags[i+1]
		}
		return g
	}
	mine := func(name string) environment.Stack {
		return environment.Stack{Name: name, Configured: true, Lifetime: dead}
	}
	for name, tc := range map[string]struct {
		stack *environment.Stack
		group environment.Tagged
		kind  environment.Kind
		want  bool
	}{
		"expired":         {new(mine("a")), group("a"), environment.Deployed, true},
		"kept by its tag": {new(mine("a")), group("a", "keep", "True"), environment.Deployed, false},
		"kept by its configuration": {&environment.Stack{Name: "a", Configured: true, Lifetime: dead,
			Keep: true}, group("a"), environment.Deployed, false},
		"extended from another machine": {new(mine("a")), group("a", "expiresat", future), environment.Deployed,
			false},
		"an older end in the tag": {new(mine("a")), group("a", "expiresat", past), environment.Deployed, true},
		"a tag that is no time": {new(mine("a")), group("a", "expiresat", "soon"), environment.Deployed,
			false},
		"unreadable configuration": {&environment.Stack{Name: "a", Err: errors.New("x")}, group("a"),
			environment.Deployed, false},
		"configured elsewhere, expired": {&environment.Stack{Name: "a"}, group("a", "expiresat", past),
			environment.Deployed, true},
		"configured elsewhere, without end": {&environment.Stack{Name: "a"}, group("a"), environment.Deployed, false},
		"configured elsewhere, of another": {&environment.Stack{Name: "a"}, group("a", "expiresat", past, "owner",
			"you"), environment.Deployed, false},
		"endless here, whatever the tag": {&environment.Stack{Name: "a", Configured: true,
			Lifetime: environment.Lifetime{Owner: "me", Created: now}}, group("a", "expiresat", past),
			environment.Deployed, false},
		"orphan without end":           {nil, group("a"), environment.Orphan, true},
		"orphan past its end":          {nil, group("a", "expiresat", past), environment.Orphan, true},
		"orphan with time left":        {nil, group("a", "expiresat", future), environment.Orphan, false},
		"orphan kept":                  {nil, group("a", "keep", "true"), environment.Orphan, false},
		"orphan of another":            {nil, group("a", "owner", "you"), environment.Orphan, false},
		"orphan without creation time": {nil, group("a", "createdat", ""), environment.Orphan, false},
		"of another backend": {nil, group("a", "origin", there, "expiresat", past), environment.Foreign,
			false},
		"of no backend": {nil, group("a", "origin", "", "expiresat", past), environment.Foreign,
			false},
	} {
		t.Run(name, func(t *testing.T) {
			var stacks []environment.Stack
			if tc.stack != nil {
				stacks = append(stacks, *tc.stack)
			}
			list := environment.Survey([]environment.Tagged{tc.group}, stacks, here, "me", now)
			if len(list) != 1 || list[0].Kind != tc.kind || list[0].Decision.Reap != tc.want ||
				list[0].Decision.Reason == "" {
				t.Errorf("%s: got %+v, want one %s, reaped %v, with a reason", name, list, tc.kind, tc.want)
			}
		})
	}
	namesake := environment.Survey([]environment.Tagged{group("a", "origin", there, "keep", "true")},
		[]environment.Stack{mine("a")}, here, "me", now)
	if len(namesake) != 2 || !namesake[0].Decision.Reap || len(namesake[0].Groups) != 0 ||
		namesake[1].Kind != environment.Foreign {
		t.Errorf("another backend's stack of the same name: got %+v, want it foreign, and of no weight for ours",
			namesake)
	}
}

func TestABackendHasOneOriginForEachProject(t *testing.T) {
	t.Parallel()
	e, other := newEnvironment(t), newEnvironment(t)
	seen := make(chan string, 8)
	for range cap(seen) {
		go func() {
			origin, err := e.Origin(t.Context())
			seen <- origin + strings.Repeat("!", len(errorText(err)))
		}()
	}
	first := await.Next(t, seen, "an origin")
	for range cap(seen) - 1 {
		if got := await.Next(t, seen, "an origin"); got != first {
			t.Errorf("got %q and %q, want one", got, first)
		}
	}
	if !strings.HasPrefix(first, "myproject@") || len(first) != len("myproject@")+16 {
		t.Errorf("got %q, want the project and a digest", first)
	}
	if got, err := other.Origin(t.Context()); err != nil || got == first {
		t.Errorf("another backend: got %q, %v, want another", got, err)
	}
	write(t, filepath.Join(e.Folder.Root, "Pulumi.yaml"), "name: renamed\n")
	if got, err := e.Origin(t.Context()); err != nil || !strings.HasPrefix(got, "renamed@") ||
		strings.HasSuffix(first, strings.TrimPrefix(got, "renamed")) {
		t.Errorf("another project: got %q, %v, want another", got, err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
