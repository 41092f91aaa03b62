package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The keys of a stack's configuration that hold its owner and lifetime. Only keel writes them; the program makes tags of them.
const (
	OwnerKey   = "owner"
	CreatedKey = "createdAt"
	ExpiresKey = "expiresAt"
)

// ShortestTTL and LongestTTL bound the lifetimes that people may ask for.
const (
	ShortestTTL = time.Minute
	LongestTTL  = 366 * 24 * time.Hour
)

// Lifetime is whose an environment is and how long it is to live. Zero times stand for none.
type Lifetime struct {
	Owner            string
	Created, Expires time.Time
}

// Left returns the time until the environment expires, negative afterwards; ok is false for one that does not.
func (l Lifetime) Left(now time.Time) (left time.Duration, ok bool) {
	if l.Expires.IsZero() {
		return 0, false
	}
	return l.Expires.Sub(now), true
}

// Stamp writes a time as configuration and tags hold it: to the second, in UTC.
func Stamp(at time.Time) string { return at.UTC().Truncate(time.Second).Format(time.RFC3339) }

// ParseTTL reads a lifetime such as 90m, 8h or 2d.
func ParseTTL(text string) (time.Duration, error) {
	ttl, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n int
		n, err = strconv.Atoi(days)
		ttl = time.Duration(min(n, 100_000)) * 24 * time.Hour
	}
	if err != nil {
		return 0, fmt.Errorf("%q is no time span such as 90m, 8h or 2d", text)
	}
	if ttl < ShortestTTL || ttl > LongestTTL {
		return 0, fmt.Errorf("%s is out of range: a lifetime goes from a minute to 366 days", text)
	}
	return ttl, nil
}

// Lifetime reads the stack's own from its configuration.
func (e *Environment) Lifetime() (Lifetime, error) {
	settings, err := e.Settings()
	if err != nil {
		return Lifetime{}, err
	}
	l := Lifetime{Owner: settings[OwnerKey]}
	for key, at := range map[string]*time.Time{CreatedKey: &l.Created, ExpiresKey: &l.Expires} {
		if settings[key] == "" {
			continue
		}
		if *at, err = time.Parse(time.RFC3339, settings[key]); err != nil {
			return Lifetime{}, fmt.Errorf("read the lifetime of stack %q: %s is not a time as 2026-01-31T17:00:00Z: %q", e.Stack, key, settings[key])
		}
	}
	return l, nil
}

// Settings returns the plain configuration of the stack by keys without the project's name.
func (e *Environment) Settings() (map[string]string, error) {
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	return readSettings(filepath.Join(stacks, "Pulumi."+e.Stack+".yaml"), project)
}

// Tagger sets one tag of a resource group, by its ARM id, and leaves the others.
type Tagger interface {
	Tag(ctx context.Context, group, name, value string) error
}

// Extend moves the end of the environment's life: in the stack's configuration, in the tag of its resource group, and in what the
// state knows of that tag. It runs no program: whatever else has been edited stays as it is.
func (e *Environment) Extend(ctx context.Context, azure Tagger, until time.Time) error {
	project, _, err := e.Folder.Project()
	if err != nil {
		return err
	}
	if _, err := e.unlock(project); err != nil { // a running Pulumi would write its own view over the state
		return err
	}
	state, err := readState(e.stateFile(project))
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

const groupType = "azure-native:resources:ResourceGroup"

// withTag sets a tag of the resource groups of an exported deployment, where it stands among inputs and outputs. All else is kept as
// raw text.
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

// Summary is what can be told of an environment from its files alone.
type Summary struct {
	Name     string
	Target   string
	Lifetime Lifetime
	// Hubs and Resources count what the state holds; the stack itself and providers are no resources here.
	Hubs, Resources int
}

// Summary reads the stack's configuration and state. It runs nothing.
func (e *Environment) Summary() (Summary, error) {
	project, _, err := e.Folder.Project()
	if err != nil {
		return Summary{}, err
	}
	s := Summary{Name: e.Stack}
	if s.Lifetime, err = e.Lifetime(); err != nil {
		return Summary{}, err
	}
	settings, err := e.Settings()
	if err != nil {
		return Summary{}, err
	}
	s.Target = settings["target"]
	state, err := readState(e.stateFile(project))
	if err != nil {
		return Summary{}, fmt.Errorf("look at stack %q: %w", e.Stack, err)
	}
	for _, r := range state.Resources {
		if !r.Custom || strings.HasPrefix(r.Type, "pulumi:providers:") {
			continue
		}
		s.Resources++
		if r.Type == "azure-native:devices:IotHubResource" {
			s.Hubs++
		}
	}
	return s, nil
}

// Stacks returns the names of the stacks in the checkout's backend, in order.
func (f Folder) Stacks() ([]string, error) {
	project, _, err := f.Project()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(f.Backend(), ".pulumi", "stacks", project))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the stacks: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".json"); ok && !entry.IsDir() {
			names = append(names, name)
		}
	}
	return names, nil
}
