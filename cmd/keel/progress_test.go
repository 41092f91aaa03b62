package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestWithoutATerminalProgressIsALineNowAndThen(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	a := &app{stderr: &out, clock: func() time.Time { return now }}
	step := a.progress("devices", 30)
	for range 30 {
		now = now.Add(time.Second)
		step()
	}
	if got, want := out.String(),
		"devices: 5 of 30\ndevices: 10 of 30\ndevices: 15 of 30\ndevices: 20 of 30\ndevices: 25 of 30\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestProgressIsABarOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{stderr: &out, terminal: true}
	step := a.progress("devices", 3)
	for range 3 {
		step()
	}
	if got := out.String(); !strings.Contains(got, "devices") || !strings.Contains(got, "\r") ||
		strings.Contains(got, "\x1b[3") {
		t.Errorf("got %q, want a line that is drawn again, without colour", got)
	}
}

func TestOnlyTerminalsRedrawLines(t *testing.T) {
	t.Parallel()
	for environ, want := range map[string]bool{"TERM=xterm": true, "TERM=dumb": false, "CI=true": false, "CI=": true} {
		t.Run(environ, func(t *testing.T) {
			a := &app{environ: []string{environ}}
			if got := a.canRedraw(true); got != want {
				t.Errorf("%s: got %v, want %v", environ, got, want)
			}
			if a.canRedraw(false) {
				t.Errorf("%s: a file redraws lines", environ)
			}
		})
	}
}
