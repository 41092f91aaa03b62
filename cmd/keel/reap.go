package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/claim"
	"evenkeel/internal/keel/environment"
)

func newReap(a *app) *cobra.Command {
	var yes, all bool
	cmd := &cobra.Command{
		Use:   "reap",
		Short: "Remove your expired environments; without --yes, only list them",
		Long: "Remove the environments that have expired, as keel down does. Without --yes, only report what would " +
			"be removed.\n" +
			"Environments of other owners, on a shared backend also those of a user name that many people share " +
			"(root, runner and the like; set\n" +
			"EVENKEEL_OWNER to name yourself, for keel up too), those without a creation time or an end, and those " +
			"marked to be kept (keep: true in their\n" +
			"configuration, or the tag keep=true on their resource group) stay. Resource groups of this backend and " +
			"project whose stack\n" +
			"no longer exists are orphans, and removed too; those of other backends are listed as foreign and never " +
			"removed.\n" +
			"The emulator keeps running. An environment that another command uses, or that is extended meanwhile, " +
			"stays; a second\n" +
			"keel reap --yes in one checkout ends at once, so that hourly runs never pile up.\n\n" +
			"To run it every hour, by cron (crontab -e), or by a workflow with `schedule`:\n" +
			"  0 * * * *  cd /path/to/checkout && .evenkeel/bin/keel reap --yes",
		Example: "  keel reap\n  keel reap --yes\n  keel reap --all-owners --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.reap(cmd.Context(), yes, all) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "confirm; without it, keel changes nothing")
	cmd.Flags().BoolVar(&all, "all-owners", false, "include the environments of all owners")
	a.addJSON(cmd)
	return cmd
}

// reaped is the JSON that `reap` prints for one candidate.
type reaped struct {
	Kind environment.Kind `json:"kind"`
	Name string           `json:"name"`
	// Group is the name of the resource group of a candidate without a stack.
	Group  string `json:"group,omitempty"`
	Expire bool   `json:"expired"`
	// Removed is false on a dry run.
	Removed bool   `json:"removed"`
	Reason  string `json:"reason"`
}

// reaper is one run of reap.
type reaper struct {
	*app
	folder environment.Folder
	// owner is the owner whose environments are removed, "" for those of all owners.
	owner string
	yes   bool
}

func (a *app) reap(ctx context.Context, yes, all bool) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	r := reaper{app: a, folder: folder, yes: yes}
	if !all {
		r.owner = a.userName()
	}
	if yes {
		release, err := folder.ClaimReaping(ctx, a.command())
		if busy := (*claim.BusyError)(nil); errors.As(err, &busy) {
			a.say("nothing to do: %s is already running", claim.Names(busy.Holders))
			return a.printReaped([]reaped{}, yes)
		}
		if err != nil {
			return err
		}
		defer release()
	}
	list, failures := r.run(ctx)
	if err := a.printReaped(list, yes); err != nil {
		return err
	}
	return failures
}

// run examines every candidate and removes those that are due. After a failed removal it continues with the others.
func (r reaper) run(ctx context.Context) ([]reaped, error) {
	list := []reaped{}
	r.stack = "" // no particular one: the flag selects the target
	e, azure, err := r.openBackend(ctx)
	if err != nil || e == nil {
		return list, err
	}
	all, err := r.survey(ctx, e, azure)
	if err != nil {
		return list, err
	}
	var failures []error
	for _, c := range all {
		result := describeCandidate(c)
		if c.Decision.Reap && r.yes {
			if result, err = r.remove(ctx, c); err != nil {
				failures = append(failures, fmt.Errorf("reap %s: %w", c.Stack, err))
			}
		}
		list = append(list, result)
	}
	return list, errors.Join(failures...)
}

// openBackend returns an environment of the backend, and the management API; nil if no environment was ever created.
func (r reaper) openBackend(ctx context.Context) (*environment.Environment, *environment.ResourceManager, error) {
	outline, err := r.outline(ctx)
	if err != nil {
		return nil, nil, err
	}
	names, err := outline.Names(ctx)
	if err != nil || len(names) == 0 && outline.Target != environment.Azure && !r.mayHaveOrphans() {
		return nil, nil, err
	}
	e, err := r.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	azure, err := r.cloud(ctx, e)
	return e, azure, err
}

