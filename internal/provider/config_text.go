package provider

import (
	"context"
	"errors"
	"slices"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// typedNames are the properties of the configuration that are not texts.
var typedNames = []string{"rateLimit", "useOidc", "useMsi", "useAzureCli", "useDefaultAzureCredential",
	"auxiliaryTenantIds"}

// typedConfig returns a configuration with values of the right types. The settings of a stack are texts, and
// `pulumi import` configures a default provider with them without a check before, which would convert them.
func typedConfig(ctx context.Context, served p.Provider, args property.Map) (property.Map, error) {
	isText := func(name string) bool { return args.Get(name).IsString() }
	if !slices.ContainsFunc(typedNames, isText) {
		return args, nil
	}
	checked, err := served.CheckConfig(ctx, p.CheckRequest{Inputs: args})
	if err != nil {
		return args, err
	}
	failures := hideSecrets(args, checked.Failures)
	if len(failures) > 0 {
		return args, errors.New("configure the provider: " + failures[0].Property + ": " + failures[0].Reason)
	}
	return checked.Inputs, nil
}
