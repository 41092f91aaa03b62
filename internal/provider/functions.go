package provider

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/provider/entry"
)

// functions are the functions that programs can call. All but deriveDeviceKey call the service, in previews too.
func functions() []infer.InferredFunction {
	return []infer.InferredFunction{
		infer.Function(DeriveDeviceKey{}),
		infer.Function(entry.GetIndividualEnrollment{}),
		infer.Function(entry.GetEnrollmentGroup{}),
		infer.Function(GetRegistration{}),
		infer.Function(ListRegistrations{}),
	}
}

// DeriveDeviceKey derives the key of one device of a group. It sends no request.
type DeriveDeviceKey struct{}

// DeriveDeviceKeyArgs are the inputs of deriveDeviceKey.
type DeriveDeviceKeyArgs struct {
	GroupKey       string `pulumi:"groupKey" provider:"secret"`
	RegistrationID string `pulumi:"registrationId"`
}

// DeriveDeviceKeyResult is the result of deriveDeviceKey.
type DeriveDeviceKeyResult struct {
	DeviceKey string `pulumi:"deviceKey" provider:"secret"`
}

// Annotate describes the function in the schema.
func (f *DeriveDeviceKey) Annotate(an infer.Annotator) {
	an.SetToken("index", "deriveDeviceKey")
	an.Describe(f, "Derives the symmetric key of one device of an enrollment group: the HMAC-SHA256 of its "+
		"registration id under the group's key. It sends no request.")
}

// Annotate describes the inputs in the schema.
func (a *DeriveDeviceKeyArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.GroupKey, "Primary or secondary key of the enrollment group, base64.")
	an.Describe(&a.RegistrationID, "Registration id of the device, exactly as the device spells it when it registers.")
}

// Annotate describes the answer in the schema.
func (r *DeriveDeviceKeyResult) Annotate(an infer.Annotator) {
	an.Describe(&r.DeviceKey, "The device's key, base64.")
}

// Invoke derives the key (Azure documentation, "Symmetric key attestation").
func (DeriveDeviceKey) Invoke(_ context.Context, req infer.FunctionRequest[DeriveDeviceKeyArgs]) (
	infer.FunctionResponse[DeriveDeviceKeyResult], error) {
	var response infer.FunctionResponse[DeriveDeviceKeyResult]
	req.Input.GroupKey = enrollment.CleanKey(req.Input.GroupKey)
	faults := enrollment.CheckRegistrationID("registrationId", req.Input.RegistrationID)
	faults = append(faults, enrollment.CheckKey("groupKey", req.Input.GroupKey)...)
	if err := entry.JoinFaults(faults); err != nil {
		return response, fmt.Errorf("derive device key: %w", err)
	}
	key, err := sas.DeriveDeviceKey(req.Input.GroupKey, req.Input.RegistrationID)
	response.Output.DeviceKey = key
	return response, err
}
