package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// EnrollmentSet lets in every device of a file, one a line, with settings that they share.
func EnrollmentSet(ctx *pulumi.Context) error {
	_, err := azuredps.NewEnrollmentSet(ctx, "sensors", &azuredps.EnrollmentSetArgs{
		Manifest: pulumi.NewFileAsset("sensors.csv"), // its first line: registrationId,deviceId,tags
		IdPrefix: pulumi.String(ctx.Stack() + "-"),   // stacks that share a service keep apart
		Defaults: azuredps.EnrollmentSetDefaultsArgs{
			AllocationPolicy: azuredps.AllocationPolicyHashed,
		},
		DeleteRegistrations: pulumi.Bool(true),
	})
	return err
}
