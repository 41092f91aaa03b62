package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

// Registration is the record that the service keeps of a device's registration.
//
// Source: DeviceRegistrationState of the service API 2021-10-01.
type Registration struct {
	RegistrationID         string  `pulumi:"registrationId"`
	Status                 string  `pulumi:"status"`
	Substatus              *string `pulumi:"substatus,optional"`
	AssignedHub            *string `pulumi:"assignedHub,optional"`
	DeviceID               *string `pulumi:"deviceId,optional"`
	ErrorCode              *int    `pulumi:"errorCode,optional"`
	ErrorMessage           *string `pulumi:"errorMessage,optional"`
	Etag                   *string `pulumi:"etag,optional"`
	CreatedDateTimeUtc     *string `pulumi:"createdDateTimeUtc,optional"`
	LastUpdatedDateTimeUtc *string `pulumi:"lastUpdatedDateTimeUtc,optional"`
}

// Annotate describes the type in the schema.
func (r *Registration) Annotate(an infer.Annotator) {
	an.SetToken("index", "Registration")
	an.Describe(r, "The record that the service keeps of a device's registration. A property is absent where the "+
		"service did not return it.")
	an.Describe(&r.RegistrationID, "Id under which the device registered.")
	an.Describe(&r.Status, "`unassigned`, `assigning`, `assigned`, `failed` or `disabled`.")
	an.Describe(&r.Substatus,
		"How the device was assigned to its hub: `initialAssignment`, `deviceDataMigrated`, `deviceDataReset` or "+
			"`reprovisionedToInitialAssignment`.")
	an.Describe(&r.AssignedHub, "Host name of the hub that the device is assigned to.")
	an.Describe(&r.DeviceID, "Id of the device at that hub.")
	an.Describe(&r.ErrorCode, "Error code of the service, for the status `failed`.")
	an.Describe(&r.ErrorMessage, "Error message of the service.")
	an.Describe(&r.Etag, "Etag of this version of the record.")
	an.Describe(&r.CreatedDateTimeUtc, "When the device first registered, in UTC.")
	an.Describe(&r.LastUpdatedDateTimeUtc, "When the record last changed, in UTC.")
}

func registrationOf(r dpsservice.Registration) Registration {
	registration := Registration{
		RegistrationID: r.RegistrationID, Status: r.Status, Substatus: optional(r.Substatus),
		AssignedHub: optional(r.AssignedHub),
		DeviceID:    optional(r.DeviceID), ErrorMessage: optional(r.ErrorMessage), Etag: optional(r.Etag),
		CreatedDateTimeUtc: optional(r.CreatedDateTimeUtc), LastUpdatedDateTimeUtc: optional(r.LastUpdatedDateTimeUtc),
	}
	if r.ErrorCode != 0 {
		registration.ErrorCode = &r.ErrorCode
	}
	return registration
}

// optional returns nil for an empty text.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// GetRegistration reads the record of one device's registration.
type GetRegistration struct{}

// GetRegistrationArgs are the inputs of getRegistration.
type GetRegistrationArgs struct {
	RegistrationID string `pulumi:"registrationId"`
}

// GetRegistrationResult is the result of getRegistration.
type GetRegistrationResult struct {
	Exists       bool          `pulumi:"exists"`
	Registration *Registration `pulumi:"registration,optional"`
}

// Annotate describes the function in the schema.
func (f *GetRegistration) Annotate(an infer.Annotator) {
	an.SetToken("index", "getRegistration")
	an.Describe(f, "Reads the record of one device's registration from the configured provisioning service.")
}

// Annotate describes the inputs in the schema.
func (a *GetRegistrationArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID, "Registration id of the device.")
}

// Annotate describes the answer in the schema.
func (r *GetRegistrationResult) Annotate(an infer.Annotator) {
	an.Describe(&r.Exists,
		"Whether the record exists. A device that has not registered yet has no record, which is not an error.")
	an.Describe(&r.Registration, "The record; absent when it does not exist.")
}

// Invoke reads the record. Only the service's own not-found answer counts as absence.
func (GetRegistration) Invoke(ctx context.Context,
	req infer.FunctionRequest[GetRegistrationArgs]) (infer.FunctionResponse[GetRegistrationResult], error) {
	var response infer.FunctionResponse[GetRegistrationResult]
	id := req.Input.RegistrationID
	if err := entry.JoinFaults(enrollment.CheckRegistrationID("registrationId", id)); err != nil {
		return response, fmt.Errorf("read registration %q: %w", id, err)
	}
	config := infer.GetConfig[*Config](ctx)
	client, err := config.service()
	if err != nil {
		return response, err
	}
	found, err := client.Registration(ctx, id)
	if errors.Is(err, dpsservice.ErrNotFound) {
		return response, nil
	}
	if err != nil {
		return response, fmt.Errorf("read registration %q: %w%s", id, err, config.advice(err))
	}
	record := registrationOf(found)
	response.Output = GetRegistrationResult{Exists: true, Registration: &record}
	return response, nil
}

// ListRegistrations lists the registration records of a group's devices.
type ListRegistrations struct{}

// ListRegistrationsArgs are the inputs of listRegistrations.
type ListRegistrationsArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId"`
}

// ListRegistrationsResult is the result of listRegistrations.
type ListRegistrationsResult struct {
	Registrations []Registration `pulumi:"registrations"`
}

// Annotate describes the function in the schema.
func (f *ListRegistrations) Annotate(an infer.Annotator) {
	an.SetToken("index", "listRegistrations")
	an.Describe(f, "Lists the registration records of the devices of an enrollment group, all pages of them. The "+
		"records outlive the group, "+
		"so an unknown group has no records, which is not an error.")
}

// Annotate describes the inputs in the schema.
func (a *ListRegistrationsArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID, "Id of the enrollment group.")
}

// Annotate describes the answer in the schema.
func (r *ListRegistrationsResult) Annotate(an infer.Annotator) {
	an.Describe(&r.Registrations, "The records, in the service's order.")
}

// Invoke reads every page.
func (ListRegistrations) Invoke(ctx context.Context,
	req infer.FunctionRequest[ListRegistrationsArgs]) (infer.FunctionResponse[ListRegistrationsResult], error) {
	response := infer.FunctionResponse[ListRegistrationsResult]{
		Output: ListRegistrationsResult{Registrations: []Registration{}}}
	id := req.Input.EnrollmentGroupID
	if err := entry.JoinFaults(enrollment.CheckGroupID("enrollmentGroupId", id)); err != nil {
		return response, fmt.Errorf("list registrations of group %q: %w", id, err)
	}
	config := infer.GetConfig[*Config](ctx)
	client, err := config.service()
	if err != nil {
		return response, err
	}
	for record, err := range client.Registrations(ctx, id, 0) {
		if err != nil {
			return response, fmt.Errorf("list registrations of group %q: %w%s", id, err, config.advice(err))
		}
		response.Output.Registrations = append(response.Output.Registrations, registrationOf(record))
	}
	return response, nil
}
