package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// GetRegistration returns which hub a device was assigned to, once it has registered.
func GetRegistration(ctx *pulumi.Context) error {
	press, err := azuredps.GetRegistration(ctx, &azuredps.GetRegistrationArgs{RegistrationId: "press-7"})
	if err != nil {
		return err
	}
	if press.Exists && press.Registration.AssignedHub != nil {
		ctx.Export("hub", pulumi.String(*press.Registration.AssignedHub))
	}
	return nil
}
