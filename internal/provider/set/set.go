package set

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"

	"evenkeel/internal/azure/sas"
	"evenkeel/internal/provider/entry"
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

// collectionName is the counterpart in ids of sets to the collection in ids of entries.
const collectionName = "enrollmentSets"

// EnrollmentSet is many individual enrollments as one resource.
type EnrollmentSet struct{}

// EnrollmentSetArgs are the inputs of an EnrollmentSet.
type EnrollmentSetArgs struct {
	Items        []Item                `pulumi:"items,optional"`
	Manifest     *types.AssetOrArchive `pulumi:"manifest,optional"`
	ManifestText *string               `pulumi:"manifestText,optional" provider:"secret"`
	Defaults     *Defaults             `pulumi:"defaults,optional"`
	IDPrefix     *string               `pulumi:"idPrefix,optional"`
	entry.Cleanup
}

// EnrollmentSetState is the state of an EnrollmentSet.
type EnrollmentSetState struct {
	EnrollmentSetArgs
	ServiceHost string            `pulumi:"serviceHost"`
	Devices     map[string]string `pulumi:"devices"`
	Drifted     map[string]string `pulumi:"drifted,optional"`
	DigestKey   string            `pulumi:"digestKey" provider:"secret"`
}

// Annotate describes the resource in the schema.
func (s *EnrollmentSet) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSet")
	an.Describe(s, "Many individual enrollments as one resource, from a list or from a manifest.\n\n"+
		"Import it by `{service host}/enrollments/{registrationId},{registrationId},…` or `{service "+
		"host}/enrollments/{prefix}*`, which write inline items, or by the path of a manifest that lists the "+
		"enrollments: `{service host}/enrollmentSets/@{path}`.")
}

// Annotate describes the properties in the schema.
func (a *EnrollmentSetArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.Items, "The enrollments, instead of a manifest.")
	an.Describe(&a.Manifest,
		"A file of enrollments: a JSON array of items, or CSV whose first line names the items' properties (lists "+
			"separated by spaces, objects as JSON). "+
			"The state keeps only the file's hash, so it must be a file, not text or a remote address.")
	an.Describe(&a.ManifestText, "A manifest as text, such as a secret of the stack's configuration.")
	an.Describe(&a.Defaults, "Settings of every enrollment whose item does not set them.")
	an.Describe(&a.IDPrefix,
		"Prefix of every item's registration id, such as the name of the stack and a hyphen where stacks share a "+
			"provisioning service. "+
			"A device registers with the whole id, which is also the common name of its certificate. Another prefix "+
			"deletes every enrollment and creates it again.")
}

// Annotate describes the properties in the schema.
func (s *EnrollmentSetState) Annotate(an infer.Annotator) {
	an.Describe(&s.ServiceHost, "Host name of the provisioning service that holds the enrollments.")
	an.Describe(&s.Devices,
		"For each registration id, the enrollment's etag, its kind of attestation, and keyed digests of its "+
			"settings, keys and webhook.")
	an.Describe(&s.Drifted,
		"For each enrollment that a refresh found changed or deleted, its value in `devices` when it was last "+
			"declared. An update clears it.")
	an.Describe(&s.DigestKey, "The key of those digests. It gives no access to anything.")
}

func (a EnrollmentSetArgs) defaults() Defaults {
	if a.Defaults == nil {
		return Defaults{}
	}
	return *a.Defaults
}

func (a EnrollmentSetArgs) wanted(ctx context.Context) (path string, want []entry.Declared, err error) {
	path, items, err := a.rows(ctx)
	defaults, prefix := a.defaults(), entry.Text(a.IDPrefix)
	want = make([]entry.Declared, len(items))
	for i, item := range items {
		want[i] = item.declared(defaults)
		want[i].ID = prefix + item.RegistrationID
	}
	return path, want, err
}

// index returns the positions of inline items by their whole registration ids in lower case.
func (a EnrollmentSetArgs) index() map[string]int {
	index := make(map[string]int, len(a.Items))
	for i, item := range a.Items {
		index[a.idOf(item)] = i
	}
	return index
}

// idOf returns the whole registration id of an inline item, in lower case.
func (a EnrollmentSetArgs) idOf(item Item) string {
	return strings.ToLower(entry.Text(a.IDPrefix) + item.RegistrationID)
}

// Create creates the enrollments. When some fail, the others are kept and the next update continues.
func (EnrollmentSet) Create(ctx context.Context, req infer.CreateRequest[EnrollmentSetArgs]) (
	infer.CreateResponse[EnrollmentSetState], error) {
	response := infer.CreateResponse[EnrollmentSetState]{Output: EnrollmentSetState{EnrollmentSetArgs: req.Inputs}}
	if req.DryRun {
		response.Output.ServiceHost, response.Output.Devices = entry.Connect(ctx).Host, map[string]string{}
		return response, req.Inputs.announce(ctx)
	}
	_, want, err := req.Inputs.wanted(ctx)
	if err != nil {
		return response, err
	}
	s := &response.Output
	if s.DigestKey, err = sas.NewKey(nil); err != nil {
		return response, err
	}
	run, err := begin(ctx, s.DigestKey, nil)
	if err != nil {
		return response, err
	}
	run.knows(want)
	if err := run.refuseUnkeyed(ctx, want); err != nil {
		return response, err
	}
	err = run.apply(ctx, plan{added: want})
	if s.ServiceHost, s.Devices = run.Host, run.devices; err != nil && len(run.devices) == 0 {
		return response, run.total("create", err)
	}
	response.ID = entry.ResourceID(run.Host, collectionName, run.Name)
	return response, err
}

