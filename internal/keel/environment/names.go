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

// Registrar checks whether the name of a hub, which is unique in all of Azure, is available.
type Registrar interface {
	// HubName returns "" for an available name, and otherwise the reason why it is not.
	HubName(ctx context.Context, name string) (taken string, err error)
}

// CheckNames returns an error if a hub that the next up adds has a name that is taken. It does not check names that
// Pulumi generates.
func (e *Environment) CheckNames(ctx context.Context, names Registrar) error {
	wanted, err := e.newHubNames(ctx)
	if err != nil {
		return err
	}
	var taken, settings []string
	for _, hub := range slices.Sorted(maps.Keys(wanted)) {
		why, err := names.HubName(ctx, wanted[hub])
		if err != nil { // a caller who may not check names may still be allowed to create hubs
			e.notice("cannot check whether the name %s of %s is available: %v", wanted[hub], hub, err)
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

// newHubNames returns the configured Azure names of hubs that the state does not have, by the hubs' names in the stack.
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
		return nil, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	for _, r := range state.Resources {
		if r.Type == HubType {
			held := r.ID[strings.LastIndex(r.ID, "/")+1:]
			maps.DeleteFunc(names, func(_, name string) bool { return strings.EqualFold(name, held) })
		}
	}
	return names, nil
}
