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

// UnknownResources returns the resources of the environment's resource groups that are not in its state and do not have
// its tags: keel did not create them. Destroying the environment would delete them too.
func (e *Environment) UnknownResources(ctx context.Context, azure Cloud) ([]Tagged, error) {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	groups, err := e.ownGroups(ctx, azure)
	if err != nil {
		return nil, err
	}
	var all []Tagged
	for _, group := range groups {
		_, unknown, err := e.resourcesOutsideState(ctx, azure, group, state)
		if err != nil {
			return nil, err
		}
		all = append(all, unknown...)
	}
	return all, nil
}

// ConfirmUnknownResources asks the user whether the resources that UnknownResources returns may be deleted with the
// environment, and returns an error without consent.
func (e *Environment) ConfirmUnknownResources(ctx context.Context, azure Cloud) error {
	unknown, err := e.UnknownResources(ctx, azure)
	if err != nil || len(unknown) == 0 {
		return err
	}
	agreed, err := e.consent(unknown)
	if err != nil || agreed {
		return err
	}
	return hint.To(fmt.Errorf("the resource group of stack %q contains resources that keel did not create, and that "+
		"would be deleted with it: %s", e.Stack, namesOf(unknown)),
		"move them to another resource group, or delete them with the environment: keel down %s --yes", e.Stack)
}

// ownGroups returns the resource groups that have the environment's tags.
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

// resourcesOutsideState returns the resources of a group that are not in the state: those that the program created, by
// their tags, and all others.
func (e *Environment) resourcesOutsideState(ctx context.Context, azure Cloud, group Tagged, state deployment) (made,
	unknown []Tagged, err error) {
	inside, err := azure.Resources(ctx, group.ID)
	if err != nil {
		return nil, nil, fmt.Errorf("list the resources of %s: %w", group.ID, err)
	}
	own := map[string]string{"stack": e.Stack, "purpose": Purpose["purpose"]}
	for _, r := range inside {
		switch {
		case state.hasResource(r.ID):
		case r.hasTags(own):
			made = append(made, r)
		default:
			unknown = append(unknown, r)
		}
	}
	return made, unknown, nil
}

// consent asks the user whether resources may be deleted. Without a way to ask, the answer is no.
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

// hasResource reports whether the state has a resource of that ARM id.
func (d deployment) hasResource(id string) bool {
	return slices.ContainsFunc(d.Resources, func(r resource) bool { return r.Custom && strings.EqualFold(r.ID, id) })
}

func namesOf(things []Tagged) string {
	var names []string
	for _, t := range things {
		names = append(names, t.Name())
	}
	return strings.Join(names, ", ")
}
