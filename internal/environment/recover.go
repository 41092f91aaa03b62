package environment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Cloud is what an environment needs of Azure's management API, or of the emulator's.
type Cloud interface {
	// Groups returns the resource groups that carry all of the tags.
	Groups(ctx context.Context, tags map[string]string) ([]Tagged, error)
	// Group returns one group by its ARM id, and whether it is there.
	Group(ctx context.Context, id string) (Tagged, bool, error)
	// Resources returns the resources of a group.
	Resources(ctx context.Context, group string) ([]Tagged, error)
	// Delete removes a resource or a group and waits for its end. What is absent is no error.
	Delete(ctx context.Context, id string) error
}

// Tagged is a resource or a resource group.
type Tagged struct {
	// ID is its ARM id.
	ID string
	// Tags have names in lower case, because Azure compares them so.
	Tags map[string]string
}

// Tag returns the value of a tag, whatever the case of its name; "" when it is absent.
func (t Tagged) Tag(name string) string { return t.Tags[strings.ToLower(name)] }

// Name is the last part of the id.
func (t Tagged) Name() string { return t.ID[strings.LastIndexByte(t.ID, '/')+1:] }

func (t Tagged) carries(want map[string]string) bool {
	for name, value := range want {
		if got, ok := t.Tags[strings.ToLower(name)]; !ok || got != value {
			return false
		}
	}
	return true
}

// Purpose is the tag on everything that the program makes, whoever runs it.
var Purpose = map[string]string{"purpose": "evenkeel"}

// Tags are the tags of the environment's own resource group; only what lies in a group with them is ever deleted by recovery.
func (e *Environment) Tags(ctx context.Context) (map[string]string, error) {
	origin, err := e.Origin(ctx)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{"stack": e.Stack, OriginKey: origin}
	maps.Copy(tags, Purpose)
	return tags, nil
}

// deployment is the part of a stack's exported state that recovery looks at.
type deployment struct {
	Resources []resource  `json:"resources"`
	Pending   []operation `json:"pending_operations"`
}

type resource struct {
	URN    string `json:"urn"`
	Type   string `json:"type"`
	ID     string `json:"id"`
	Custom bool   `json:"custom"`
	// Inputs and Outputs are kept as they are.
	Inputs  json.RawMessage `json:"inputs"`
	Outputs json.RawMessage `json:"outputs"`
}

type operation struct {
	Resource resource `json:"resource"`
	Type     string   `json:"type"`
}

// Recover mends what an interrupted Pulumi has left: a lock of a dead process, resources that were created though the state never
// heard of them, and pending creates in the state. It looks for such resources only when the last operation did not end well.
func (e *Environment) Recover(ctx context.Context, azure Cloud) error {
	stale, err := e.unlock()
	if err != nil {
		return err
	}
	return e.recover(ctx, azure, stale)
}

// recover does what comes after the locks; stale says that there was one of a dead process.
func (e *Environment) recover(ctx context.Context, azure Cloud, stale bool) error {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover stack %q: %w", e.Stack, err)
	}
	if !stale && len(state.Pending) == 0 {
		well, err := e.endedWell(ctx)
		if err != nil || well {
			return err
		}
	}
	if err := e.probeLock(ctx); err != nil { // before anything is deleted that somebody may just be making
		return err
	}
	if err := e.deleteOrphans(ctx, azure, state); err != nil {
		return fmt.Errorf("recover stack %q: %w", e.Stack, err)
	}
	if slices.ContainsFunc(state.Pending, operation.creating) {
		return e.clearPending(ctx)
	}
	return nil
}

func (o operation) creating() bool { return o.Type == "creating" }

// deleteOrphans deletes what lies in the environment's own resource groups but not in the state. What carries the environment's tags the
// program has made, in a run that was interrupted; about anything else the user is asked.
func (e *Environment) deleteOrphans(ctx context.Context, azure Cloud, state deployment) error {
	groups, err := e.ownGroups(ctx, azure)
	if err != nil {
		return err
	}
	for _, group := range groups {
		made, strangers, err := e.unknown(ctx, azure, group, state)
		if err != nil {
			return err
		}
		agreed, err := len(strangers) == 0, error(nil)
		if !agreed {
			if agreed, err = e.consent(strangers); err != nil {
				return err
			}
		}
		switch {
		case agreed && !state.knows(group.ID):
			made = []Tagged{group}
		case agreed:
			made = append(made, strangers...)
		default:
			e.notice("left alone in resource group %s, though stack %s does not know it: %s", group.Name(), e.Stack, namesOf(strangers))
		}
		for _, orphan := range made {
			if err := azure.Delete(ctx, orphan.ID); err != nil {
				return fmt.Errorf("delete %s, which the stack does not know: %w", orphan.ID, err)
			}
			e.notice("deleted %s, which the stack did not know", orphan.ID)
		}
	}
	return nil
}

