package provider

import (
	"context"
	"errors"
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
)

// functions are what programs can ask for. All but deriveDeviceKey ask the service, in previews too.
func functions() []infer.InferredFunction {
	return []infer.InferredFunction{
		infer.Function(DeriveDeviceKey{}),
		infer.Function(GetIndividualEnrollment{}),
		infer.Function(GetEnrollmentGroup{}),
		infer.Function(GetRegistration{}),
		infer.Function(ListRegistrations{}),
	}
}

// invokeWithSecrets marks the secrets of an answer at any depth: infer marks those at its top alone.
func invokeWithSecrets(served p.Provider) func(context.Context, p.InvokeRequest) (p.InvokeResponse, error) {
	return func(ctx context.Context, req p.InvokeRequest) (p.InvokeResponse, error) {
		response, err := served.Invoke(ctx, req)
		response.Return = markSecrets(response.Return)
		return response, err
	}
}

// DeriveDeviceKey derives the key of one device of a group. It asks nobody.
type DeriveDeviceKey struct{}

// DeriveDeviceKeyArgs are the inputs of deriveDeviceKey.
type DeriveDeviceKeyArgs struct {
	GroupKey       string `pulumi:"groupKey" provider:"secret"`
	RegistrationID string `pulumi:"registrationId"`
}

// DeriveDeviceKeyResult is the answer of deriveDeviceKey.
type DeriveDeviceKeyResult struct {
	DeviceKey string `pulumi:"deviceKey" provider:"secret"`
}

// Annotate describes the function in the schema.
func (f *DeriveDeviceKey) Annotate(an infer.Annotator) {
	an.SetToken("index", "deriveDeviceKey")
	an.Describe(f, "Derives the symmetric key that one device of an enrollment group signs with: HMAC-SHA256 of its registration id under the group's key. It asks no service.")
}

// Annotate describes the inputs in the schema.
func (a *DeriveDeviceKeyArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.GroupKey, "Primary or secondary key of the enrollment group, base64.")
	an.Describe(&a.RegistrationID, "Registration id of the device, in exactly the spelling that the device registers with.")
}

// Annotate describes the answer in the schema.
func (r *DeriveDeviceKeyResult) Annotate(an infer.Annotator) {
	an.Describe(&r.DeviceKey, "The device's key, base64.")
}

// Invoke derives the key (Azure documentation, "Symmetric key attestation").
func (DeriveDeviceKey) Invoke(_ context.Context, req infer.FunctionRequest[DeriveDeviceKeyArgs]) (infer.FunctionResponse[DeriveDeviceKeyResult], error) {
	var response infer.FunctionResponse[DeriveDeviceKeyResult]
	req.Input.GroupKey = enrollment.CleanKey(req.Input.GroupKey)
	faults := enrollment.CheckRegistrationID("registrationId", req.Input.RegistrationID)
	faults = append(faults, enrollment.CheckKey("groupKey", req.Input.GroupKey)...)
	if err := joined(faults); err != nil {
		return response, fmt.Errorf("derive device key: %w", err)
	}
	key, err := sas.DeriveDeviceKey(req.Input.GroupKey, req.Input.RegistrationID)
	response.Output.DeviceKey = key
	return response, err
}

// joined makes one error of all faults; nil of none.
func joined(faults []enrollment.Fault) error {
	all := make([]error, len(faults))
	for i, fault := range faults {
		all[i] = fault
	}
	return errors.Join(all...)
}

// GetIndividualEnrollment reads an individual enrollment that need not be a resource of the stack.
type GetIndividualEnrollment struct{}

// GetIndividualEnrollmentArgs are the inputs of getIndividualEnrollment.
type GetIndividualEnrollmentArgs struct {
	RegistrationID string `pulumi:"registrationId"`
}

// GetIndividualEnrollmentResult is the answer of getIndividualEnrollment.
type GetIndividualEnrollmentResult struct {
	IndividualEnrollmentState
}

// Annotate describes the function in the schema.
func (f *GetIndividualEnrollment) Annotate(an infer.Annotator) {
	an.SetToken("index", "getIndividualEnrollment")
	an.Describe(f, "Reads an individual enrollment, with its keys, from the configured provisioning service. Certificates are told by their thumbprints. "+
		"It fails when there is none.")
}

// Annotate describes the inputs in the schema.
func (a *GetIndividualEnrollmentArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID, "Id of the enrollment.")
}

// Invoke reads the enrollment.
func (GetIndividualEnrollment) Invoke(ctx context.Context, req infer.FunctionRequest[GetIndividualEnrollmentArgs]) (infer.FunctionResponse[GetIndividualEnrollmentResult], error) {
	var response infer.FunctionResponse[GetIndividualEnrollmentResult]
	found, err := look(ctx, individual, req.Input.RegistrationID)
	response.Output.IndividualEnrollmentState = IndividualEnrollmentState{}.of(found)
	return response, err
}

// GetEnrollmentGroup reads an enrollment group that need not be a resource of the stack.
type GetEnrollmentGroup struct{}

// GetEnrollmentGroupArgs are the inputs of getEnrollmentGroup.
type GetEnrollmentGroupArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId"`
}

// GetEnrollmentGroupResult is the answer of getEnrollmentGroup.
type GetEnrollmentGroupResult struct {
	EnrollmentGroupState
}

// Annotate describes the function in the schema.
func (f *GetEnrollmentGroup) Annotate(an infer.Annotator) {
	an.SetToken("index", "getEnrollmentGroup")
	an.Describe(f, "Reads an enrollment group, with its keys, from the configured provisioning service. Certificates are told by their thumbprints. "+
		"It fails when there is none.")
}

// Annotate describes the inputs in the schema.
func (a *GetEnrollmentGroupArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID, "Id of the enrollment group.")
}

// Invoke reads the group.
func (GetEnrollmentGroup) Invoke(ctx context.Context, req infer.FunctionRequest[GetEnrollmentGroupArgs]) (infer.FunctionResponse[GetEnrollmentGroupResult], error) {
	var response infer.FunctionResponse[GetEnrollmentGroupResult]
	found, err := look(ctx, group, req.Input.EnrollmentGroupID)
	response.Output.EnrollmentGroupState = EnrollmentGroupState{}.of(found)
	return response, err
}

// look reads an entry for a function.
func look(ctx context.Context, k kind, id string) (held, error) {
	if err := joined(k.checkID(k.idName, id)); err != nil {
		return held{}, fmt.Errorf("read enrollment %q: %w", id, err)
	}
	l, err := begin(ctx, k)
	if err != nil {
		return held{}, err
	}
	found, exists, err := l.read(ctx, id, declared{}, held{})
	if err == nil && !exists {
		err = l.failure("read", id, fmt.Errorf("%s holds none of that id in %s: %w", l.host, k.collection, dpsservice.ErrNotFound))
	}
	return found, err
}
