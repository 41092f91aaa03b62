package provider

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/dpsservice"
)

// operation is what the framework does not pass to a resource's operation, and the provider adds to the context.
type operation struct {
	// urn names the resource; empty for a function.
	urn resource.URN
	// oldInputs are the inputs of the last operation; empty when the engine sent none.
	oldInputs property.Map
	// isPartlyUnknown says that an input is not known yet.
	isPartlyUnknown bool
	// claims are those of the run of the engine. An operation that the engine did not begin has empty ones of its own.
	claims *claims
	// connect returns the way to the configured service, from the context that the framework passes to the operation.
	connect func(context.Context) connection
}

// connection is the way to the provisioning service that the provider is configured for.
type connection struct {
	// client fails when the provider is not configured.
	client func() (*dpsservice.Client, error)
	// host is the service's host name in lower case; empty when the configuration names none.
	host string
	// advice says what to do about an error; it is empty when there is no more to say.
	advice func(error) string
}

type operationKey struct{}

// within returns a context for the operation.
func within(ctx context.Context, o operation) context.Context {
	if o.claims == nil {
		o.claims = newClaims()
	}
	return context.WithValue(ctx, operationKey{}, o)
}

func operationFrom(ctx context.Context) operation {
	o, is := ctx.Value(operationKey{}).(operation)
	if !is {
		o.claims = newClaims()
	}
	return o
}

// connect returns the way to the configured service.
func connect(ctx context.Context) connection { return operationFrom(ctx).connect(ctx) }

// urnFrom returns the URN of the resource whose operation this is; empty for a function.
func urnFrom(ctx context.Context) resource.URN { return operationFrom(ctx).urn }

// oldInputs are the inputs of the last operation; empty when the engine sent none.
func oldInputs(ctx context.Context) property.Map { return operationFrom(ctx).oldInputs }

// isPartlyUnknown reports whether an input of the operation is not known yet.
func isPartlyUnknown(ctx context.Context) bool { return operationFrom(ctx).isPartlyUnknown }

// claimsFrom returns the claims of this run.
func claimsFrom(ctx context.Context) *claims { return operationFrom(ctx).claims }
