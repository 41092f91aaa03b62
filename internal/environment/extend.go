package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Tagger sets one tag of a resource group, by its ARM id, and leaves the others.
type Tagger interface {
	Tag(ctx context.Context, group, name, value string) error
}

// Extend moves the end of the environment's life: in the stack's configuration, in the tag of its resource group, and in what the
// state knows of that tag. It runs no program: whatever else has been edited stays as it is.
func (e *Environment) Extend(ctx context.Context, azure Tagger, until time.Time) error {
	if _, err := e.unlock(); err != nil { // a running Pulumi would write its own view over the state
		return err
	}
	state, err := e.load(ctx)
	if err != nil {
		return fmt.Errorf("extend stack %q: %w", e.Stack, err)
	}
	value := Stamp(until)
	if _, err := e.output(ctx, "config", "set-all", "--plaintext", ExpiresKey+"="+value); err != nil {
		return fmt.Errorf("extend stack %q: %w", e.Stack, err)
	}
	var groups int
	for _, r := range state.Resources {
		if r.Type != groupType || !r.Custom {
			continue
		}
		if err := azure.Tag(ctx, r.ID, ExpiresKey, value); err != nil {
			return fmt.Errorf("extend stack %q: tag %s: %w", e.Stack, r.ID, err)
		}
		groups++
	}
	if groups == 0 {
		return nil
	}
	text, err := e.output(ctx, "stack", "export")
	if err == nil {
		text, err = withTag(text, ExpiresKey, value)
	}
	if err == nil {
		err = e.importState(ctx, text)
	}
	if err != nil {
		return fmt.Errorf("extend stack %q: %w", e.Stack, err)
	}
	return nil
}

const (
	groupType = "azure-native:resources:ResourceGroup"
	stackType = "pulumi:pulumi:Stack"
)

// withTag sets a tag of the resource groups of an exported deployment, where it stands among inputs and outputs, and the stack's output
// of the same name. All else is kept as raw text.
func withTag(text []byte, name, value string) ([]byte, error) {
	return edit(text, "deployment", func(deployment json.RawMessage) (json.RawMessage, error) {
		return edit(deployment, "resources", func(list json.RawMessage) (json.RawMessage, error) {
			var all []json.RawMessage
			if err := json.Unmarshal(list, &all); err != nil {
				return nil, err
			}
			for i, raw := range all {
				var r resource
				if err := json.Unmarshal(raw, &r); err != nil {
					return nil, err
				}
				if r.Type == stackType && len(r.Outputs) > 0 {
					var err error
					if all[i], err = edit(raw, "outputs", replace(name, value)); err != nil {
						return nil, err
					}
				}
				if r.Type != groupType || !r.Custom {
					continue
				}
				for _, side := range []string{"inputs", "outputs"} {
					var err error
					if raw, err = edit(raw, side, setTag(name, value)); err != nil {
						return nil, err
					}
				}
				all[i] = raw
			}
			return json.Marshal(all)
		})
	})
}

// replace sets a member that is there, and makes none.
func replace(name, value string) func(json.RawMessage) (json.RawMessage, error) {
	return func(object json.RawMessage) (json.RawMessage, error) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(object, &members); err != nil || members[name] == nil {
			return object, err
		}
		return edit(object, name, func(json.RawMessage) (json.RawMessage, error) { return json.Marshal(value) })
	}
}

func setTag(name, value string) func(json.RawMessage) (json.RawMessage, error) {
	return func(properties json.RawMessage) (json.RawMessage, error) {
		return edit(properties, "tags", func(tags json.RawMessage) (json.RawMessage, error) {
			return edit(tags, name, func(json.RawMessage) (json.RawMessage, error) { return json.Marshal(value) })
		})
	}
}

// edit changes one member of a JSON object.
func edit(text json.RawMessage, member string, change func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	object := map[string]json.RawMessage{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, err
		}
	}
	changed, err := change(object[member])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	object[member] = changed
	return json.Marshal(object)
}
