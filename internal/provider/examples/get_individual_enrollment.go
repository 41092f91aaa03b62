package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// GetIndividualEnrollment reads an enrollment that is declared elsewhere.
func GetIndividualEnrollment(ctx *pulumi.Context) error {
	press, err := azuredps.LookupIndividualEnrollment(ctx,
		&azuredps.LookupIndividualEnrollmentArgs{RegistrationId: "press-7"})
	if err != nil {
		return err
	}
	ctx.Export("hubs", pulumi.ToStringArray(press.IotHubs))
	return nil
}
