// Command noop is the Pulumi program that `make bench` compares the local stack with. It declares the configured number
// of resources (count), for which the provider calls no service. It deploys nothing.
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
