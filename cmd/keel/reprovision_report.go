package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/reprovision"
)

// reprovisionResult is what `devices reprovision` prints as JSON.
type reprovisionResult struct {
	// Devices is how many devices were to be asked: the sum of the five numbers below.
	Devices int `json:"devices"`
	// Moved and Kept have registered again, and are assigned to another hub or to the same one.
	Moved int `json:"moved"`
	Kept  int `json:"kept"`
	// Failed have registered again and were not assigned.
	Failed int `json:"failed"`
	// Answered have answered and have not registered again, Unanswered have done neither.
	Answered   int     `json:"answered"`
	Unanswered int     `json:"unanswered"`
	Seconds    float64 `json:"seconds"`
	// Resumed is true if the run continued an interrupted one.
	Resumed bool                `json:"resumed"`
	Moves   []hubMove           `json:"moves"`
	List    []reprovisionDevice `json:"deviceList"`
	// Skipped are the enrollments whose devices were not asked.
	Skipped []skippedEnrollment `json:"skipped"`
}

// hubMove is how many devices moved from one hub to another.
type hubMove struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Devices int    `json:"devices"`
}

// reprovisionDevice is a device that was asked.
type reprovisionDevice struct {
	Device     string `json:"device"`
	Enrollment string `json:"enrollment"`
	// Before and After are names of hubs.
	Before string `json:"before"`
	After  string `json:"after"`
	// Result is moved, kept, failed, answered, refused, offline, silent, unknown or error.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
}

// skippedEnrollment is an enrollment whose devices were not asked.
type skippedEnrollment struct {
	// Enrollment is the id of a group or of an individual enrollment.
	Enrollment string `json:"enrollment"`
	Individual bool   `json:"individual"`
	Devices    int    `json:"devices"`
	Reason     string `json:"reason"`
}

// finish prints the results, and returns an error for devices that did not register within the time of --wait.
func (m *mover) finish(results []reprovision.Result, took time.Duration) error {
	r := m.summarize(results)
	r.Seconds, r.Resumed = took.Seconds(), m.resumed
	if m.app.json {
		if err := m.app.printJSON(r); err != nil {
			return err
		}
	} else if err := r.print(m.app.stdout, m.options); err != nil {
		return err
	}
	left := r.Devices - r.Moved - r.Kept
	if failed := r.failures(); !m.options.wait && failed > 0 {
		return hint.To(fmt.Errorf("ask devices to register again: %s could not be asked", plural(failed, "device")),
			"the reasons are in the list above; explain a code: keel doctor CODE")
	}
	if m.options.wait && left > 0 {
		return hint.To(fmt.Errorf("ask devices to register again: %d of %s not assigned again", left,
			plural(r.Devices, "device")+isOrAre(r.Devices)),
			"run the command again when they are connected, or explain a code: keel doctor CODE")
	}
	return nil
}

// failures is how many devices could not be asked.
func (r reprovisionResult) failures() (n int) {
	for _, d := range r.List {
		if d.Result == string(reprovision.Failed) {
			n++
		}
	}
	return n
}

func isOrAre(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func (m *mover) summarize(results []reprovision.Result) reprovisionResult {
	r := reprovisionResult{Devices: len(results), Moves: []hubMove{}, List: []reprovisionDevice{},
		Skipped: []skippedEnrollment{}}
	for _, s := range m.skipped {
		r.Skipped = append(r.Skipped, skippedEnrollment{s.ID, s.Individual, s.Devices, string(s.Obstacle)})
	}
	for _, result := range results {
		d := reprovisionDevice{
			Device: result.ID, Enrollment: result.Enrollment.ID, Before: m.stack.nameOf(result.Hub),
			After: m.stack.nameOf(result.Now), Result: result.Result, Reason: result.Reason,
		}
		if result.Enrollment.Individual {
			d.Enrollment = individual
		}
		r.List = append(r.List, d)
		switch result.Result {
		case reprovision.Moved:
			r.Moved++
			r.move(d)
		case reprovision.Kept:
			r.Kept++
		case reprovision.NotAssigned:
			r.Failed++
		case string(reprovision.Answered):
			r.Answered++
		default:
			r.Unanswered++
		}
	}
	slices.SortFunc(r.Moves, func(x, y hubMove) int {
		return cmp.Or(strings.Compare(x.From, y.From), strings.Compare(x.To, y.To))
	})
	slices.SortStableFunc(r.List, func(x, y reprovisionDevice) int {
		return cmp.Or(cmp.Compare(rank(x.Result), rank(y.Result)), strings.Compare(x.Device, y.Device))
	})
	return r
}

func (r *reprovisionResult) move(d reprovisionDevice) {
	for i := range r.Moves {
		if r.Moves[i].From == d.Before && r.Moves[i].To == d.After {
			r.Moves[i].Devices++
			return
		}
	}
	r.Moves = append(r.Moves, hubMove{d.Before, d.After, 1})
}

// rank orders results: those that need attention come first, so that a shortened list has them.
func rank(result string) int {
	switch result {
	case reprovision.Moved:
		return 3
	case reprovision.Kept:
		return 2
	case string(reprovision.Answered):
		return 1
	}
	return 0
}

func (r reprovisionResult) print(w io.Writer, o reprovisionOptions) error {
	of := ""
	if o.from != "" {
		of = " of " + o.from
	}
	if o.group != "" {
		of += " in group " + o.group
	}
	if r.Devices == 0 {
		_, err := fmt.Fprintf(w, "no device%s to ask\n", of)
		return err
	}
	fmt.Fprintf(w, "%s%s, in %.1f s: %d moved, %d kept their hub, %d failed to register, %d answered only, %d did not "+
		"answer\n", plural(r.Devices, "device"), of, r.Seconds, r.Moved, r.Kept, r.Failed, r.Answered, r.Unanswered)
	err := table(w, func(row func(...string)) {
		for _, move := range r.Moves {
			row("  "+move.From+" to "+move.To, plural(move.Devices, "device"))
		}
	})
	listed := r.List[:min(len(r.List), maxListed)]
	err = errors.Join(err, table(w, func(row func(...string)) {
		for _, d := range listed {
			row("  "+d.Device, d.describe())
		}
	}))
	if more := len(r.List) - len(listed); more > 0 {
		fmt.Fprintf(w, "  and %d more, which --json lists\n", more)
	}
	return err
}

// describe tells what became of a device.
func (d reprovisionDevice) describe() string {
	switch d.Result {
	case reprovision.Moved:
		return d.Before + " to " + d.After
	case reprovision.Kept:
		return "kept " + d.Before
	}
	text := "failed to register"
	if d.Result != reprovision.NotAssigned {
		text = reactions[reprovision.Kind(d.Result)]
	}
	if d.Reason != "" {
		text += ": " + d.Reason
	}
	return text + ", on " + d.Before
}

// reactions are the words for devices that have not registered again.
var reactions = map[reprovision.Kind]string{
	reprovision.Answered: "answered, has not registered again",
	reprovision.Refused:  "refused",
	reprovision.Offline:  "did not answer: not connected",
	reprovision.Silent:   "did not answer in time",
	reprovision.Unknown:  "did not answer: its hub does not have it",
	reprovision.Failed:   "could not be asked",
}
