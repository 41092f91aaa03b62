package entry

import (
	"context"
	"errors"
	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// GetIndividualEnrollment reads an individual enrollment that need not be a resource of the stack.
type GetIndividualEnrollment struct{}

// GetIndividualEnrollmentArgs are the inputs of getIndividualEnrollment.
type GetIndividualEnrollmentArgs struct {
	RegistrationID string `pulumi:"registrationId"`
}

// GetIndividualEnrollmentResult is the result of getIndividualEnrollment.
type GetIndividualEnrollmentResult struct {
	IndividualEnrollmentState
}

// Annotate describes the function in the schema.
func (f *GetIndividualEnrollment) Annotate(an infer.Annotator) {
	an.SetToken("index", "getIndividualEnrollment")
	an.Describe(f, "Reads an individual enrollment, with its keys, from the configured provisioning service. "+
		"Certificates are returned as their thumbprints. "+
		"It fails when the entry does not exist.")
}

// Annotate describes the inputs in the schema.
func (a *GetIndividualEnrollmentArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.RegistrationID, "Id of the enrollment.")
}

// Invoke reads the enrollment.
func (GetIndividualEnrollment) Invoke(ctx context.Context,
	req infer.FunctionRequest[GetIndividualEnrollmentArgs]) (infer.FunctionResponse[GetIndividualEnrollmentResult],
	error) {
	var response infer.FunctionResponse[GetIndividualEnrollmentResult]
	found, err := look(ctx, Individual, req.Input.RegistrationID)
	response.Output.IndividualEnrollmentState = IndividualEnrollmentState{}.of(found)
	return response, err
}

// GetEnrollmentGroup reads an enrollment group that need not be a resource of the stack.
type GetEnrollmentGroup struct{}

// GetEnrollmentGroupArgs are the inputs of getEnrollmentGroup.
type GetEnrollmentGroupArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId"`
}

// GetEnrollmentGroupResult is the result of getEnrollmentGroup.
type GetEnrollmentGroupResult struct {
	EnrollmentGroupState
}

// Annotate describes the function in the schema.
func (f *GetEnrollmentGroup) Annotate(an infer.Annotator) {
	an.SetToken("index", "getEnrollmentGroup")
	an.Describe(f, "Reads an enrollment group, with its keys, from the configured provisioning service. Certificates "+
		"are returned as their thumbprints. "+
		"It fails when the entry does not exist.")
}

// Annotate describes the inputs in the schema.
func (a *GetEnrollmentGroupArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID, "Id of the enrollment group.")
}

// Invoke reads the group.
func (GetEnrollmentGroup) Invoke(ctx context.Context,
	req infer.FunctionRequest[GetEnrollmentGroupArgs]) (infer.FunctionResponse[GetEnrollmentGroupResult], error) {
	var response infer.FunctionResponse[GetEnrollmentGroupResult]
	found, err := look(ctx, Group, req.Input.EnrollmentGroupID)
	response.Output.EnrollmentGroupState = EnrollmentGroupState{}.of(found)
	return response, err
}

// look reads an entry for a function.
func look(ctx context.Context, k Kind, id string) (Held, error) {
	if err := JoinFaults(k.checkID(k.idName, id)); err != nil {
		return Held{}, fmt.Errorf("read enrollment %q: %w", id, err)
	}
	l, err := Begin(ctx, k)
	if err != nil {
		return Held{}, err
	}
	found, exists, err := l.read(ctx, id, Declared{}, Held{})
	if err == nil && !exists {
		err = l.Failure("read", id, fmt.Errorf("%s has no entry with this id in %s: %w", l.Host, k.collection,
			dpsservice.ErrNotFound))
	}
	return found, err
}

// JoinFaults joins all faults in one error, nil without faults.
func JoinFaults(faults []enrollment.Fault) error {
	all := make([]error, len(faults))
	for i, fault := range faults {
		all[i] = fault
	}
	return errors.Join(all...)
}
