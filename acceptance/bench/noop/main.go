// Command noop is the Pulumi program that `make bench` compares the local stack with: as many resources as the
// configuration key count says, which a provider answers without asking anybody. It deploys nothing.
package main

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"

	azuredps "evenkeel/sdks/azure-dps"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		for i := range config.New(ctx, "").RequireInt("count") {
			if _, err := azuredps.NewSharedAccessKey(ctx, fmt.Sprintf("key-%d", i+1), nil); err != nil {
				return err
			}
		}
		return nil
	})
}
