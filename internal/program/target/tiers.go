package target

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/program/topology"
)

// keepTiers returns the option with which the engine asks the program before it updates a hub, in previews too: Azure
// refuses another tier when half of the update is done. A hub that is replaced is not asked about.
func keepTiers(ctx *pulumi.Context) (pulumi.ResourceOption, error) {
	hook, err := ctx.RegisterResourceHook("keep-tiers", func(update *pulumi.ResourceHookArgs) error {
		return topology.CheckTier(update.Name, update.OldInputs, update.NewInputs)
	}, &pulumi.ResourceHookOptions{OnDryRun: true})
	if err != nil {
		return nil, fmt.Errorf("register the check of tiers: %w", err)
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{BeforeUpdate: []*pulumi.ResourceHook{hook}}), nil
}
