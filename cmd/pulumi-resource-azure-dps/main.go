// Command pulumi-resource-azure-dps serves the provider azure-dps to the Pulumi engine, which starts it. It does nothing else.
package main

import (
	"context"
	"fmt"
	"os"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/internal/provider"
)

func main() {
	served, err := provider.New()
	if err == nil {
		err = p.RunProvider(context.Background(), provider.Name, provider.Version, served)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-azure-dps:", err)
		os.Exit(1)
	}
}
