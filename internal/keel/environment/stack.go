package environment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// Setting is one configuration value that a command writes. With Keep, an existing value stays, unless OnlyNew is set
// too and the stack is new: the value is then left over from an earlier stack. With OnlyNew and without Keep, nothing
// is written to a stack that is not new. A setting without a value is removed.
type Setting struct {
	Key, Value    string
	Keep, OnlyNew bool
}

// isDue reports whether a setting has to be written.
func (s Setting) isDue(old string, set, fresh bool) bool {
	switch {
	case s.OnlyNew && fresh:
		return old != s.Value
	case s.Keep:
		return !set && s.Value != ""
	case s.OnlyNew:
		return false
	}
	return old != s.Value
}

// Ensure creates the stack if it does not exist and writes the settings that differ. If nothing differs, it reads two
// files and starts no process.
func (e *Environment) Ensure(ctx context.Context, settings ...Setting) error {
	fresh, err := e.prepare()
	if err != nil {
		return err
	}
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return err
	}
	file := stackFile(stacks, e.Stack)
	if err := e.refuseOtherTarget(file, project); err != nil {
		return err
	}
	there, err := e.Exists(ctx)
	if err != nil {
		return err
	}
	born := !there
	if born {
		if fresh {
			if err := dropSalt(file); err != nil {
				return err
			}
		}
		if err := e.create(ctx, file, project, settings); err != nil {
			return err
		}
	}
	have, err := readSettings(file, project)
	if err != nil {
		return err
	}
	args, removed := []string{"config", "set-all"}, []string{"config", "rm-all"}
	for _, s := range settings {
		old, set := have[s.Key]
		switch {
		case !s.isDue(old, set, born):
		case s.Value == "":
			removed = append(removed, s.Key)
		default:
			args = append(args, "--plaintext", s.Key+"="+s.Value)
		}
	}
	for _, call := range [][]string{args, removed} {
		if len(call) == 2 {
			continue
		}
		if _, err := e.output(ctx, call...); err != nil {
			return fmt.Errorf("configure stack %q: %w", e.Stack, err)
		}
	}
	return nil
}

// create creates the stack. If the stack has no file, begin writes the settings to it directly: Pulumi keeps them, and
// each Pulumi process takes half as long as an up.
func (e *Environment) create(ctx context.Context, file, project string, settings []Setting) error {
	made := !fileExists(file)
	if made {
		config := map[string]string{}
		for _, s := range settings {
			if s.Value != "" {
				config[project+":"+s.Key] = s.Value
			}
		}
		if err := writeStackFile(file, config); err != nil {
			return fmt.Errorf("configure stack %q: %w", e.Stack, err)
		}
	}
	args := []string{"stack", "init", e.Stack}
	if e.Target != Azure {
		args = append(args, "--secrets-provider", "passphrase")
	}
	if _, err := e.output(ctx, args...); err != nil {
		if made {
			err = errors.Join(err, os.Remove(file))
		}
		return fmt.Errorf("create stack %q: %w", e.Stack, err)
	}
	return nil
}

// writeStackFile creates the file of a stack, atomically and in Pulumi's format.
func writeStackFile(file string, config any) error {
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]any{"config": config}); err != nil {
		return err
	}
	if err := durable.OS.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return durable.OS.WriteFile(file, text.Bytes(), 0o600)
}

// prepare creates the files of a local run; fresh reports whether the passphrase is new. A run on Azure uses the user's
// own.
func (e *Environment) prepare() (fresh bool, err error) {
	if e.Target == Azure {
		return false, nil
	}
	return e.Folder.Prepare()
}

// refuseOtherTarget returns an error if the stack is configured for another target.
func (e *Environment) refuseOtherTarget(file, project string) error {
	have, err := readSettings(file, project)
	if err != nil || have["target"] == "" || (have["target"] == Azure) == (e.Target == Azure) {
		return err
	}
	return hint.To(fmt.Errorf("stack %q is configured for target %s", e.Stack, have["target"]),
		"use another name for another target: keel up NAME --target azure")
}

