package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"evenkeel/internal/hint"
)

// ErrGone is the cause of an error about a stack whose resource group is not in the cloud any more.
var ErrGone = errors.New("resource group not found")

// Confirm compares the state with the cloud in the one thing that decides about all others: the resource group. A group that is gone
// is an error that says so (ErrGone), before Pulumi complains about every resource in it. A tag that somebody has put there to keep the
// environment goes into the configuration, because the next change of the group's tags would take it away.
func (e *Environment) Confirm(ctx context.Context, azure Cloud) error {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at stack %q: %w", e.Stack, err)
	}
	for _, id := range state.groups() {
		group, there, err := azure.Group(ctx, id)
		if err != nil {
			return fmt.Errorf("look for the resource group of stack %q: %w", e.Stack, err)
		}
		if !there {
			return e.gone(id)
		}
		if err := e.adoptKeep(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// gone explains a state that speaks of what is not there.
func (e *Environment) gone(id string) error {
	name := Tagged{ID: id}.Name()
	if e.Target == Azure {
		return hint.To(fmt.Errorf("stack %q exists in the Pulumi state, but the subscription has no resource group %s (%w)", e.Stack, name, ErrGone),
			"look whether this is the right subscription (keel doctor); if the group was deleted, forget the stack: keel exec -s %[1]s -- pulumi stack rm %[1]s --force", e.Stack)
	}
	return hint.To(fmt.Errorf("stack %q exists in the Pulumi state, but the emulator has no resource group %s (%w): its data was removed, or it is another emulator",
		e.Stack, name, ErrGone), "if the data is lost, start over: keel down %[1]s && keel up %[1]s; otherwise restore it to %s", e.Stack, e.Folder.Emulator())
}

func (e *Environment) adoptKeep(ctx context.Context, group Tagged) error {
	if !group.kept() {
		return nil
	}
	settings, err := e.Settings()
	if err != nil || settings[KeepKey] == "true" {
		return err
	}
	if _, err := e.output(ctx, "config", "set-all", "--plaintext", KeepKey+"=true"); err != nil {
		return fmt.Errorf("configure stack %q: %w", e.Stack, err)
	}
	e.notice("resource group %s carries the tag keep=true: it stays, as keep in the configuration; keel reap leaves this environment alone", group.Name())
	return nil
}

// groups are the ids of the resource groups in a state.
func (d deployment) groups() []string {
	var ids []string
	for _, r := range d.Resources {
		if r.Type == groupType && r.Custom && r.ID != "" {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
