package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// LinkedHub links a hub of this stack to a provisioning service that another stack owns.
func LinkedHub(ctx *pulumi.Context) error {
	key, err := azuredps.NewSharedAccessKey(ctx, "hub-1-link", nil) // the hub's policy "link" has both keys
	if err != nil {
		return err
	}
	_, err = azuredps.NewLinkedHub(ctx, "hub-1", &azuredps.LinkedHubArgs{
		ProvisioningServiceId: pulumi.String(
			"/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/factory" +
				"/providers/Microsoft.Devices/provisioningServices/factory-dps"),
		HubHostName:      pulumi.String("hub-1.azure-devices.net"),
		Location:         pulumi.String("westeurope"),
		PolicyName:       pulumi.String("link"),
		Key:              key.ActiveKey,
		AllocationWeight: pulumi.Int(3),
	})
	return err
}
