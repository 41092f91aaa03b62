package target

import (
	"fmt"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

// keepLinks returns the option that checks the links of the provisioning service before an update, in previews too. An
// update sends the whole list of links, and Azure may drop the links that it does not send, so the check reads them
// just before.
func keepLinks(ctx *pulumi.Context, t *topology.Topology, questions pulumi.InvokeOption) (pulumi.ResourceOption,
	error) {
	if t.DropLinks || t.Existing != nil {
		return pulumi.Composite(t.KeepsLinks()), nil
	}
	hook, err := ctx.RegisterResourceHook("keep-links", func(update *pulumi.ResourceHookArgs) error {
		// A service whose creation was interrupted has an id in the state, but no outputs.
		_, group, name := topology.ServiceID(string(update.ID))
		if name == "" {
			return fmt.Errorf("the state of %s has no resource id: run `pulumi refresh`", update.Name)
		}
		found, err := devices.LookupIotDpsResource(ctx, &devices.LookupIotDpsResourceArgs{ResourceGroupName: group,
			ProvisioningServiceName: name}, questions)
		if err != nil {
			return fmt.Errorf("read the links of the provisioning service before an update: %w", err)
		}
		return t.CheckLinks(update.OldInputs, update.NewInputs, found.Properties.IotHubs)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register the hook that checks links: %w", err)
	}
	return pulumi.Composite(t.KeepsLinks(), pulumi.ResourceHooks(
		&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}})), nil
}
