package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/acceptance/checkout"
)

// stack is one Pulumi stack with a program that is built already.
type stack struct {
	folder string
	pulumi string
	env    []string
}

// stacks are the local stack and the stack it is compared with, which has the same number of resources that do nothing
// on the same engine, language host, backend and plugin.
type stacks struct {
	local, noop stack
	folder      string
	// resources is the number of resources in each, with providers and without the stack itself.
	resources int
}

// openStacks starts the emulator, creates both stacks and builds the program of the second one.
func openStacks(ctx context.Context, folder string) (*stacks, error) {
	if err := buildProgram(ctx, folder, "noop"); err != nil {
		return nil, err
	}
	// keel creates the local stack; plain Pulumi needs only its environment.
	out, err := checkout.Keel(folder, "exec", "--", "env", "-0")
	if err != nil {
		return nil, err
	}
	env := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	pulumi := ""
	for _, pair := range env {
		if path, ok := strings.CutPrefix(pair, "PATH="); ok {
			pulumi = filepath.Join(filepath.SplitList(path)[0], "pulumi")
		}
	}
	local := stack{folder, pulumi, append(env, programVariable+built(folder, "program"))}
	s := &stacks{folder: folder, local: local, noop: local.beside("noop")}
	return s, s.noop.create(ctx)
}

// programVariable names the environment variable with the path of the built program, for the language host.
const programVariable = "EVENKEEL_PROGRAM="

// built returns the path of a checkout's built program.
func built(folder, program string) string { return filepath.Join(folder, ".evenkeel", "bin", program) }

// buildProgram builds the Pulumi program in a folder beside this file.
func buildProgram(ctx context.Context, folder, name string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", built(folder, name), "./acceptance/bench/"+name)
	build.Dir, build.Stderr = folder, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the program %s: %w", name, err)
	}
	return nil
}

// beside returns the stack of a program in a folder beside this file, in the same environment.
func (s stack) beside(program string) stack {
	return stack{filepath.Join(s.folder, "acceptance", "bench", program), s.pulumi,
		append(slices.Clone(s.env), programVariable+built(s.folder, program))}
}

// create creates the stack. It removes the stack file of an earlier run, which belongs to another passphrase.
func (s stack) create(ctx context.Context) error {
	if err := os.Remove(filepath.Join(s.folder, "Pulumi.local.yaml")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	_, err := s.run(ctx, "stack", "init", "local", "--secrets-provider", "passphrase")
	return err
}

// warmUp brings the local stack up, counts its resources, and gives the other stack the same number.
func (s *stacks) warmUp(ctx context.Context) error {
	if _, err := s.local.run(ctx, "up", "--yes", "--skip-preview"); err != nil {
		return err
	}
	var err error
	if s.resources, err = s.local.resources(ctx); err != nil {
		return err
	}
	// Its default provider is a resource too.
	_, err = s.noop.run(ctx, "config", "set", "count", strconv.Itoa(s.resources-1))
	return err
}

// step is one operation that is timed on both stacks.
type step struct {
	name string
	goal float64
	args []string
}

var steps = []step{
	{"up (create)", 1.5, []string{"up", "--yes", "--skip-preview"}},
	{"up (no changes)", 1.3, []string{"up", "--yes", "--skip-preview", "--expect-no-changes"}},
	{"preview (no changes)", 1.3, []string{"preview", "--expect-no-changes"}},
}

// compare times the steps on both stacks in turn, after a warm-up round. It leaves the local stack up.
func (s *stacks) compare(ctx context.Context, rounds int) ([]Comparison, error) {
	local, noop := make([][]float64, len(steps)), make([][]float64, len(steps))
	for round := range rounds + 1 {
		say("pulumi, round %d of %d (0 does not count)", round, rounds)
		for _, one := range []stack{s.local, s.noop} {
			if _, err := one.run(ctx, "destroy", "--yes", "--skip-preview"); err != nil {
				return nil, err
			}
		}
		for i, step := range steps {
			pair, err := s.time(ctx, step.args, round%2 == 1)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				local[i], noop[i] = append(local[i], pair[0]), append(noop[i], pair[1])
			}
		}
		if err := s.checkSize(ctx); err != nil {
			return nil, err
		}
	}
	var list []Comparison
	for i, step := range steps {
		list = append(list, compareTimes(step.name, step.goal, local[i], noop[i]))
	}
	return list, nil
}

// time returns how long Pulumi takes on the local stack and on the other, in seconds. The order changes in each round.
func (s *stacks) time(ctx context.Context, args []string, swap bool) (pair [2]float64, err error) {
	order := []int{0, 1}
	if swap {
		slices.Reverse(order)
	}
	for _, i := range order {
		took, err := []stack{s.local, s.noop}[i].run(ctx, args...)
		if err != nil {
			return pair, err
		}
		pair[i] = took.Seconds()
	}
	return pair, nil
}

// checkSize checks that both stacks have the same number of resources.
func (s *stacks) checkSize(ctx context.Context) error {
	for _, one := range []stack{s.local, s.noop} {
		if n, err := one.resources(ctx); err != nil {
			return err
		} else if n != s.resources {
			return fmt.Errorf("the stack of %s has %d resources, want %d", one.folder, n, s.resources)
		}
	}
	return nil
}

// run runs Pulumi and returns its output and how long the process took.
func (s stack) run(ctx context.Context, args ...string) (time.Duration, error) {
	_, took, err := s.output(ctx, args...)
	return took, err
}

func (s stack) output(ctx context.Context, args ...string) ([]byte, time.Duration, error) {
	cmd := exec.CommandContext(ctx, s.pulumi, append(args, "--non-interactive")...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.folder, s.env, &stdout, &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return nil, took, fmt.Errorf("pulumi %s in %s: %w\n%s%s", strings.Join(args, " "), s.folder, err, &stdout,
			&stderr)
	}
	return stdout.Bytes(), took, nil
}

func (s stack) resources(ctx context.Context) (int, error) {
	text, _, err := s.output(ctx, "stack", "export")
	if err != nil {
		return 0, err
	}
	var state struct {
		Deployment struct {
			Resources []struct{ Type string }
		}
	}
	if err := json.Unmarshal(text, &state); err != nil {
		return 0, fmt.Errorf("read the exported stack: %w", err)
	}
	n := 0
	for _, r := range state.Deployment.Resources {
		if r.Type != "pulumi:pulumi:Stack" {
			n++
		}
	}
	return n, nil
}
