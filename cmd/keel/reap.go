package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/environment"
)

func newReap(a *app) *cobra.Command {
	var yes, all bool
	cmd := &cobra.Command{
		Use:   "reap",
		Short: "Remove your environments that have expired; says only which, without --yes",
		Long: "Go over the environments of this checkout and remove those that have expired, as keel down does. Without --yes it only says\n" +
			"what it would do. Environments of others, those without a creation time or an end, and those whose resource group\n" +
			"carries the tag keep=true stay. The emulator is left running; an environment that is extended meanwhile stays.",
		Example: "  keel reap\n  keel reap --yes\n  keel reap --all-owners --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.reap(cmd.Context(), yes, all) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "remove them; without it nothing is done")
	cmd.Flags().BoolVar(&all, "all-owners", false, "those of everybody, not only your own")
	a.addJSON(cmd)
	return cmd
}

// reaped is what `reap` prints of one environment as JSON.
type reaped struct {
	Name   string `json:"name"`
	Expire bool   `json:"expired"`
	// Removed is false on a dry run.
	Removed bool   `json:"removed"`
	Reason  string `json:"reason"`
}

func (a *app) reap(ctx context.Context, yes, all bool) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	var owner string
	if !all {
		u, err := user.Current()
		if err != nil {
			return fmt.Errorf("find out who you are: %w", err)
		}
		owner = u.Username
	}
	names, err := folder.Stacks()
	if err != nil {
		return err
	}
	list := []reaped{}
	var failures []error
	for _, name := range names {
		a.stack = name
		r, err := a.reapOne(ctx, folder, owner, yes)
		if err != nil { // one that cannot be removed does not save the others
			failures = append(failures, fmt.Errorf("reap %s: %w", name, err))
		}
		list = append(list, r)
	}
	if err := a.printReaped(list, yes); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// reapOne decides about one environment and removes it. It decides once more when nobody else can change it.
func (a *app) reapOne(ctx context.Context, f environment.Folder, owner string, yes bool) (reaped, error) {
	r := reaped{Name: a.stack}
	look := func(e *environment.Environment) (bool, error) {
		l, err := e.Lifetime()
		if err != nil {
			r.Reason = "its lifetime cannot be read"
			return false, err
		}
		fate := environment.FateOf(l, owner, time.Now())
		r.Expire, r.Reason = fate.Reap, fate.Reason
		return fate.Reap, nil
	}
	if due, err := look(&environment.Environment{Folder: f, Stack: a.stack}); err != nil || !due {
		return r, err
	}
	e, err := a.local(ctx, whenStale)
	if err != nil {
		return r, err
	}
	azure, err := environment.Emulator(e.Endpoints)
	if err != nil {
		return r, err
	}
	tags := environment.Tags(a.stack)
	tags[environment.KeepTag] = "true"
	kept, err := azure.Groups(ctx, tags)
	if err != nil {
		return r, fmt.Errorf("look for the tag %s: %w", environment.KeepTag, err)
	}
	if len(kept) > 0 {
		r.Expire, r.Reason = false, "its resource group carries the tag keep=true"
		return r, nil
	}
	if !yes {
		return r, nil
	}
	release, err := e.Claim(ctx)
	if err != nil {
		return r, err
	}
	defer release()
	there, err := e.Exists()
	if err != nil || !there { // removed meanwhile by somebody else
		return r, err
	}
	if due, err := look(e); err != nil || !due {
		return r, err
	}
	e.Stdout = a.stderr
	if err := a.destroyClaimed(ctx, e); err != nil {
		return r, err
	}
	r.Removed = true
	return r, nil
}

func (a *app) printReaped(list []reaped, yes bool) error {
	if a.json {
		return a.printJSON(map[string]any{"dryRun": !yes, "environments": list})
	}
	due := false
	err := table(a.stdout, func(row func(...string)) {
		for _, r := range list {
			what := "stays"
			switch {
			case r.Removed:
				what = "removed"
			case r.Expire:
				what, due = "expired", true
			}
			row(what, r.Name, r.Reason)
		}
	})
	if due && !yes {
		a.say("nothing was removed; to remove what has expired: keel reap --yes")
	}
	return err
}