// announce logs how many enrollments a creation will create, when that is known. Later previews log it with the diff.
func (a EnrollmentSetArgs) announce(ctx context.Context) error {
	if entry.IsPartlyUnknown(ctx) {
		return nil
	}
	_, want, err := a.wanted(ctx)
	if err == nil && len(want) > 0 {
		p.GetLogger(ctx).Info(plan{added: want}.String())
	}
	return err
}

// WireDependencies marks outputs as known in previews, which leave unknown ones empty for markUnknown.
func (EnrollmentSet) WireDependencies(f infer.FieldSelector, _ *EnrollmentSetArgs, state *EnrollmentSetState) {
	f.OutputField(&state.ServiceHost).AlwaysKnown()
	f.OutputField(&state.Devices).AlwaysKnown()
	f.OutputField(&state.Drifted).AlwaysKnown()
	f.OutputField(&state.DigestKey).AlwaysKnown()
}

// Update adds, changes and removes the enrollments that differ.
func (EnrollmentSet) Update(ctx context.Context, req infer.UpdateRequest[EnrollmentSetArgs,
	EnrollmentSetState]) (infer.UpdateResponse[EnrollmentSetState], error) {
	response := infer.UpdateResponse[EnrollmentSetState]{Output: req.State}
	response.Output.EnrollmentSetArgs, response.Output.Drifted = req.Inputs, nil
	if req.DryRun {
		response.Output.Devices = map[string]string{}
		return response, nil
	}
	_, want, err := req.Inputs.wanted(ctx)
	if err != nil {
		return response, err
	}
	run, err := beginOwn(ctx, req.ID, req.State)
	if err != nil {
		return response, err
	}
	run.knows(want)
	run.dropsRecords = entry.IsOn(req.Inputs.DeleteRegistrations)
	run.devices = withQueries(ctx, run.devices, req.Inputs, run.digester)
	if err := run.settle(ctx, lacksEtag); err != nil {
		return response, err
	}
	err = run.apply(ctx, planFor(want, run.devices, run.digester))
	response.Output.Devices = run.devices
	return response, err
}

// beginOwn begins an operation on an existing set.
func beginOwn(ctx context.Context, id string, state EnrollmentSetState) (*run, error) {
	run, err := begin(ctx, state.DigestKey, state.Devices)
	if err != nil {
		return nil, err
	}
	host, err := hostOf(id)
	if err == nil {
		err = run.requireHost(id, host)
	}
	return run, err
}

// requireHost refuses a set at another service than the provider's.
func (r *run) requireHost(id, host string) error {
	if host != r.Host {
		return fmt.Errorf("%s is at %s, but the provider is configured for %s", id, host, r.Host)
	}
	return nil
}

// Delete deletes the enrollments except those that another resource owns by now. Enrollments that do not exist are not
// an error.
func (EnrollmentSet) Delete(ctx context.Context, req infer.DeleteRequest[EnrollmentSetState]) (infer.DeleteResponse,
	error) {
	run, err := beginOwn(ctx, req.ID, req.State)
	if err != nil {
		return infer.DeleteResponse{}, err
	}
	run.knows(nil)
	run.dropsRecords = req.State.ForgetsRegistrations(ctx)
	// An enrollment that was never confirmed may have another owner.
	if err := run.settle(ctx, isUnanswered); err != nil {
		return infer.DeleteResponse{}, err
	}
	if err := run.apply(ctx, plan{removed: slices.Sorted(maps.Keys(run.devices))}); err != nil {
		return infer.DeleteResponse{}, run.total("delete", err)
	}
	return infer.DeleteResponse{}, nil
}

// Read refreshes the records of the set, or reads the enrollments to import. Inline items are changed to what the
// service holds.
func (EnrollmentSet) Read(ctx context.Context, req infer.ReadRequest[EnrollmentSetArgs,
	EnrollmentSetState]) (infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState], error) {
	if host, path, is := manifestOf(req.ID); is && req.State.DigestKey == "" {
		return importManifest(ctx, req.ID, host, path)
	}
	if req.State.DigestKey == "" {
		return importEnrollments(ctx, req.ID)
	}
	response := infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState](req)
	run, err := beginOwn(ctx, req.ID, req.State)
	if err != nil {
		return response, err
	}
	run.knows(nil)
	items, index := slices.Clone(req.Inputs.Items), req.Inputs.index()
	if err := run.refresh(ctx, func(found entry.Held) {
		if i, inline := index[strings.ToLower(found.ID)]; inline {
			items[i].adopt(req.Inputs.defaults(), found)
		}
	}); err != nil {
		return response, err
	}
	s := &response.State
	s.Devices, s.Drifted = run.devices, drift(req.State.Devices, req.State.Drifted, run.devices)
	if len(s.Drifted) > 0 {
		p.GetLogger(ctx).Info("enrollments: " + counted("differ from their declaration",
			slices.Sorted(maps.Keys(s.Drifted))))
	}
	items = slices.DeleteFunc(items, func(item Item) bool {
		_, exists := run.spelled[req.Inputs.idOf(item)]
		return !exists
	})
	response.Inputs.Items, s.Items = items, items
	return response, nil
}
