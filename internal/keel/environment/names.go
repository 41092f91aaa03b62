package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"evenkeel/internal/hint"
)

// Registrar tells whether a name of a hub, which all of Azure shares, is free.
type Registrar interface {
	// HubName returns "" for a free name, and why it cannot be had otherwise.
	HubName(ctx context.Context, name string) (taken string, err error)
}

// CheckNames is an error when a hub that the next up adds has a name that is taken, told before anything is made.
// Hubs that are named by Pulumi are not asked about.
func (e *Environment) CheckNames(ctx context.Context, names Registrar) error {
	wanted, err := e.newHubNames(ctx)
	if err != nil {
		return err
	}
	var taken, settings []string
	for _, hub := range slices.Sorted(maps.Keys(wanted)) {
		why, err := names.HubName(ctx, wanted[hub])
		if err != nil { // a caller who may not ask may still be allowed to create
			e.notice("whether the name %s of %s is taken cannot be seen: %v", wanted[hub], hub, err)
			return nil
		}
		if why != "" {
			taken = append(taken, fmt.Sprintf("%s (%s)", wanted[hub], why))
			settings = append(settings, fmt.Sprintf("hubSettings.%s.name", hub))
		}
	}
	if len(taken) == 0 {
		return nil
	}
	err = fmt.Errorf("bring up environment %s: hub names are not available: %s", e.Stack, strings.Join(taken, ", "))
	return hint.To(
		err,
		"choose another name: keel exec -s %s -- pulumi config set --path %s NAME",
		e.Stack,
		settings[0],
	)
}

// newHubNames are the names that the configuration gives to hubs which the state does not have, by the hubs' own.
func (e *Environment) newHubNames(ctx context.Context) (map[string]string, error) {
	settings, err := e.rawSettings()
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	of, _ := settings["hubSettings"].(map[string]any)
	for hub, value := range of {
		set, _ := value.(map[string]any)
		if name, _ := set["name"].(string); name != "" && set["remove"] != true {
			names[hub] = name
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	state, err := e.load(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look at stack %q: %w", e.Stack, err)
	}
	for _, r := range state.Resources {
		if r.Type == HubType {
			held := r.ID[strings.LastIndex(r.ID, "/")+1:]
			maps.DeleteFunc(names, func(_, name string) bool { return strings.EqualFold(name, held) })
		}
	}
	return names, nil
}
