package provider

import (
	"context"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
)

var (
	_ infer.CustomResource[EnrollmentGroupArgs, EnrollmentGroupState]       = EnrollmentGroup{}
	_ infer.CustomCheck[EnrollmentGroupArgs]                                = EnrollmentGroup{}
	_ infer.CustomDiff[EnrollmentGroupArgs, EnrollmentGroupState]           = EnrollmentGroup{}
	_ infer.CustomRead[EnrollmentGroupArgs, EnrollmentGroupState]           = EnrollmentGroup{}
	_ infer.CustomUpdate[EnrollmentGroupArgs, EnrollmentGroupState]         = EnrollmentGroup{}
	_ infer.CustomDelete[EnrollmentGroupState]                              = EnrollmentGroup{}
	_ infer.ExplicitDependencies[EnrollmentGroupArgs, EnrollmentGroupState] = EnrollmentGroup{}
)

// EnrollmentGroup lets every device register that proves to belong to the group.
type EnrollmentGroup struct{}

// EnrollmentGroupArgs are the inputs of an EnrollmentGroup.
type EnrollmentGroupArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId" provider:"replaceOnChanges"`
	Settings
	Cleanup
}

// EnrollmentGroupState is the state of an EnrollmentGroup.
type EnrollmentGroupState struct {
	EnrollmentGroupArgs
	Record
	Life
}

// Annotate describes the resource in the schema.
func (g *EnrollmentGroup) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentGroup")
	an.Describe(g, "Lets every device register that proves to belong to the group, by a key derived from the group's or by a certificate that the group's signed.\n\n"+
		"Import it by `{service host}/enrollmentGroups/{enrollmentGroupId}`.")
}

// Annotate describes the properties in the schema.
func (a *EnrollmentGroupArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID, "Id of the group: up to 128 letters, digits and `-._:`, ending in a letter, a digit or `-`; letter case has no meaning. Another id replaces the group.")
}

func (a EnrollmentGroupArgs) declared() declared {
	return declared{ID: a.EnrollmentGroupID, Settings: a.Settings, Cleanup: a.Cleanup}
}

func groupArgs(d declared) EnrollmentGroupArgs {
	return EnrollmentGroupArgs{EnrollmentGroupID: d.ID, Settings: d.Settings, Cleanup: d.Cleanup}
}

func (s EnrollmentGroupState) held() held { return held{s.declared(), s.Record, s.Life} }

func groupState(h held) EnrollmentGroupState {
	return EnrollmentGroupState{groupArgs(h.declared), h.Record, h.Life}
}

// Create makes the group, or takes over the one that this resource made before.
func (EnrollmentGroup) Create(ctx context.Context, req infer.CreateRequest[EnrollmentGroupArgs]) (infer.CreateResponse[EnrollmentGroupState], error) {
	var response infer.CreateResponse[EnrollmentGroupState]
	if req.DryRun {
		response.Output = groupState(preview(ctx, req.Inputs.declared(), held{}))
		return response, nil
	}
	l, err := begin(ctx, groupsName)
	if err != nil {
		return response, err
	}
	made, err := l.create(ctx, req.Inputs.declared())
	if made.ID != "" { // perhaps made only, as err then says
		response.ID, response.Output = resourceID(l.host, groupsName, made.ID), groupState(made)
	}
	return response, err
}

// WireDependencies leaves it to previews to say which outputs they know.
func (EnrollmentGroup) WireDependencies(f infer.FieldSelector, _ *EnrollmentGroupArgs, state *EnrollmentGroupState) {
	wire(f, &state.Record, &state.Life)
}

// Update sends the whole entry on condition that nobody changed it since the state was written.
func (EnrollmentGroup) Update(ctx context.Context, req infer.UpdateRequest[EnrollmentGroupArgs, EnrollmentGroupState]) (infer.UpdateResponse[EnrollmentGroupState], error) {
	var response infer.UpdateResponse[EnrollmentGroupState]
	if req.DryRun {
		response.Output = groupState(preview(ctx, req.Inputs.declared(), req.State.held()))
		return response, nil
	}
	l, err := begin(ctx, groupsName)
	if err != nil {
		return response, err
	}
	if _, err := l.own(req.ID); err != nil {
		return response, err
	}
	updated, err := l.update(ctx, req.Inputs.declared(), req.State.held())
	response.Output = groupState(updated)
	return response, err
}

// Read refreshes the group or reads it for an import. It returns no id only when the service says that there is none.
func (EnrollmentGroup) Read(ctx context.Context, req infer.ReadRequest[EnrollmentGroupArgs, EnrollmentGroupState]) (infer.ReadResponse[EnrollmentGroupArgs, EnrollmentGroupState], error) {
	var response infer.ReadResponse[EnrollmentGroupArgs, EnrollmentGroupState]
	l, err := begin(ctx, groupsName)
	if err != nil {
		return response, err
	}
	id, err := l.own(req.ID)
	if err != nil {
		return response, err
	}
	found, exists, err := l.read(ctx, id, req.Inputs.declared(), req.State.held())
	if err != nil || !exists {
		return response, err
	}
	if response.ID = req.ID; req.State.Etag == "" { // an import: the id is spelled as the service spells it
		response.ID = resourceID(l.host, groupsName, found.ID)
	}
	response.Inputs, response.State = groupArgs(found.declared), groupState(found)
	return response, nil
}

// Check reports every fault of the inputs at once.
func (EnrollmentGroup) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[EnrollmentGroupArgs], error) {
	args, failures, err := infer.DefaultCheck[EnrollmentGroupArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[EnrollmentGroupArgs]{}, err
	}
	args.cleanKeys()
	faults := enrollment.CheckGroupID("enrollmentGroupId", args.EnrollmentGroupID)
	faults = append(faults, declareOne(ctx, "enrollmentGroupId", groupsName, args.EnrollmentGroupID)...)
	faults = append(faults, faultsOf(args.EnrollmentGroupID, args.Settings, true, time.Now())...)
	return infer.CheckResponse[EnrollmentGroupArgs]{Inputs: args, Failures: withFaults(failures, req.NewInputs, faults)}, nil
}

// Delete removes the group, unless another resource has it by now; one that is gone already is no error. The registration records of its devices stay unless it is told otherwise.
func (EnrollmentGroup) Delete(ctx context.Context, req infer.DeleteRequest[EnrollmentGroupState]) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, deleteEntry(ctx, groupsName, req.ID, req.State.held(), req.State.forgetsRegistrations(ctx))
}

// Diff compares the inputs with what the service holds, as the state knows it.
func (EnrollmentGroup) Diff(ctx context.Context, req infer.DiffRequest[EnrollmentGroupArgs, EnrollmentGroupState]) (infer.DiffResponse, error) {
	return diff(ctx, groupsName, "enrollmentGroupId", req.Inputs.declared(), req.State.held()), nil
}
