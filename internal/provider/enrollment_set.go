package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"

	"evenkeel/internal/enrollment"
	"evenkeel/internal/sas"
)

var (
	_ infer.CustomResource[EnrollmentSetArgs, EnrollmentSetState] = EnrollmentSet{}
	_ infer.CustomCheck[EnrollmentSetArgs]                        = EnrollmentSet{}
	_ infer.CustomDiff[EnrollmentSetArgs, EnrollmentSetState]     = EnrollmentSet{}
	_ infer.CustomRead[EnrollmentSetArgs, EnrollmentSetState]     = EnrollmentSet{}
	_ infer.CustomUpdate[EnrollmentSetArgs, EnrollmentSetState]   = EnrollmentSet{}
	_ infer.CustomDelete[EnrollmentSetState]                      = EnrollmentSet{}

	_ infer.ExplicitDependencies[EnrollmentSetArgs, EnrollmentSetState] = EnrollmentSet{}
)

// setsName stands in the ids of sets where a collection stands in those of entries.
const setsName = "enrollmentSets"

// EnrollmentSet is many individual enrollments as one resource.
type EnrollmentSet struct{}

// EnrollmentSetArgs are the inputs of an EnrollmentSet.
type EnrollmentSetArgs struct {
	Items        []SetItem             `pulumi:"items,optional"`
	Manifest     *types.AssetOrArchive `pulumi:"manifest,optional"`
	ManifestText *string               `pulumi:"manifestText,optional" provider:"secret"`
	Defaults     *SetDefaults          `pulumi:"defaults,optional"`
}