// mayHaveOrphans reports whether the emulator may have an orphan. It does not start the emulator.
func (r reaper) mayHaveOrphans() bool {
	_, err := r.process(r.folder).Find()
	return err == nil
}

func (r reaper) survey(ctx context.Context, e *environment.Environment,
	azure environment.Cloud) ([]environment.Candidate, error) {
	origin, err := e.Origin(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := azure.Groups(ctx, environment.Purpose) // before the stacks: see Survey
	if err != nil {
		return nil, fmt.Errorf("list the resource groups: %w", err)
	}
	stacks, err := e.Stacks(ctx)
	if err != nil {
		return nil, err
	}
	all := environment.Survey(groups, stacks, origin, r.owner, time.Now())
	if r.owner != "" && isSharedName(r.owner) && !e.HasOwnBackend() {
		for i := range all {
			r.spare(&all[i])
		}
	}
	return all, nil
}

// spare leaves what has expired to a user whose name many have: of a backend that checkouts share, it may be another's.
func (r reaper) spare(c *environment.Candidate) {
	if c.Decision.Reap {
		c.Decision = environment.Decision{
			Reason: fmt.Sprintf("it has expired, but may be another's: %q is the name of many; "+
				"name yourself by %s, or use --all-owners", r.owner, ownerVariable)}
	}
}

// remove claims the environment, decides again now that no other command can change it, and removes it.
func (r reaper) remove(ctx context.Context, c environment.Candidate) (reaped, error) {
	result := describeCandidate(c)
	if err := checkName(c.Stack); err != nil { // an orphan's name comes from a tag
		return result, err
	}
	r.stack = c.Stack
	e, azure, err := r.openBackend(ctx)
	if err != nil || e == nil {
		return result, err
	}
	release, err := e.ClaimNow(ctx)
	if busy := (*claim.BusyError)(nil); errors.As(err, &busy) {
		result.Expire, result.Reason = false, busy.Error() // the next run looks again
		return result, nil
	}
	if err != nil {
		return result, err
	}
	defer release()
	all, err := r.survey(ctx, e, azure)
	if err != nil {
		return result, err
	}
	now, there := same(all, c)
	if !there { // another command has removed it
		result.Expire, result.Reason = false, "it no longer exists"
		return result, nil
	}
	if result = describeCandidate(now); !now.Decision.Reap {
		return result, nil
	}
	if now.Kind == environment.Orphan {
		err = azure.Delete(ctx, now.Groups[0].ID)
	} else {
		e.Stdout = r.stderr
		err = r.destroyClaimed(ctx, e)
	}
	result.Removed = err == nil
	return result, err
}

// same finds a candidate in a later list.
func same(all []environment.Candidate, c environment.Candidate) (environment.Candidate, bool) {
	for _, other := range all {
		if other.Kind == c.Kind && other.Stack == c.Stack &&
			(c.Kind == environment.Deployed || other.Groups[0].ID == c.Groups[0].ID) {
			return other, true
		}
	}
	return environment.Candidate{}, false
}

func describeCandidate(c environment.Candidate) reaped {
	result := reaped{Kind: c.Kind, Name: c.Stack, Expire: c.Decision.Reap, Reason: c.Decision.Reason}
	if c.Kind != environment.Deployed {
		result.Group = c.Groups[0].Name()
	}
	return result
}

func (a *app) printReaped(list []reaped, yes bool) error {
	if a.json {
		return a.printJSON(reapResult{!yes, list})
	}
	due := false
	err := table(a.stdout, func(row func(...string)) {
		for _, r := range list {
			what, name := "stays", r.Name
			switch {
			case r.Removed:
				what = "removed"
			case r.Expire:
				what, due = "expired", true
			case r.Kind == environment.Foreign:
				what = "foreign"
			}
			if r.Group != "" {
				name = dash(name) + " (" + r.Group + ")"
			}
			row(what, name, r.Reason)
		}
	})
	if due && !yes {
		a.say("nothing was removed; to remove what has expired: keel reap --yes")
	}
	return err
}
