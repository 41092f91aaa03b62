package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// GetEnrollmentGroup reads a group that is declared elsewhere.
func GetEnrollmentGroup(ctx *pulumi.Context) error {
	presses, err := azuredps.LookupEnrollmentGroup(ctx,
		&azuredps.LookupEnrollmentGroupArgs{EnrollmentGroupId: "presses"})
	if err != nil {
		return err
	}
	ctx.Export("etag", pulumi.String(presses.Etag))
	return nil
}
