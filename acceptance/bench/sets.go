package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"evenkeel/acceptance/checkout"
)

// SetSize holds how long Pulumi takes for a stack with one set, in seconds, and the provider's peak memory meanwhile.
type SetSize struct {
	Devices int     `json:"devices"`
	Form    string  `json:"form"`
	Up      float64 `json:"upSeconds"`
	Refresh float64 `json:"refreshSeconds"`
	// Preview is the time of a preview without changes, and Without that of a stack without a set.
	Preview float64 `json:"previewSeconds"`
	Without float64 `json:"previewWithoutSeconds"`
	MiB     float64 `json:"pluginPeakMiB"`
	// Goal describes the goals.
	Goal string `json:"goal"`
}

// setSizes are the measured sets. Inline items are there for comparison: the engine handles each as a separate value.
var setSizes = []SetSize{
	{Devices: 10_000, Form: "manifest", Goal: "preview 1 s more, 300 MiB"},
	{Devices: 100_000, Form: "manifest", Goal: "1024 MiB"},
	{Devices: 10_000, Form: "items", Goal: "a manifest is advised"},
}

// singles is the number of enrollments that are created as separate resources, and singlesGoal the upper bound of the
// factor to resources that do nothing.
const (
	singles      = 1000
	quickSingles = 50
	singlesGoal  = 1.2
)

// measureSets compares enrollments as separate resources with resources that call no service, and then measures sets.
func measureSets(ctx context.Context, o options, s *stacks, report *Report) error {
	f, status, err := openFleet(ctx, s)
	if err != nil {
		return err
	}
	one, err := s.openEnrollments(ctx, f, status)
	if err != nil {
		return err
	}
	count, sizes := singles, setSizes
	if o.quick {
		count, sizes = quickSingles, setSizes[:1]
	}
	if report.Singles, err = one.measureSingles(ctx, count); err != nil {
		return err
	}
	for _, size := range sizes {
		if err := one.measureSet(ctx, s.folder, &size); err != nil {
			return err
		}
		report.Sets = append(report.Sets, size)
	}
	return nil
}

// openEnrollments creates the stack of the program that declares enrollments.
func (s *stacks) openEnrollments(ctx context.Context, f *fleet, status checkout.Status) (stack, error) {
	one := s.local.beside("enrollments")
	if err := buildProgram(ctx, s.folder, "enrollments"); err != nil {
		return one, err
	}
	if err := one.create(ctx); err != nil {
		return one, err
	}
	if _, err := one.run(ctx, "config", "set", "--secret", "connectionString", f.connectionString); err != nil {
		// The command line contains a key, so the error must not.
		return one, errors.New("configure the access to the service: pulumi config set failed")
	}
	return one, one.configure(ctx, map[string]string{"endpoint": status.Endpoints.Data,
		"caFile": status.Endpoints.CAFile})
}

func (s stack) configure(ctx context.Context, values map[string]string) error {
	for key, value := range values {
		if _, err := s.run(ctx, "config", "set", key, value); err != nil {
			return err
		}
	}
	return nil
}

// form configures the number and form of the enrollments that the program declares. It does not run the program.
func (s stack) form(ctx context.Context, form string, count int) error {
	if _, err := s.run(ctx, "destroy", "--yes", "--skip-preview"); err != nil {
		return err
	}
	return s.configure(ctx, map[string]string{"form": form, "count": strconv.Itoa(count)})
}

func (s stack) measureSingles(ctx context.Context, count int) (*Comparison, error) {
	say("%d enrollments as resources of their own, and as many that do nothing: once each", count)
	seconds := map[string]float64{}
	for _, form := range []string{"nothing", "single"} {
		if err := s.form(ctx, form, count); err != nil {
			return nil, err
		}
		took, err := s.run(ctx, "up", "--yes", "--skip-preview")
		if err != nil {
			return nil, err
		}
		seconds[form] = took.Seconds()
	}
	c := compareTimes(fmt.Sprintf("up (create %d)", count), singlesGoal, []float64{seconds["single"]},
		[]float64{seconds["nothing"]})
	return &c, nil
}

// measureSet measures one set and fills in its figures.
func (s stack) measureSet(ctx context.Context, folder string, size *SetSize) error {
	say("a set of %d, %s", size.Devices, size.Form)
	file := filepath.Join(folder, ".evenkeel", "bench-devices.csv")
	if err := os.WriteFile(file, []byte(manifest("bench-set", size.Devices)), 0o600); err != nil {
		return err
	}
	if err := s.form(ctx, "none", size.Devices); err != nil {
		return err
	}
	if err := s.configure(ctx, map[string]string{"manifest": file}); err != nil {
		return err
	}
	if _, err := s.run(ctx, "up", "--yes", "--skip-preview"); err != nil {
		return err
	}
	var err error
	if size.Without, err = s.preview(ctx); err != nil {
		return err
	}
	if err := s.configure(ctx, map[string]string{"form": size.Form}); err != nil {
		return err
	}
	size.MiB, err = watchProvider(folder, func() (err error) {
		if size.Up, err = s.seconds(ctx, "up", "--yes", "--skip-preview"); err != nil {
			return err
		}
		if size.Refresh, err = s.seconds(ctx, "refresh", "--yes", "--skip-preview", "--expect-no-changes"); err != nil {
			return err
		}
		size.Preview, err = s.preview(ctx)
		return err
	})
	if err != nil {
		return err
	}
	_, err = s.run(ctx, "destroy", "--yes", "--skip-preview")
	return err
}

// previews is the number of previews without changes that are measured.
const previews = 3

// preview is the median of several previews without changes.
func (s stack) preview(ctx context.Context) (float64, error) {
	var all []float64
	for range previews {
		took, err := s.seconds(ctx, "preview", "--expect-no-changes")
		if err != nil {
			return 0, err
		}
		all = append(all, took)
	}
	return median(all), nil
}

func (s stack) seconds(ctx context.Context, args ...string) (float64, error) {
	took, err := s.run(ctx, args...)
	return took.Seconds(), err
}
