package toolchain

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// Reporter shows progress: a spinner on a terminal, else a line now and then. The zero value is silent.
type Reporter struct {
	// Out receives the text, in a program standard error.
	Out io.Writer
	// Terminal is set when Out can redraw a line.
	Terminal bool
	// Quiet is how long work may take before Out reports it, so that builds with nothing to do stay silent; 1.5 s when
	// zero.
	Quiet time.Duration
	// Every is the time between two lines without a terminal; 10 s when zero.
	Every time.Duration
}

func (r Reporter) quiet() time.Duration {
	if r.Quiet > 0 {
		return r.Quiet
	}
	return 1500 * time.Millisecond
}

func (r Reporter) say(text string) {
	if r.Out != nil {
		fmt.Fprintln(r.Out, text)
	}
}

// start reports that the build of what has begun, if it takes longer than Quiet. The caller must call the returned
// function at the end.
func (r Reporter) start(what string) func(error) {
	if r.Out == nil {
		return func(error) {}
	}
	begun, stop, shown := time.Now(), make(chan struct{}), make(chan bool)
	go func() { shown <- r.show(what, begun, stop) }()
	return func(err error) {
		close(stop)
		if <-shown && err == nil {
			r.say(fmt.Sprintf("built %s in %s", what, time.Since(begun).Round(time.Second)))
		}
	}
}

// show runs until stop is closed and returns whether it has written anything.
func (r Reporter) show(what string, begun time.Time, stop <-chan struct{}) bool {
	select {
	case <-stop:
		return false
	case <-time.After(r.quiet()):
	}
	r.say("building " + what)
	every, tick := r.Every, func() { r.say(fmt.Sprintf("  still building: %s", time.Since(begun).Round(time.Second))) }
	if every <= 0 {
		every = 10 * time.Second
	}
	if r.Terminal {
		spinner := progressbar.NewOptions(-1, progressbar.OptionSetWriter(r.Out), progressbar.OptionSpinnerType(14),
			progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
		defer func() { _ = spinner.Finish() }()
		every, tick = 200*time.Millisecond, func() { _ = spinner.Add(1) }
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return true
		case <-ticker.C:
			tick()
		}
	}
}
