package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/hubplan"
)

// TestAHubWithDevicesIsRemovedOnlyWithConsent: a terminal is asked, a script has to say --yes.
func TestAHubWithDevicesIsRemovedOnlyWithConsent(t *testing.T) {
	t.Parallel()
	three, none := 3, 0
	stack := stackOf(t)
	for name, tc := range map[string]struct {
		answer string // "" without a terminal
		yes    bool
		o      hubOptions
		plan   *hubplan.Plan
		want   bool
		asks   bool
	}{
		"yes on a terminal": {"y\n", false, hubOptions{verb: environment.Remove, up: true},
			&hubplan.Plan{Devices: 3, InRegistry: &three}, true, true},
		"no on a terminal": {"\n", false, hubOptions{verb: environment.Remove, set: true},
			&hubplan.Plan{Devices: 3, InRegistry: &three}, false, true},
		"no terminal": {"", false, hubOptions{verb: environment.Remove, up: true},
			&hubplan.Plan{Devices: 3, InRegistry: &none}, false, false},
		"devices that only the hub knows": {"", false, hubOptions{verb: environment.Remove, up: true},
			&hubplan.Plan{InRegistry: &three}, false, false},
		"no counted devices": {"", false, hubOptions{verb: environment.Remove, up: true},
			&hubplan.Plan{}, false, false},
		"no plan": {"", false, hubOptions{verb: environment.Remove, up: true}, nil, false, false},
		"--yes":   {"", true, hubOptions{verb: environment.Remove, up: true}, nil, true, false},
		"no device": {"", false, hubOptions{verb: environment.Remove, up: true}, &hubplan.Plan{InRegistry: &none}, true,
			false},
		"a plan": {"", false, hubOptions{verb: environment.Remove}, &hubplan.Plan{InRegistry: &three}, true, false},
		"a drain": {"", false, hubOptions{verb: environment.Drain, up: true}, &hubplan.Plan{InRegistry: &three}, true,
			false},
		"an undo": {"", false, hubOptions{verb: environment.Remove, undo: true, up: true},
			&hubplan.Plan{InRegistry: &three}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			terminal := tc.answer != ""
			a := &app{stdin: strings.NewReader(tc.answer), stderr: &stderr, interactive: terminal, terminal: terminal,
				yes: tc.yes}
			tc.o.hub = "hub-1"
			err := a.confirmRemoval(stack, tc.o, tc.plan)
			if (err == nil) != tc.want || strings.Contains(stderr.String(), "[y/N]") != tc.asks {
				t.Errorf("got %v and %q, want consent %v and a question %v", err, stderr.String(), tc.want, tc.asks)
			}
			if err != nil && (!strings.Contains(hint.Of(err), "keel devices reprovision --from hub-1 --wait") ||
				errors.Is(err, errUsage) == terminal) {
				t.Errorf("got %v, hint %q, want the command that moves the devices", err, hint.Of(err))
			}
		})
	}
}

func TestRatesAreNumbersWithAUnit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]rate.Limit{
		"50/s": 50, "0.5/s": 0.5, "1000/min": rate.Limit(1000.0 / 60), "60/m": 1, "3600/h": 1, "7": 7,
		unlimited: rate.Inf,
	} {
		t.Run(text, func(t *testing.T) {
			if got, err := parseRate("--rate", text); err != nil || got != want {
				t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
			}
		})
	}
	for _, text := range []string{"", "0", "-1/s", "fast", "5/day", "NaN", "Inf", "1e400", "/s"} {
		t.Run(text, func(t *testing.T) {
			if got, err := parseRate("--rate", text); !errors.Is(err, errUsage) || hint.Of(err) == "" {
				t.Errorf("%q: got %v, %v, want an error of the command line with a hint", text, got, err)
			}
		})
	}
}
