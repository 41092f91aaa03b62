package provider

import (
	"context"
	"time"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
)

var (
	_ infer.CustomResource[IndividualEnrollmentArgs, IndividualEnrollmentState]       = IndividualEnrollment{}
	_ infer.CustomCheck[IndividualEnrollmentArgs]                                     = IndividualEnrollment{}
	_ infer.CustomDiff[IndividualEnrollmentArgs, IndividualEnrollmentState]           = IndividualEnrollment{}
	_ infer.CustomRead[IndividualEnrollmentArgs, IndividualEnrollmentState]           = IndividualEnrollment{}
	_ infer.CustomUpdate[IndividualEnrollmentArgs, IndividualEnrollmentState]         = IndividualEnrollment{}
	_ infer.CustomDelete[IndividualEnrollmentState]                                   = IndividualEnrollment{}
	_ infer.ExplicitDependencies[IndividualEnrollmentArgs, IndividualEnrollmentState] = IndividualEnrollment{}
)

// IndividualEnrollment lets one device register.
type IndividualEnrollment struct{}

// IndividualEnrollmentArgs are the inputs of an IndividualEnrollment.
type IndividualEnrollmentArgs struct {
	RegistrationID            string         `pulumi:"registrationId" provider:"replaceOnChanges"`
	DeviceID                  *string        `pulumi:"deviceId,optional"`
	OptionalDeviceInformation map[string]any `pulumi:"optionalDeviceInformation,optional"`
	Settings
	Cleanup
}

// IndividualEnrollmentState is the state of an IndividualEnrollment.
type IndividualEnrollmentState struct {
	IndividualEnrollmentArgs
	Record
	Life
}

// Annotate describes the resource in the schema.
func (e *IndividualEnrollment) Annotate(an infer.Annotator) {
	an.SetToken("index", "IndividualEnrollment")
	an.Describe(e, "Lets one device register with the provisioning service.\n\n"+
		"Import it by `{service host}/enrollments/{registrationId}`.")
}

// Annotate describes the properties in the schema.
func (a *IndividualEnrollmentArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID, "Id under which the device registers: up to 128 letters, digits and `-._:`, ending in a letter, a digit or `-`; letter case has no meaning. Another id replaces the enrollment.")
	an.Describe(&a.DeviceID, "Id of the device at its hub: up to 128 letters, digits and `-:.+%_#*?!(),=@$'`. Left out, the registration id.")
	an.Describe(&a.OptionalDeviceInformation, "Information about the device, any JSON object, for people and tools: the service does not use it.")
}

func (a IndividualEnrollmentArgs) declared() declared {
	return declared{ID: a.RegistrationID, DeviceID: a.DeviceID, DeviceInformation: a.OptionalDeviceInformation, Settings: a.Settings, Cleanup: a.Cleanup}
}

func individualArgs(d declared) IndividualEnrollmentArgs {
	return IndividualEnrollmentArgs{RegistrationID: d.ID, DeviceID: d.DeviceID, OptionalDeviceInformation: d.DeviceInformation, Settings: d.Settings, Cleanup: d.Cleanup}
}

func (s IndividualEnrollmentState) held() held { return held{s.declared(), s.Record, s.Life} }

func individualState(h held) IndividualEnrollmentState {
	return IndividualEnrollmentState{individualArgs(h.declared), h.Record, h.Life}
}

// Create makes the enrollment, or takes over the one that this resource made before.
func (IndividualEnrollment) Create(ctx context.Context, req infer.CreateRequest[IndividualEnrollmentArgs]) (infer.CreateResponse[IndividualEnrollmentState], error) {
	var response infer.CreateResponse[IndividualEnrollmentState]
	if req.DryRun {
		response.Output = individualState(preview(ctx, req.Inputs.declared(), held{}))
		return response, nil
	}
	l, err := begin(ctx, individualsName)
	if err != nil {
		return response, err
	}
	made, err := l.create(ctx, req.Inputs.declared())
	if made.ID != "" { // perhaps made only, as err then says
		response.ID, response.Output = resourceID(l.host, individualsName, made.ID), individualState(made)
	}
	return response, err
}

// WireDependencies leaves it to previews to say which outputs they know.
func (IndividualEnrollment) WireDependencies(f infer.FieldSelector, _ *IndividualEnrollmentArgs, state *IndividualEnrollmentState) {
	wire(f, &state.Record, &state.Life)
}

// Update sends the whole entry on condition that nobody changed it since the state was written.
func (IndividualEnrollment) Update(ctx context.Context, req infer.UpdateRequest[IndividualEnrollmentArgs, IndividualEnrollmentState]) (infer.UpdateResponse[IndividualEnrollmentState], error) {
	var response infer.UpdateResponse[IndividualEnrollmentState]
	if req.DryRun {
		response.Output = individualState(preview(ctx, req.Inputs.declared(), req.State.held()))
		return response, nil
	}
	l, err := begin(ctx, individualsName)
	if err != nil {
		return response, err
	}
	if _, err := l.own(req.ID); err != nil {
		return response, err
	}
	updated, err := l.update(ctx, req.Inputs.declared(), req.State.held())
	response.Output = individualState(updated)
	return response, err
}

// Read refreshes the enrollment or reads it for an import. It returns no id only when the service says that there is none.
func (IndividualEnrollment) Read(ctx context.Context, req infer.ReadRequest[IndividualEnrollmentArgs, IndividualEnrollmentState]) (infer.ReadResponse[IndividualEnrollmentArgs, IndividualEnrollmentState], error) {
	var response infer.ReadResponse[IndividualEnrollmentArgs, IndividualEnrollmentState]
	l, err := begin(ctx, individualsName)
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
		response.ID = resourceID(l.host, individualsName, found.ID)
	}
	response.Inputs, response.State = individualArgs(found.declared), individualState(found)
	return response, nil
}

// Check reports every fault of the inputs at once.
func (IndividualEnrollment) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[IndividualEnrollmentArgs], error) {
	args, failures, err := infer.DefaultCheck[IndividualEnrollmentArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[IndividualEnrollmentArgs]{}, err
	}
	args.cleanKeys()
	faults := enrollment.CheckRegistrationID("registrationId", args.RegistrationID)
	if args.DeviceID != nil {
		faults = append(faults, enrollment.CheckDeviceID("deviceId", *args.DeviceID)...)
	}
	faults = append(faults, declareOne(ctx, "registrationId", individualsName, args.RegistrationID)...)
	faults = append(faults, faultsOf(args.RegistrationID, args.Settings, false, time.Now())...)
	return infer.CheckResponse[IndividualEnrollmentArgs]{Inputs: args, Failures: withFaults(failures, req.NewInputs, faults)}, nil
}

// Delete removes the enrollment, unless another resource has it by now; one that is gone already is no error.
func (IndividualEnrollment) Delete(ctx context.Context, req infer.DeleteRequest[IndividualEnrollmentState]) (infer.DeleteResponse, error) {
	return infer.DeleteResponse{}, deleteEntry(ctx, individualsName, req.ID, req.State.held(), req.State.forgetsRegistrations(ctx))
}

// Diff compares the inputs with what the service holds, as the state knows it.
func (IndividualEnrollment) Diff(ctx context.Context, req infer.DiffRequest[IndividualEnrollmentArgs, IndividualEnrollmentState]) (infer.DiffResponse, error) {
	return diff(ctx, individualsName, "registrationId", req.Inputs.declared(), req.State.held()), nil
}
