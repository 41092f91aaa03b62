package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressEvery is the time between two lines of progress where there is no terminal.
const progressEvery = 5 * time.Second

// progress returns a function to call after each of count items. It draws a bar on a terminal, and otherwise prints a
// line now and then. Concurrent calls are safe.
func (a *app) progress(what string, count int) func() {
	if a.terminal {
		bar := progressbar.NewOptions(count, progressbar.OptionSetWriter(a.stderr),
			progressbar.OptionSetDescription(what),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
		return func() { _ = bar.Add(1) }
	}
	var mu sync.Mutex
	done, said := 0, a.now()
	return func() {
		mu.Lock()
		defer mu.Unlock()
		done++
		if now := a.now(); now.Sub(said) >= progressEvery && done < count {
			said = now
			a.say("%s: %d of %d", what, done, count)
		}
	}
}

// now is the clock of progress.
func (a *app) now() time.Time {
	if a.clock != nil {
		return a.clock()
	}
	return time.Now()
}

// canRedraw reports whether lines of a stream can be redrawn: it is a capable terminal and not the log of a build
// service.
func (a *app) canRedraw(terminal bool) bool {
	return terminal && a.variable("TERM") != "dumb" && a.variable("CI") == ""
}