// EnrollmentSetState is the state of an EnrollmentSet.
type EnrollmentSetState struct {
	EnrollmentSetArgs
	ServiceHost string            `pulumi:"serviceHost"`
	Devices     map[string]string `pulumi:"devices"`
	DigestKey   string            `pulumi:"digestKey" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (s *EnrollmentSet) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSet")
	an.Describe(s, "Many individual enrollments as one resource, from a list or from a manifest.\n\n"+
		"Import it by `{service host}/enrollments/{registrationId},{registrationId},…` or `{service host}/enrollments/{prefix}*`.")
}

// Annotate describes the properties in the schema.
func (a *EnrollmentSetArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.Items, "The enrollments. Instead of a manifest.")
	an.Describe(&a.Manifest, "A file of enrollments: a JSON array of items, or CSV whose first line names the items' properties (lists separated by spaces, objects as JSON). "+
		"The state keeps the file's hash alone, so it has to be a file, not text or a remote address.")
	an.Describe(&a.ManifestText, "A manifest as text, such as a secret of the stack's configuration.")
	an.Describe(&a.Defaults, "Settings of every enrollment that does not say otherwise.")
}

// Annotate describes the properties in the schema.
func (s *EnrollmentSetState) Annotate(an infer.Annotator) {
	an.Describe(&s.ServiceHost, "Host name of the provisioning service that holds the enrollments.")
	an.Describe(&s.Devices, "For each registration id, the enrollment's etag and keyed digests of its settings, keys and webhook.")
	an.Describe(&s.DigestKey, "The key of those digests. It opens nothing.")
}

func (a EnrollmentSetArgs) defaults() SetDefaults {
	if a.Defaults == nil {
		return SetDefaults{}
	}
	return *a.Defaults
}

// errElided says that an asset came without its path: the engine hands only hashes to Diff.
var errElided = errors.New("the manifest's path is not told")

type manifestsKey struct{}

// withManifests gives operations the rows of manifests that Check read in this process, by the hashes of the assets.
func withManifests(ctx context.Context, manifests *sync.Map) context.Context {
	return context.WithValue(ctx, manifestsKey{}, manifests)
}

func manifestsFrom(ctx context.Context) *sync.Map {
	if manifests, ok := ctx.Value(manifestsKey{}).(*sync.Map); ok {
		return manifests
	}
	return &sync.Map{}
}

// rows returns the items, wherever they come from, and the property that they come from.
func (a EnrollmentSetArgs) rows(ctx context.Context) (path string, items []SetItem, err error) {
	switch {
	case a.ManifestText != nil:
		items, err = readManifest([]byte(*a.ManifestText))
		return "manifestText", items, err
	case a.Manifest != nil:
		if asset := a.Manifest.Asset; asset != nil && asset.Path == "" && asset.Text == "" && asset.URI == "" {
			items, known := manifestsFrom(ctx).Load(asset.Hash)
			if !known {
				return "manifest", nil, errElided
			}
			return "manifest", items.([]SetItem), nil
		}
		if a.Manifest.Asset == nil || a.Manifest.Asset.Path == "" {
			return "manifest", nil, errors.New("the manifest has to be a file asset: give text as manifestText, and download what is remote")
		}
		content, err := a.Manifest.Asset.Bytes()
		if err != nil {
			return "manifest", nil, fmt.Errorf("read the manifest: %w", err)
		}
		if items, err = readManifest(content); err == nil {
			manifestsFrom(ctx).Store(a.Manifest.Asset.Hash, items)
		}
		return "manifest", items, err
	}
	return "items", a.Items, nil
}

func (a EnrollmentSetArgs) wanted(ctx context.Context) (path string, want []declared, err error) {
	path, items, err := a.rows(ctx)
	defaults := a.defaults()
	want = make([]declared, len(items))
	for i, item := range items {
		want[i] = item.declared(defaults)
	}
	return path, want, err
}

// Create makes the enrollments. When some fail, the others are kept and the next update goes on.
func (EnrollmentSet) Create(ctx context.Context, req infer.CreateRequest[EnrollmentSetArgs]) (infer.CreateResponse[EnrollmentSetState], error) {
	response := infer.CreateResponse[EnrollmentSetState]{Output: EnrollmentSetState{EnrollmentSetArgs: req.Inputs}}
	if req.DryRun {
		response.Output.ServiceHost, response.Output.Devices = infer.GetConfig[*Config](ctx).host(), map[string]string{}
		return response, nil
	}
	_, want, err := req.Inputs.wanted(ctx)
	if err != nil {
		return response, err
	}
	s := &response.Output
	if s.DigestKey, err = sas.NewKey(nil); err != nil {
		return response, err
	}
	run, err := beginSet(ctx, s.DigestKey, nil)
	if err != nil {
		return response, err
	}
	err = run.apply(ctx, setPlan{added: want})
	if s.ServiceHost, s.Devices = run.host, run.devices; err != nil && len(run.devices) == 0 {
		return response, fmt.Errorf("create enrollments: %s", strings.Join(run.failures[:min(len(run.failures), maxReasons)], "; "))
	}
	response.ID = resourceID(run.host, setsName, run.name)
	return response, err
}

// WireDependencies leaves it to previews to say which outputs they know: they leave the others empty, and markUnknown says so.
func (EnrollmentSet) WireDependencies(f infer.FieldSelector, _ *EnrollmentSetArgs, state *EnrollmentSetState) {
	f.OutputField(&state.ServiceHost).AlwaysKnown()
	f.OutputField(&state.Devices).AlwaysKnown()
	f.OutputField(&state.DigestKey).AlwaysKnown()
}

// Update adds, changes and removes the enrollments that differ.
func (EnrollmentSet) Update(ctx context.Context, req infer.UpdateRequest[EnrollmentSetArgs, EnrollmentSetState]) (infer.UpdateResponse[EnrollmentSetState], error) {
	response := infer.UpdateResponse[EnrollmentSetState]{Output: req.State}
	response.Output.EnrollmentSetArgs = req.Inputs
	if req.DryRun {
		response.Output.Devices = map[string]string{}
		return response, nil
	}
	_, want, err := req.Inputs.wanted(ctx)
	if err != nil {
		return response, err
	}
	run, err := beginOwnSet(ctx, req.ID, req.State)
	if err != nil {
		return response, err
	}
	err = run.apply(ctx, planSet(want, run.devices, run.digester))
	response.Output.Devices = run.devices
	return response, err
}

// beginOwnSet begins an operation on an existing set.
func beginOwnSet(ctx context.Context, id string, state EnrollmentSetState) (*setRun, error) {
	run, err := beginSet(ctx, state.DigestKey, state.Devices)
	if err != nil {
		return nil, err
	}
	host, _, err := parseID(id, setsName)
	if err == nil && host != run.host {
		err = fmt.Errorf("%s lies at %s, but the provider is configured for %s", id, host, run.host)
	}
	return run, err
}

// Delete removes the enrollments; those that are gone already are no error.
func (EnrollmentSet) Delete(ctx context.Context, req infer.DeleteRequest[EnrollmentSetState]) (infer.DeleteResponse, error) {
	run, err := beginOwnSet(ctx, req.ID, req.State)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	if err := run.apply(ctx, setPlan{removed: slices.Sorted(maps.Keys(req.State.Devices))}); err != nil {
		return infer.DeleteResponse{}, fmt.Errorf("delete enrollments: %s", strings.Join(run.failures[:min(len(run.failures), maxReasons)], "; "))
	}
	return infer.DeleteResponse{}, nil
}

// Diff compares each enrollment with what the service holds, as the state knows it.
func (EnrollmentSet) Diff(ctx context.Context, req infer.DiffRequest[EnrollmentSetArgs, EnrollmentSetState]) (infer.DiffResponse, error) {
	response := infer.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	if host := infer.GetConfig[*Config](ctx).host(); host != "" && !strings.EqualFold(host, req.State.ServiceHost) {
		response.DetailedDiff["serviceHost"] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
	}
	if !isPartlyUnknown(ctx) {
		path, want, err := req.Inputs.wanted(ctx)
		if errors.Is(err, errElided) { // a refresh, which has no Check before: the hash has to do
			return elidedDiff(req, response), nil
		}
		if err != nil {
			return response, err
		}
		digests, err := newDigester(req.State.DigestKey)
		if err != nil {
			return response, err
		}
		if plan := planSet(want, req.State.Devices, digests); !plan.isEmpty() {
			response.DetailedDiff[path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
			if len(plan.changed) > 0 && !reflect.DeepEqual(req.Inputs.defaults(), req.State.defaults()) {
				response.DetailedDiff["defaults"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
			}
			p.GetLogger(ctx).Info(plan.String())
		}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	return response, nil
}

func elidedDiff(req infer.DiffRequest[EnrollmentSetArgs, EnrollmentSetState], response infer.DiffResponse) infer.DiffResponse {
	if old := req.State.Manifest; old == nil || old.Asset == nil || old.Asset.Hash != req.Inputs.Manifest.Asset.Hash {
		response.DetailedDiff["manifest"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	return response
}

// Read refreshes the records of the set, or reads the enrollments to import.
func (EnrollmentSet) Read(ctx context.Context, req infer.ReadRequest[EnrollmentSetArgs, EnrollmentSetState]) (infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState], error) {
	if req.State.DigestKey == "" {
		return importSet(ctx, req.ID)
	}
	response := infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState](req)
	run, err := beginOwnSet(ctx, req.ID, req.State)
	if err != nil {
		return response, err
	}
	if err := run.refresh(ctx); err != nil {
		return response, err
	}
	response.State.Devices = run.devices
	return response, nil
}

// Check reports every fault of the inputs at once, those of a manifest by their rows.
func (EnrollmentSet) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[EnrollmentSetArgs], error) {
	args, failures, err := infer.DefaultCheck[EnrollmentSetArgs](ctx, req.NewInputs)
	if err != nil || len(failures) > 0 {
		return infer.CheckResponse[EnrollmentSetArgs]{Inputs: args, Failures: failures}, err
	}
	given := 0
	for _, name := range []string{"items", "manifest", "manifestText"} {
		value, exists := req.NewInputs.GetOk(name)
		if exists && !value.IsNull() {
			given++
		}
		if value.HasComputed() {
			return infer.CheckResponse[EnrollmentSetArgs]{Inputs: args}, nil
		}
	}
	var faults []enrollment.Fault
	if given != 1 {
		faults = append(faults, enrollment.Fault{Path: "items", Message: "set exactly one of items, manifest and manifestText"})
	} else if !req.NewInputs.Get("defaults").HasComputed() {
		faults = setFaults(ctx, args, time.Now())
	}
	return infer.CheckResponse[EnrollmentSetArgs]{Inputs: args, Failures: checkFailures(req.NewInputs, faults)}, nil
}
