// Command bench measures local environments in its own checkout, and prints each figure beside its bound from the same
// run: Pulumi beside a stack of resources that do nothing, registrations beside bare TLS handshakes and bare durable
// commits, sets of enrollments beside Azure's SDK for Node and a bare client. At the end it prints the peak memory of
// the emulator and of the provider.
//
// It never fails because of a figure: figures depend on the machine and its load, so no test checks them.
// docs/explanation/benchmarks.md explains how to read them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"evenkeel/acceptance/checkout"
)

// options are the options of the command line.
type options struct {
	rounds   int
	span     time.Duration // of each measurement of a rate
	parallel int           // devices at a time
	quick    bool
	json     bool
	only     string
	folder   string
}

func main() {
	// The load generator's own garbage must not distort the figures; the emulator has the same setting.
	debug.SetGCPercent(400)
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "how many rounds to take medians of")
	flag.DurationVar(&o.span, "span", 4*time.Second, "how long each measurement of a rate lasts")
	flag.BoolVar(&o.quick, "quick", false, "one short round, to see that it runs; its figures mean little")
	flag.BoolVar(&o.json, "json", false, "print JSON instead of tables")
	flag.StringVar(&o.only, "only", "", "measure only this part: "+partNames())
	flag.StringVar(&o.folder, "folder", "",
		"where to make the checkout, kept afterwards (default: a temporary folder, removed)")
	flag.Parse()
	o.parallel = 32
	if o.quick {
		o.rounds, o.span = 1, time.Second
	}
	if flag.NArg() > 0 || o.rounds < 1 || o.span <= 0 || o.only != "" && !slices.ContainsFunc(parts, o.wants) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o options) (err error) {
	folder := o.folder
	if folder == "" {
		temporary, err := os.MkdirTemp("", "evenkeel-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		folder = filepath.Join(temporary, "evenkeel")
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	report := newReport(o)
	say("making a checkout in %s and building it", folder)
	if err := checkout.Clone(".", folder); err != nil {
		return err
	}
	if err := checkout.Build(folder, os.Stderr); err != nil {
		return err
	}
	checkout.TearDown(folder)
	defer checkout.TearDown(folder)
	if err := measure(ctx, o, folder, &report); err != nil {
		return err
	}
	if o.json {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		return out.Encode(report)
	}
	return report.print(os.Stdout)
}

func measure(ctx context.Context, o options, folder string, report *Report) error {
	stacks, err := openStacks(ctx, folder)
	if err != nil {
		return err
	}
	// The first create on a new emulator warms everything up, and its memory is the one that is reported.
	say("warming up, and watching memory")
	if report.Memory, err = watchMemory(folder, func() error { return stacks.warmUp(ctx) }); err != nil {
		return err
	}
	for _, p := range parts {
		if !o.wants(p) {
			continue
		}
		if err := p.measure(ctx, o, stacks, report); err != nil {
			return err
		}
	}
	return nil
}

// part is one part of the benchmark. All parts use the same stacks and emulator, one after another; those that fill the
// store come last.
type part struct {
	name    string
	measure func(context.Context, options, *stacks, *Report) error
}

var parts = []part{
	{"pulumi", measurePulumi}, {"environments", measureEnvironments}, {"enrollments", measureEnrolling},
	{"registrations", measureRegistrations},
	{"visits", measureVisits}, {"crowd", measureCrowd}, {"sets", measureSets}, {"population", measurePopulation},
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// wants reports whether a part is selected.
func (o options) wants(p part) bool { return o.only == "" || o.only == p.name }

func measurePulumi(ctx context.Context, o options, s *stacks, report *Report) (err error) {
	report.Resources = s.resources
	report.Pulumi, err = s.compare(ctx, o.rounds)
	return err
}

func measureRegistrations(ctx context.Context, o options, s *stacks, report *Report) (err error) {
	if report.Registrations, report.Commit, err = measureRates(ctx, o, s); err != nil {
		return err
	}
	report.EmulatorAfterRegistrations, err = emulatorPeak(s.folder)
	if errors.Is(err, errNoPeak) {
		return nil
	}
	return err
}

// say prints progress; only results go to standard output.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }
