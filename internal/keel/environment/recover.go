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

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"evenkeel/internal/hint"
)

// Cloud is the part of the management API, of Azure or of the emulator, that an environment uses.
type Cloud interface {
	// Groups returns the resource groups that have all of the tags.
	Groups(ctx context.Context, tags map[string]string) ([]Tagged, error)
	// Group returns one group by its ARM id, and whether it exists.
	Group(ctx context.Context, id string) (Tagged, bool, error)
	// Resources returns the resources of a group.
	Resources(ctx context.Context, group string) ([]Tagged, error)
	// Delete deletes a resource or a group and waits until it is done. A missing one is not an error.
	Delete(ctx context.Context, id string) error
}

// Tagged is a resource or a resource group.
type Tagged struct {
	// ID is its ARM id.
	ID string
	// Tags have names in lower case, because Azure ignores their case.
	Tags map[string]string
}

// Tag returns the value of a tag, regardless of the case of its name; "" if it is absent.
func (t Tagged) Tag(name string) string { return t.Tags[strings.ToLower(name)] }

// Name is the last part of the id.
func (t Tagged) Name() string { return t.ID[strings.LastIndexByte(t.ID, '/')+1:] }

func (t Tagged) hasTags(want map[string]string) bool {
	for name, value := range want {
		if got, ok := t.Tags[strings.ToLower(name)]; !ok || got != value {
			return false
		}
	}
	return true
}

// Purpose is the tag on everything that the program creates.
var Purpose = map[string]string{"purpose": "evenkeel"}

// Tags returns the tags of the environment's own resource group. Recovery deletes only resources in a group with them.
func (e *Environment) Tags(ctx context.Context) (map[string]string, error) {
	origin, err := e.Origin(ctx)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{"stack": e.Stack, OriginKey: origin}
	maps.Copy(tags, Purpose)
	return tags, nil
}

// deployment is the part of a stack's exported state that keel reads.
type deployment struct {
	Resources []resource  `json:"resources"`
	Pending   []operation `json:"pending_operations"`
}

type resource struct {
	URN    string `json:"urn"`
	Type   string `json:"type"`
	ID     string `json:"id"`
	Custom bool   `json:"custom"`
	// Delete is true for a resource that was replaced and is still to be deleted.
	Delete bool `json:"delete"`
	// Inputs and Outputs are not decoded.
	Inputs  json.RawMessage `json:"inputs"`
	Outputs json.RawMessage `json:"outputs"`
}

// name is the name that the program gave to the resource.
func (r resource) name() string { return r.URN[strings.LastIndex(r.URN, "::")+2:] }

type operation struct {
	Resource resource `json:"resource"`
	Type     string   `json:"type"`
}

// Recover repairs what an interrupted Pulumi has left: the lock of a dead process, resources that are not in the state,
// and pending creates in the state. It looks for such resources only if the last operation did not succeed.
//
// An orphan is a resource that a pending create of the state names. Recover deletes it while Pulumi holds the stack's
// lock, so that no other process can be creating it, and reads the state again before each deletion. It asks the user
// about any other resource that is not in the state.
func (e *Environment) Recover(ctx context.Context, azure Cloud) error {
	stale, err := e.unlock()
	if err != nil {
		return err
	}
	return e.recover(ctx, azure, stale)
}

// recover is Recover after the removal of locks; stale reports whether there was a lock of a dead process.
func (e *Environment) recover(ctx context.Context, azure Cloud, stale bool) error {
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recover stack %q: %w", e.Stack, err)
	}
	if !stale && len(state.Pending) == 0 {
		well, err := e.lastUpdateSucceeded(ctx)
		if err != nil || well {
			return err
		}
	}
	if err := e.deleteOrphans(ctx, azure, state); err != nil {
		return fmt.Errorf("recover stack %q: %w", e.Stack, err)
	}
	if !slices.ContainsFunc(state.Pending, operation.isCreate) {
		return nil
	}
	if err := e.clearPending(ctx); err != nil {
		return err
	}
	return e.rereadReplaced(ctx, state.replaced())
}

// entries are the types of resources whose keys the provider generates.
var entries = []string{
	"azure-dps:index:IndividualEnrollment", "azure-dps:index:EnrollmentGroup", "azure-dps:index:EnrollmentSet",
}

