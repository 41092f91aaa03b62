package examples

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

// SharedAccessKey generates the keys of a policy. Raise the rotation by one to move all clients to the other key.
func SharedAccessKey(ctx *pulumi.Context) error {
	key, err := azuredps.NewSharedAccessKey(ctx, "hub-1-link", &azuredps.SharedAccessKeyArgs{
		Rotation: pulumi.Int(1),
	})
	if err != nil {
		return err
	}
	// Declare PrimaryKey and SecondaryKey on the policy, and let clients sign with ActiveKey.
	ctx.Export("connectionString", pulumi.Sprintf(
		"HostName=hub-1.azure-devices.net;SharedAccessKeyName=link;SharedAccessKey=%s", key.ActiveKey))
	return nil
}
