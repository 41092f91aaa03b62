package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"go.yaml.in/yaml/v3"

	"evenkeel/internal/hint"
)

// ownKeys are the settings that another environment does not copy: owner, lifetime and target.
var ownKeys = []string{OwnerKey, CreatedKey, ExpiresKey, OriginKey, KeepKey, "target", "endpoint", "caFile",
	"secretFile", "certificate"}

// Inherit copies another environment's settings to this one, except ownKeys, the names of hubs, which are global, and
// secrets. It returns the keys of the secrets and names. An environment that already exists keeps its settings, with a
// notice, so that an interrupted command can be run again.
func (e *Environment) Inherit(ctx context.Context, from string) (left []string, err error) {
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	there, err := e.Exists(ctx)
	if err != nil {
		return nil, err
	}
	if there {
		e.notice("environment %s already exists and keeps its settings; only a new environment copies those of %s",
			e.Stack, from)
		return nil, nil
	}
	text, err := os.ReadFile(stackFile(stacks, from))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint.To(fmt.Errorf("copy the settings of environment %q: this checkout has no such environment",
			from), "list environments: keel ls")
	}
	var file struct {
		Config yaml.Node `yaml:"config"`
	}
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		return nil, fmt.Errorf("copy the settings of environment %q: %w", from, err)
	}
	left = strip(&file.Config, project)
	var config any = map[string]string{}
	if file.Config.Kind == yaml.MappingNode {
		config = &file.Config
	}
	if err := writeStackFile(stackFile(stacks, e.Stack), config); err != nil {
		return nil, fmt.Errorf("copy the settings of environment %q: %w", from, err)
	}
	return left, nil
}

// strip removes from a configuration what another environment must not copy, and returns the paths of the secrets and
// names that it removed.
func strip(config *yaml.Node, project string) (left []string) {
	own := map[string]bool{}
	for _, key := range ownKeys {
		own[project+":"+key] = true
	}
	settings := project + ":hubSettings"
	var walk func(node *yaml.Node, path []string)
	walk = func(node *yaml.Node, path []string) {
		kept := node.Content[:0:0]
		step := 1
		if node.Kind == yaml.MappingNode {
			step = 2
		}
		for i := 0; i+step <= len(node.Content); i += step {
			value, name := node.Content[i+step-1], fmt.Sprintf("[%d]", i)
			if step == 2 {
				name = node.Content[i].Value
			}
			at := append(slices.Clone(path), name)
			switch {
			case len(at) == 1 && own[name]:
				continue
			case isSecret(value), len(at) == 3 && at[0] == settings && name == "name":
				left = append(left, join(at, project))
				continue
			}
			walk(value, at)
			kept = append(kept, node.Content[i:i+step]...)
		}
		node.Content = kept
	}
	walk(config, nil)
	return left
}

// isSecret reports whether Pulumi has encrypted a value.
func isSecret(value *yaml.Node) bool {
	return value.Kind == yaml.MappingNode && len(value.Content) == 2 && value.Content[0].Value == "secure"
}

// join formats the path of a setting as pulumi config takes it.
func join(path []string, project string) string {
	var text string
	for i, name := range path {
		switch {
		case i == 0:
			text = trimProject(name, project)
		case name[0] == '[':
			text += name
		default:
			text += "." + name
		}
	}
	return text
}

func trimProject(key, project string) string {
	if len(key) > len(project) && key[:len(project)+1] == project+":" {
		return key[len(project)+1:]
	}
	return key
}
