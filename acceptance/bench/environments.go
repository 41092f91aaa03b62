package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/acceptance/checkout"
)

// The goals of environments: the factor to plain Pulumi, and the seconds that `keel ls` may add to Pulumi's own list.
const (
	environmentGoal = 1.5
	listGoal        = 1.0
)

// Listing compares `keel ls` of many environments with Pulumi's own list of the same backend; medians in seconds.
type Listing struct {
	Environments int     `json:"environments"`
	Keel         float64 `json:"keelSeconds"`
	Pulumi       float64 `json:"pulumiSeconds"`
	// More is the difference of the two, the median of the rounds; Goal is its upper bound.
	More float64 `json:"moreSeconds"`
	Goal float64 `json:"goalSeconds"`
}

// measureEnvironments times `keel up` of a new environment and its `keel down`, and compares them with plain Pulumi
// that creates, brings up, destroys and removes a stack of the same number of resources that do nothing; then `keel
// ls`.
func measureEnvironments(ctx context.Context, o options, s *stacks, report *Report) error {
	report.Resources = s.resources
	var keelUp, keelDown, noopUp, noopDown []float64
	for round := range o.rounds + 1 {
		say("environments, round %d of %d (0 does not count)", round, o.rounds)
		// Each round has a new name, because keel treats an environment that existed before differently.
		name := "bench-" + strconv.Itoa(round)
		times := map[string]float64{}
		turns := []func() error{
			func() error { return s.keelTurn(name, times) },
			func() error { return s.noopTurn(ctx, name, times) },
		}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
		if round > 0 {
			keelUp, noopUp = append(keelUp, times["keel up"]), append(noopUp, times["noop up"])
			keelDown, noopDown = append(keelDown, times["keel down"]), append(noopDown, times["noop down"])
		}
	}
	report.Environments = []Comparison{
		compareTimes("keel up of a new environment", environmentGoal, keelUp, noopUp),
		compareTimes("keel down", environmentGoal, keelDown, noopDown),
	}
	return s.measureListing(ctx, o, report)
}

func (s *stacks) keelTurn(name string, times map[string]float64) error {
	for _, verb := range []string{"up", "down"} {
		start := time.Now()
		if _, err := checkout.Keel(s.folder, verb, name); err != nil {
			return err
		}
		times["keel "+verb] = time.Since(start).Seconds()
	}
	return nil
}

// noopTurn creates, brings up, destroys and removes a stack as a user of plain Pulumi does.
func (s *stacks) noopTurn(ctx context.Context, name string, times map[string]float64) error {
	count := []string{"config", "set", "count", strconv.Itoa(s.resources - 1), "--stack", name}
	for _, step := range []struct {
		time string
		args []string
	}{
		{"noop up", []string{"stack", "init", name, "--secrets-provider", "passphrase", "--no-select"}},
		{"", count}, // keel up has its settings too, but writes them at once
		{"noop up", []string{"up", "--yes", "--skip-preview", "--stack", name}},
		{"noop down", []string{"destroy", "--yes", "--skip-preview", "--stack", name}},
		{"noop down", []string{"stack", "rm", "--yes", "--stack", name}},
	} {
		took, err := s.noop.run(ctx, step.args...)
		if err != nil {
			return err
		}
		times[step.time] += took.Seconds()
	}
	return nil
}

// listed is the number of listed environments.
const listed = 100

// measureListing times the listing of many copies of one environment's state.
func (s *stacks) measureListing(ctx context.Context, o options, report *Report) error {
	count := listed
	if o.quick {
		count = 5
	}
	say("listing %d environments", count)
	const original = "bench-listed"
	if _, err := checkout.Keel(s.folder, "up", original); err != nil {
		return err
	}
	for i := range count - 1 {
		if err := copyEnvironment(s.folder, original, fmt.Sprintf("bench-copy-%d", i)); err != nil {
			return err
		}
	}
	list := Listing{Environments: count, Goal: listGoal}
	var keel, pulumi, more []float64
	for range o.rounds {
		start := time.Now()
		out, err := checkout.Keel(s.folder, "ls", "--json")
		if err != nil {
			return err
		}
		ours := time.Since(start).Seconds()
		if n := strings.Count(string(out), `"bench-`); n < count {
			return fmt.Errorf("keel ls listed %d of %d environments", n, count)
		}
		took, err := s.local.run(ctx, "stack", "ls", "--project", "evenkeel")
		if err != nil {
			return err
		}
		keel, pulumi, more = append(keel, ours), append(pulumi, took.Seconds()), append(more, ours-took.Seconds())
	}
	list.Keel, list.Pulumi, list.More = median(keel), median(pulumi), median(more)
	report.Listing = &list
	return nil
}

// copyEnvironment copies an environment's state and settings to a stack with another name.
func copyEnvironment(folder, from, to string) error {
	states, err := filepath.Glob(filepath.Join(folder, ".evenkeel", "backend", ".pulumi", "stacks", "*", from+".json"))
	if err != nil || len(states) != 1 {
		return fmt.Errorf("find the state of %s: got %d files, want 1", from, len(states))
	}
	for _, file := range []string{states[0], filepath.Join(folder, "stacks", "Pulumi."+from+".yaml")} {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		copied := filepath.Join(filepath.Dir(file), strings.Replace(filepath.Base(file), from, to, 1))
		if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(text), from, to)), 0o600); err != nil {
			return err
		}
	}
	return nil
}
