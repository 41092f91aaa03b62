package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"evenkeel/internal/hint"
)

// ErrGroupNotFound is the cause of an error about a stack whose resource group no longer exists.
var ErrGroupNotFound = errors.New("resource group not found")

// Confirm checks that the resource groups of the state exist. A missing group is the error ErrGroupNotFound, before
// Pulumi reports every resource in it. Confirm copies a tag keep=true of the group to the configuration, because the
// next change of the group's tags would remove it.
func (e *Environment) Confirm(ctx context.Context, azure Cloud) error {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	for _, id := range state.groups() {
		group, there, err := azure.Group(ctx, id)
		if err != nil {
			return fmt.Errorf("look for the resource group of stack %q: %w", e.Stack, err)
		}
		if !there {
			return e.missingGroup(id)
		}
		if err := e.adoptKeep(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// missingGroup returns the error for a resource group of the state that does not exist.
func (e *Environment) missingGroup(id string) error {
	name := Tagged{ID: id}.Name()
	if e.Target == Azure {
		return hint.To(fmt.Errorf("stack %q exists in the Pulumi state, but the subscription has no resource group "+
			"%s (%w)", e.Stack, name, ErrGroupNotFound),
			"check the subscription: keel doctor; if the group was deleted, remove the stack: keel exec -s %[1]s -- "+
				"pulumi stack rm %[1]s --force", e.Stack)
	}
	return hint.To(fmt.Errorf("stack %q exists in the Pulumi state, but the emulator has no resource group %s (%w): "+
		"its data was deleted, or this is another emulator",
		e.Stack, name, ErrGroupNotFound),
		"if the data is lost, start over: keel down %[1]s && keel up %[1]s; otherwise restore it to %s", e.Stack,
		e.Folder.Emulator())
}

func (e *Environment) adoptKeep(ctx context.Context, group Tagged) error {
	if !group.isKept() {
		return nil
	}
	settings, err := e.Settings()
	if err != nil || settings[KeepKey] == "true" {
		return err
	}
	if _, err := e.output(ctx, "config", "set-all", "--plaintext", KeepKey+"=true"); err != nil {
		return fmt.Errorf("configure stack %q: %w", e.Stack, err)
	}
	e.notice("resource group %s has the tag keep=true: keel has copied it to the configuration, and keel reap keeps "+
		"this environment", group.Name())
	return nil
}

// groups returns the ids of the resource groups in a state.
func (d deployment) groups() []string {
	var ids []string
	for _, r := range d.Resources {
		if r.Type == groupType && r.Custom && r.ID != "" {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
