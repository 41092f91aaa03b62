package entry

import "github.com/pulumi/pulumi-go-provider/infer"

var (
	_ infer.CustomResource[IndividualEnrollmentArgs, IndividualEnrollmentState]       = IndividualEnrollment{}
	_ infer.CustomCheck[IndividualEnrollmentArgs]                                     = IndividualEnrollment{}
	_ infer.CustomDiff[IndividualEnrollmentArgs, IndividualEnrollmentState]           = IndividualEnrollment{}
	_ infer.CustomRead[IndividualEnrollmentArgs, IndividualEnrollmentState]           = IndividualEnrollment{}
	_ infer.CustomUpdate[IndividualEnrollmentArgs, IndividualEnrollmentState]         = IndividualEnrollment{}
	_ infer.CustomDelete[IndividualEnrollmentState]                                   = IndividualEnrollment{}
	_ infer.ExplicitDependencies[IndividualEnrollmentArgs, IndividualEnrollmentState] = IndividualEnrollment{}
)

// IndividualEnrollment allows one device to register.
type IndividualEnrollment struct {
	base[IndividualEnrollmentArgs, IndividualEnrollmentState]
}

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
	an.Describe(e, "Allows one device to register with the provisioning service.\n\n"+
		"Import it by `{service host}/enrollments/{registrationId}`.")
}

// Annotate describes the properties in the schema.
func (a *IndividualEnrollmentArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID,
		"Id under which the device registers: up to 128 letters, digits and `-._:`, ending in a letter, a digit or "+
			"`-`; letter case has no meaning. Another id replaces the enrollment.")
	an.Describe(&a.DeviceID,
		"Id of the device at its hub: up to 128 letters, digits and `-:.+%_#*?!(),=@$'`. Left out, the registration id.")
	an.Describe(&a.OptionalDeviceInformation,
		"Information about the device, any JSON object, for people and tools: the service does not use it.")
}

func (IndividualEnrollmentArgs) kind() Kind { return Individual }

func (a IndividualEnrollmentArgs) declared() Declared {
	return Declared{
		ID: a.RegistrationID, DeviceID: a.DeviceID, DeviceInformation: a.OptionalDeviceInformation,
		Settings: a.Settings, Cleanup: a.Cleanup,
	}
}

func (IndividualEnrollmentArgs) of(d Declared) IndividualEnrollmentArgs {
	return IndividualEnrollmentArgs{
		RegistrationID: d.ID, DeviceID: d.DeviceID, OptionalDeviceInformation: d.DeviceInformation,
		Settings: d.Settings, Cleanup: d.Cleanup,
	}
}

func (s IndividualEnrollmentState) held() Held { return Held{s.declared(), s.Record, s.Life} }

func (IndividualEnrollmentState) of(h Held) IndividualEnrollmentState {
	return IndividualEnrollmentState{IndividualEnrollmentArgs{}.of(h.Declared), h.Record, h.Life}
}
