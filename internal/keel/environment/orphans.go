package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// findRemains are the resources of one of the environment's own resource groups that are not in its state.
type remains struct {
	group Tagged
	// isInState is true if the state has the group itself, named if a pending create names it.
	isInState, isPendingCreate bool
	// orphans are the resources that pending creates name. others are all those that the state does not mention:
	// resources with the environment's tags, which an interrupted run may have created or a user may have removed from
	// the state, and resources that keel did not create.
	orphans, others []Tagged
}

// armNames are the ARM types that the program declares, with the input for their name. Pulumi's provider fills it in
// before it records the pending create.
var armNames = map[string]struct{ kind, name string }{
	groupType:                             {"Microsoft.Resources/resourceGroups", "resourceGroupName"},
	"azure-native:devices:IotHubResource": {"Microsoft.Devices/IotHubs", "resourceName"},
	"azure-native:devices:IotDpsResource": {"Microsoft.Devices/provisioningServices", "provisioningServiceName"},
}

// isCreating reports whether a pending create of the state names the resource of that ARM id.
func (d deployment) isCreating(id string) bool {
	return slices.ContainsFunc(d.Pending, func(o operation) bool { return o.isCreate() && o.Resource.isAt(id) })
}

// isAt reports whether the inputs of a resource name what the ARM id names.
func (r resource) isAt(id string) bool {
	arm, ok := armNames[r.Type]
	var inputs map[string]json.RawMessage
	if !ok || json.Unmarshal(r.Inputs, &inputs) != nil {
		return false
	}
	text := func(name string) (value string) {
		_ = json.Unmarshal(inputs[name], &value) // a value that is not a text counts as ""
		return value
	}
	group, name := text("resourceGroupName"), text(arm.name)
	if group == "" || name == "" {
		return false
	}
	path := "/resourceGroups/" + group
	if r.Type != groupType {
		path += "/providers/" + arm.kind + "/" + name
	}
	_, rest, _ := strings.Cut(strings.TrimPrefix(id, "/"), "/") // "subscriptions"
	_, rest, _ = strings.Cut(rest, "/")
	return strings.EqualFold("/"+rest, path)
}

// findRemains returns the resources of the environment's own resource groups that are not in a state.
func (e *Environment) findRemains(ctx context.Context, azure Cloud, state deployment) ([]remains, error) {
	groups, err := e.ownGroups(ctx, azure)
	if err != nil {
		return nil, err
	}
	var all []remains
	for _, group := range groups {
		made, unknown, err := e.resourcesOutsideState(ctx, azure, group, state)
		if err != nil {
			return nil, err
		}
		r := remains{group: group, isInState: state.hasResource(group.ID), isPendingCreate: state.isCreating(group.ID),
			others: unknown}
		for _, m := range made {
			if state.isCreating(m.ID) {
				r.orphans = append(r.orphans, m)
			} else {
				r.others = append(r.others, m)
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// needsConsent returns the resources that keel may delete only with the user's consent.
func (r remains) needsConsent() []Tagged {
	if !r.isInState && !r.isPendingCreate {
		return append([]Tagged{r.group}, r.others...)
	}
	return r.others
}

// deletable returns the resources to delete if the user has agreed to those in agreed, by id. It returns a group as a
// whole, unless something in it has to stay.
func (r remains) deletable(agreed map[string]bool) []Tagged {
	others := slices.DeleteFunc(slices.Clone(r.others), func(t Tagged) bool { return !agreed[t.ID] })
	if len(others) == len(r.others) && !r.isInState && (r.isPendingCreate || agreed[r.group.ID]) {
		return []Tagged{r.group}
	}
	return slices.Concat(r.orphans, others)
}

// deleteOrphans deletes the resources that pending creates of the state name, and others with the user's consent. It
// first looks without the lock whether there is anything to delete, and decides again under the lock.
func (e *Environment) deleteOrphans(ctx context.Context, azure Cloud, state deployment) error {
	all, err := e.findRemains(ctx, azure, state)
	if err != nil {
		return err
	}
	agreed, due := map[string]bool{}, false
	for _, r := range all {
		if asked := r.needsConsent(); len(asked) > 0 {
			yes, err := e.consent(asked)
			if err != nil {
				return err
			}
			for _, t := range asked {
				agreed[t.ID] = yes
			}
			if !yes {
				e.notice(
					"kept resources of resource group %s that are not in stack %s: %s; to delete them, answer yes or "+
						"use --yes",
					r.group.Name(),
					e.Stack,
					namesOf(asked),
				)
			}
		}
		due = due || len(r.deletable(agreed)) > 0
	}
	if !due {
		return nil
	}
	return e.withLock(ctx, "keel: delete what an interrupted run has left", func(ctx context.Context) error {
		return e.deleteDue(ctx, azure, agreed)
	})
}

// deleteDue deletes what is due by the current state. The caller holds the stack's lock.
func (e *Environment) deleteDue(ctx context.Context, azure Cloud, agreed map[string]bool) error {
	state, err := e.load(ctx)
	if err != nil {
		return err
	}
	all, err := e.findRemains(ctx, azure, state)
	if err != nil {
		return err
	}
	for _, r := range all {
		for _, orphan := range r.deletable(agreed) {
			// The state cannot change under the lock, unless a user removed the lock by force.
			now, err := e.load(ctx)
			if err != nil {
				return err
			}
			if now.hasResource(orphan.ID) || !now.isCreating(orphan.ID) && !agreed[orphan.ID] {
				e.notice("kept %s: stack %s has changed in the meantime", orphan.ID, e.Stack)
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := azure.Delete(ctx, orphan.ID); err != nil {
				return fmt.Errorf("delete %s, which is not in the state of the stack: %w", orphan.ID, err)
			}
			e.notice("deleted %s, which was not in the stack's state", orphan.ID)
		}
	}
	return nil
}
