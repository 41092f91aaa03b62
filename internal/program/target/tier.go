package target

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

// keepTier returns the option that checks a hub's tier before an update, in previews too: Azure would reject another
// tier when half of the update is done. A replaced hub is not checked.
func keepTier(ctx *pulumi.Context) (pulumi.ResourceOption, error) {
	hook, err := ctx.RegisterResourceHook("keep-tiers", func(update *pulumi.ResourceHookArgs) error {
		return topology.CheckTier(update.Name, update.OldInputs, update.NewInputs)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register the hook that checks tiers: %w", err)
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), nil
}
