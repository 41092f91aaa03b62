package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// IndividualEnrollment enrolls one device, with keys that the provider generates, and sets its initial twin.
func IndividualEnrollment(ctx *pulumi.Context) error {
	press, err := azuredps.NewIndividualEnrollment(ctx, "press-7", &azuredps.IndividualEnrollmentArgs{
		RegistrationId:   pulumi.String("press-7"),
		AllocationPolicy: azuredps.AllocationPolicyStatic,
		IotHubs:          pulumi.StringArray{pulumi.String("hub-1.azure-devices.net")},
		InitialTwin: azuredps.InitialTwinArgs{
			Tags:              pulumi.Map{"hall": pulumi.String("B")},
			DesiredProperties: pulumi.Map{"interval": pulumi.Int(30)},
		},
	})
	if err != nil {
		return err
	}
	ctx.Export("press-7-key", press.PrimaryKey) // a secret
	return nil
}