// clearPending takes the pending creates out of the state; everything else stays as it is, byte for byte where JSON allows.
func (e *Environment) clearPending(ctx context.Context) error {
	text, err := e.output(ctx, "stack", "export")
	if err != nil {
		return fmt.Errorf("export stack %q: %w", e.Stack, err)
	}
	text, count, err := withoutPendingCreates(text)
	if err != nil {
		return fmt.Errorf("clear pending operations of stack %q: %w", e.Stack, err)
	}
	if err := e.importState(ctx, text); err != nil {
		return fmt.Errorf("clear pending operations of stack %q: %w", e.Stack, err)
	}
	e.notice("cleared %d pending creates that an interrupted run has left in the state", count)
	return nil
}

// importState makes an edited export the stack's state.
func (e *Environment) importState(ctx context.Context, text []byte) error {
	if err := os.MkdirAll(e.Folder.PulumiHome(), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(e.Folder.PulumiHome(), "state-*.json") // 0600; secrets in it are encrypted
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	take := func() error {
		_, err := e.output(ctx, "stack", "import", "--file", file.Name())
		return err
	}
	broken, err := e.breakLock(ctx, take())
	if broken {
		err = take()
	}
	if err != nil {
		return fmt.Errorf("import the state: %w", err)
	}
	return nil
}

// withoutPendingCreates edits an exported deployment. Values are kept as raw text, so that no number is rounded.
func withoutPendingCreates(text []byte) (edited []byte, cleared int, err error) {
	var outer, inner map[string]json.RawMessage
	var pending, kept []json.RawMessage
	if err := errors.Join(json.Unmarshal(text, &outer), json.Unmarshal(outer["deployment"], &inner)); err != nil {
		return nil, 0, err
	}
	if raw := inner["pending_operations"]; raw != nil {
		if err := json.Unmarshal(raw, &pending); err != nil {
			return nil, 0, err
		}
	}
	for _, raw := range pending {
		var o operation
		if err := json.Unmarshal(raw, &o); err != nil {
			return nil, 0, err
		}
		if !o.creating() {
			kept = append(kept, raw)
		}
	}
	delete(inner, "pending_operations")
	if len(kept) > 0 {
		if inner["pending_operations"], err = json.Marshal(kept); err != nil {
			return nil, 0, err
		}
	}
	if outer["deployment"], err = json.Marshal(inner); err != nil {
		return nil, 0, err
	}
	edited, err = json.Marshal(outer)
	return edited, len(pending) - len(kept), err
}

// readState reads the checkpoint of the file backend, as it lies on disk.
func readState(file string) (deployment, error) {
	var state struct {
		Checkpoint struct {
			Latest *deployment `json:"latest"`
		} `json:"checkpoint"`
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.NewDecoder(bytes.NewReader(text)).Decode(&state)
	}
	if err != nil {
		return deployment{}, fmt.Errorf("read the state: %w", err)
	}
	if state.Checkpoint.Latest == nil {
		return deployment{}, nil
	}
	return *state.Checkpoint.Latest, nil
}

// endedWell reports whether the newest entry of the stack's history is a success. A killed engine writes none at all, but leaves its
// lock; one that was interrupted or failed writes its result.
func (e *Environment) endedWell(ctx context.Context) (bool, error) {
	backend := e.fileBackend()
	if backend == "" {
		return e.lastSucceeded(ctx)
	}
	project, _, err := e.Folder.Project()
	if err != nil {
		return false, err
	}
	folder := filepath.Join(backend, ".pulumi", "history", project, e.Stack)
	files, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*.history.json"))
	if err != nil || len(files) == 0 {
		return true, err
	}
	var update struct {
		Result string `json:"result"`
	}
	text, err := os.ReadFile(slices.Max(files)) // the names hold the time in nanoseconds
	return err == nil && json.Unmarshal(text, &update) == nil && update.Result == "succeeded", nil
}
