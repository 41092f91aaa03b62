package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"evenkeel/internal/hint"
)

// Strangers returns what lies in the environment's resource groups, is not in its state and does not carry its tags: somebody has put it
// there. Destroying the environment takes it along.
func (e *Environment) Strangers(ctx context.Context, azure Cloud) ([]Tagged, error) {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at stack %q: %w", e.Stack, err)
	}
	groups, err := e.ownGroups(ctx, azure)
	if err != nil {
		return nil, err
	}
	var all []Tagged
	for _, group := range groups {
		_, strangers, err := e.unknown(ctx, azure, group, state)
		if err != nil {
			return nil, err
		}
		all = append(all, strangers...)
	}
	return all, nil
}

// RefuseStrangers asks whether what Strangers finds may go with the environment, and is an error when it may not.
func (e *Environment) RefuseStrangers(ctx context.Context, azure Cloud) error {
	strangers, err := e.Strangers(ctx, azure)
	if err != nil || len(strangers) == 0 {
		return err
	}
	agreed, err := e.consent(strangers)
	if err != nil || agreed {
		return err
	}
	return hint.To(fmt.Errorf("the resource group of stack %q contains resources that keel did not create, and that would be deleted with it: %s", e.Stack, namesOf(strangers)),
		"move it elsewhere, or remove it with the environment: keel down %s --yes", e.Stack)
}

// ownGroups are the resource groups that carry the environment's tags.
func (e *Environment) ownGroups(ctx context.Context, azure Cloud) ([]Tagged, error) {
	tags, err := e.Tags(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := azure.Groups(ctx, tags)
	if err != nil {
		return nil, fmt.Errorf("list the resource groups: %w", err)
	}
	return groups, nil
}

// unknown returns what lies in a group and not in the state: what the program has made, by its tags, and what anybody else has.
func (e *Environment) unknown(ctx context.Context, azure Cloud, group Tagged, state deployment) (made, strangers []Tagged, err error) {
	inside, err := azure.Resources(ctx, group.ID)
	if err != nil {
		return nil, nil, fmt.Errorf("list the resources of %s: %w", group.ID, err)
	}
	own := map[string]string{"stack": e.Stack, "purpose": Purpose["purpose"]}
	for _, r := range inside {
		switch {
		case state.knows(r.ID):
		case r.carries(own):
			made = append(made, r)
		default:
			strangers = append(strangers, r)
		}
	}
	return made, strangers, nil
}

// consent asks whether things may be deleted. Where nobody can be asked they may not.
func (e *Environment) consent(things []Tagged) (bool, error) {
	if e.Consent == nil {
		return false, nil
	}
	var ids []string
	for _, t := range things {
		ids = append(ids, t.ID)
	}
	return e.Consent(ids)
}

// knows reports whether the state has a resource of that ARM id.
func (d deployment) knows(id string) bool {
	return slices.ContainsFunc(d.Resources, func(r resource) bool { return r.Custom && strings.EqualFold(r.ID, id) })
}

func namesOf(things []Tagged) string {
	var names []string
	for _, t := range things {
		names = append(names, t.Name())
	}
	return strings.Join(names, ", ")
}
