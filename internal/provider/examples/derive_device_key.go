package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// DeriveDeviceKey derives the key of one device of a group.
func DeriveDeviceKey(ctx *pulumi.Context, group *azuredps.EnrollmentGroup) error {
	derived := azuredps.DeriveDeviceKeyOutput(ctx, azuredps.DeriveDeviceKeyOutputArgs{
		GroupKey:       group.PrimaryKey.Elem(),
		RegistrationId: pulumi.String("press-7"),
	})
	ctx.Export("press-7-key", derived.DeviceKey()) // a secret
	return nil
}
