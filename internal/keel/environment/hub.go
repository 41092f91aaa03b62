package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
)

// The settings that take a hub out of service: with Drain no new devices are assigned to it, Remove unlinks and deletes
// it.
const (
	Drain  = "drain"
	Remove = "remove"
)

// HubFlags returns the configured values of Drain and Remove by hub. An up that applies them may not have run yet.
func (e *Environment) HubFlags() (map[string]map[string]bool, error) {
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	settings, err := readRaw(filepath.Join(stacks, "Pulumi."+e.Stack+".yaml"), project)
	if err != nil {
		return nil, err
	}
	flags := map[string]map[string]bool{}
	hubs, _ := settings["hubSettings"].(map[string]any)
	for hub, all := range hubs {
		flags[hub] = map[string]bool{}
		of, _ := all.(map[string]any)
		for _, flag := range []string{Drain, Remove} {
			flags[hub][flag] = fmt.Sprint(of[flag]) == "true"
		}
	}
	return flags, nil
}

// SetHub sets or removes Drain or Remove of a hub in the configuration. The next up applies it.
func (e *Environment) SetHub(ctx context.Context, hub, flag string, on bool) error {
	path, err := json.Marshal(hub) // quoted: a name may contain characters with a meaning in paths
	if err != nil {
		return fmt.Errorf("configure %s of %s: %w", flag, hub, err)
	}
	args := []string{"config", "rm", "--path", fmt.Sprintf("hubSettings[%s].%s", path, flag)}
	if on {
		args = []string{"config", "set", "--plaintext", "--path", args[3], "true"}
	}
	if _, err := e.output(ctx, args...); err != nil {
		return fmt.Errorf("configure %s of %s: %w", flag, hub, err)
	}
	return nil
}

// DefaultHubs is the number of hubs of a stack whose configuration does not set it.
const DefaultHubs = 2

// HubCount returns the configured number of hubs, removed ones included: they are hub-1 to hub-n.
func (e *Environment) HubCount() (int, error) {
	settings, err := e.Settings()
	if err != nil {
		return 0, err
	}
	text, set := settings["hubs"]
	if !set {
		return DefaultHubs, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("read the configuration of stack %q: hubs is %q, not a number", e.Stack, text)
	}
	return n, nil
}

// SetHubCount sets the number of hubs in the configuration. The next up applies it.
func (e *Environment) SetHubCount(ctx context.Context, n int) error {
	if _, err := e.output(ctx, "config", "set", "--plaintext", "hubs", strconv.Itoa(n)); err != nil {
		return fmt.Errorf("configure %d hubs: %w", n, err)
	}
	return nil
}