// HasPassphrase reports whether the stack's file shows that its secrets are encrypted with a passphrase.
func (e *Environment) HasPassphrase() (bool, error) {
	_, stacks, err := e.Folder.Project()
	if err != nil {
		return false, err
	}
	text, err := os.ReadFile(stackFile(stacks, e.Stack))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the stack file: %w", err)
	}
	return bytes.HasPrefix(text, []byte(saltKey)) || bytes.Contains(text, []byte("\n"+saltKey)), nil
}

// saltKey begins the line of a stack file with the salt of its passphrase.
const saltKey = "encryptionsalt:"

// Outputs returns the stack's outputs; secret ones are masked unless secrets is true.
func (e *Environment) Outputs(ctx context.Context, secrets bool) (map[string]json.RawMessage, error) {
	args := []string{"stack", "output", "--json"}
	if secrets {
		args = append(args, "--show-secrets")
	}
	text, err := e.output(ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("read the outputs of stack %q: %w", e.Stack, err)
	}
	var outputs map[string]json.RawMessage
	if err := json.Unmarshal(text, &outputs); err != nil {
		return nil, fmt.Errorf("read the outputs of stack %q: %w", e.Stack, err)
	}
	return outputs, nil
}

// Exists reports whether the stack exists.
func (e *Environment) Exists(ctx context.Context) (bool, error) {
	if e.fileBackend() == "" {
		names, err := e.Names(ctx)
		return slices.Contains(names, e.Stack), err
	}
	project, _, err := e.Folder.Project()
	return err == nil && fileExists(e.stateFile(project)), err
}

// Forget removes the stack, which must be empty, and keeps its configuration: the next Ensure creates it again.
func (e *Environment) Forget(ctx context.Context) error {
	if _, err := e.output(ctx, "stack", "rm", e.Stack, "--yes", "--preserve-config"); err != nil {
		return fmt.Errorf("remove stack %q: %w", e.Stack, err)
	}
	return nil
}

// Abandon removes the stack together with the resources in its state, which must not exist any more. It keeps the
// configuration, as Forget does.
func (e *Environment) Abandon(ctx context.Context) error {
	if _, err := e.output(ctx, "stack", "rm", e.Stack, "--yes", "--force", "--preserve-config"); err != nil {
		return fmt.Errorf("remove stack %q: %w", e.Stack, err)
	}
	return nil
}

// stackFile is where Pulumi keeps a stack's configuration.
func stackFile(folder, stack string) string { return filepath.Join(folder, "Pulumi."+stack+".yaml") }

// stateFile is where the file backend keeps the stack's checkpoint.
func (e *Environment) stateFile(project string) string {
	return filepath.Join(e.fileBackend(), ".pulumi", "stacks", project, e.Stack+".json")
}

// readSettings returns the plain settings of a stack file by their keys without the project's name; none without a
// file.
func readSettings(file, project string) (map[string]string, error) {
	raw, err := readRaw(file, project)
	if raw == nil || err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for key, value := range raw {
		settings[key] = fmt.Sprint(value)
		if at, ok := value.(time.Time); ok { // a time without quotes
			settings[key] = Stamp(at)
		}
	}
	return settings, nil
}

// readRaw returns the settings of a stack file undecoded, by their keys without the project's name.
func readRaw(file, project string) (map[string]any, error) {
	var stack struct {
		Config map[string]any `yaml:"config"`
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = yaml.Unmarshal(text, &stack)
	}
	if err != nil {
		return nil, fmt.Errorf("read the stack file %s: %w", file, err)
	}
	settings := map[string]any{}
	for key, value := range stack.Config {
		if name, ok := strings.CutPrefix(key, project+":"); ok {
			settings[name] = value
		}
	}
	return settings, nil
}

// rawSettings returns the configuration of the stack undecoded.
func (e *Environment) rawSettings() (map[string]any, error) {
	project, stacks, err := e.Folder.Project()
	if err != nil {
		return nil, err
	}
	return readRaw(stackFile(stacks, e.Stack), project)
}

// dropSalt removes the encryption salt from the file of a removed stack: it belongs to a passphrase that no longer
// exists, and with it Pulumi would reject the new one.
func dropSalt(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the stack file: %w", err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	kept := slices.DeleteFunc(slices.Clone(lines), func(l []byte) bool { return bytes.HasPrefix(l, []byte(saltKey)) })
	if len(kept) == len(lines) {
		return nil
	}
	return durable.OS.WriteFile(file, bytes.Join(kept, nil), 0o600)
}