// replaced returns the URNs of enrollments whose replacement was interrupted: the state has the resource and a pending
// create of it. The service may have the keys of the new one, and the state those of the old one.
func (d deployment) replaced() []string {
	var urns []string
	for _, pending := range d.Pending {
		urn := pending.Resource.URN
		isEntry := slices.Contains(entries, pending.Resource.Type)
		if pending.isCreate() && isEntry && slices.ContainsFunc(d.Resources,
			func(r resource) bool { return r.URN == urn }) {
			urns = append(urns, urn)
		}
	}
	return urns
}

// rereadReplaced makes Pulumi refresh these enrollments.
func (e *Environment) rereadReplaced(ctx context.Context, urns []string) error {
	if len(urns) == 0 {
		return nil
	}
	args := []string{"refresh", "--yes", "--skip-preview", "--stack", e.Stack, "--message",
		"keel: read what was being replaced"}
	for _, urn := range urns {
		args = append(args, "--target", urn)
	}
	if _, err := e.output(ctx, args...); err != nil {
		return hint.To(fmt.Errorf("refresh the enrollments that an interrupted run was replacing: %w", err),
			"run it yourself, then go on: keel exec -s %s -- pulumi refresh", e.Stack)
	}
	e.notice("refreshed the enrollments that an interrupted run was replacing")
	return nil
}

func (o operation) isCreate() bool { return o.Type == "creating" }

// clearPending makes Pulumi remove the pending creates from the state. It refreshes no resource: an up compares its
// inputs with the state, as always. (--import-pending-creates does not help: Pulumi 3.250 loses the creates that it
// should import.)
//
// Pulumi reads the state a moment before it takes the lock, and writes the edited one. Changes that another operation
// has written in that moment are lost. keel cannot prevent that, but it reports it from the history.
func (e *Environment) clearPending(ctx context.Context) error {
	before, err := e.newest(ctx)
	if err == nil {
		err = e.refresh(ctx, "keel: clear pending creates", func(ctx context.Context, _ *pulumirpc.RunRequest) error {
			after, err := e.newest(ctx)
			if err == nil && after != before {
				err = hint.To(
					errors.New(
						"another operation ended at the same moment, and its changes may be missing from the state"),
					"compare them: keel exec -s %[1]s -- pulumi stack history, and keel exec -s %[1]s -- pulumi "+
						"preview --refresh",
					e.Stack,
				)
			}
			return err
		}, "--exclude", "**", "--clear-pending-creates")
	}
	if err != nil {
		return fmt.Errorf("clear pending operations of stack %q: %w", e.Stack, err)
	}
	e.notice("cleared the pending creates that an interrupted run left in the state")
	return nil
}

// readState reads the checkpoint file of a file backend.
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

// lastUpdateSucceeded reports whether the newest entry of the stack's history is a success. A killed engine writes no
// entry, but leaves its lock; an interrupted or failed one writes its result.
func (e *Environment) lastUpdateSucceeded(ctx context.Context) (bool, error) {
	newest, err := e.newest(ctx)
	return newest == (update{}) || newest.Result == "succeeded", err
}

// update is an entry of a stack's history.
type update struct {
	Result string `json:"result"`
	// Start and Message distinguish it from others.
	Start   any    `json:"startTime"`
	Message string `json:"message"`
	// file is its file in a file backend.
	file string
}

// newest returns the newest entry of the stack's history, or the zero value for an empty history.
func (e *Environment) newest(ctx context.Context) (update, error) {
	if e.fileBackend() == "" {
		return e.newestFromPulumi(ctx)
	}
	project, _, err := e.Folder.Project()
	if err != nil {
		return update{}, err
	}
	folder := filepath.Join(e.fileBackend(), ".pulumi", "history", project, e.Stack)
	files, err := filepath.Glob(filepath.Join(escapeGlob(folder), "*.history.json"))
	if err != nil || len(files) == 0 {
		return update{}, err
	}
	newest := update{file: slices.Max(files)} // the names hold the time in nanoseconds
	text, err := os.ReadFile(newest.file)
	if err == nil {
		err = json.Unmarshal(text, &newest)
	}
	if err != nil { // Pulumi was killed while it wrote the file
		return update{file: newest.file}, nil
	}
	return newest, nil
}
