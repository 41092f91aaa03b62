package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// ListRegistrations counts the devices of a group that have registered.
func ListRegistrations(ctx *pulumi.Context) error {
	found, err := azuredps.ListRegistrations(ctx, &azuredps.ListRegistrationsArgs{EnrollmentGroupId: "presses"})
	if err != nil {
		return err
	}
	ctx.Export("registered", pulumi.Int(len(found.Registrations)))
	return nil
}
