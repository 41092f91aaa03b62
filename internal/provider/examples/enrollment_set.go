package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// EnrollmentSet enrolls the devices of a file, one a line, with shared settings.
func EnrollmentSet(ctx *pulumi.Context) error {
	_, err := azuredps.NewEnrollmentSet(ctx, "sensors", &azuredps.EnrollmentSetArgs{
		Manifest: pulumi.NewFileAsset("sensors.csv"), // its first line: registrationId,deviceId,tags
		IdPrefix: pulumi.String(ctx.Stack() + "-"),   // stacks that share a service need different ids
		Defaults: azuredps.EnrollmentSetDefaultsArgs{
			AllocationPolicy: azuredps.AllocationPolicyHashed,
		},
		DeleteRegistrations: pulumi.Bool(true),
	})
	return err
}
