package target

import (
	"fmt"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

// keepLinks returns the option with which the engine asks the program before it updates the provisioning service, in previews too. An
// update sends a list of links or, for all that is known of Azure, may drop what it does not send; so the links are read just before.
func keepLinks(ctx *pulumi.Context, t *topology.Topology, questions pulumi.InvokeOption) (pulumi.ResourceOption, error) {
	if t.DropLinks || t.Existing != nil {
		return pulumi.Composite(t.KeepsLinks()), nil
	}
	hook, err := ctx.RegisterResourceHook("keep-links", func(update *pulumi.ResourceHookArgs) error {
		// A service whose making was interrupted has an id in the state, and no outputs.
		_, group, name := topology.ServiceID(string(update.ID))
		if name == "" {
			return fmt.Errorf("the state of %s does not tell its resource id: run `pulumi refresh`", update.Name)
		}
		found, err := devices.LookupIotDpsResource(ctx, &devices.LookupIotDpsResourceArgs{ResourceGroupName: group, ProvisioningServiceName: name}, questions)
		if err != nil {
			return fmt.Errorf("look for links of others before an update: %w", err)
		}
		return t.CheckLinks(update.OldInputs, update.NewInputs, found.Properties.IotHubs)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register the check of links: %w", err)
	}
	return pulumi.Composite(t.KeepsLinks(), pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}})), nil
}
