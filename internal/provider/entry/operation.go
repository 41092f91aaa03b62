package entry

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/dpsservice"
)

// Operation holds what the framework does not pass to a resource's operation. The provider adds it to the context.
type Operation struct {
	// URN names the resource; empty for a function.
	URN resource.URN
	// OldInputs are the inputs of the last operation; empty when the engine sent none.
	OldInputs property.Map
	// IsPartlyUnknown is true if an input is not known yet.
	IsPartlyUnknown bool
	// Claims are those of the engine's run. An operation outside of a run has its own, empty claims.
	Claims *Claims
	// Connect returns the connection to the configured service, from the context that the framework passes to the
	// operation.
	Connect func(context.Context) Connection
}

// Connection is the connection to the provisioning service that the provider is configured for.
type Connection struct {
	// Client returns an error when the provider is not configured.
	Client func() (*dpsservice.Client, error)
	// Host is the service's host name in lower case; empty without a configured host.
	Host string
	// Advice returns what to do about an error, or "".
	Advice func(error) string
}

type operationKey struct{}

// Within returns a context for the operation.
func Within(ctx context.Context, o Operation) context.Context {
	if o.Claims == nil {
		o.Claims = NewClaims()
	}
	return context.WithValue(ctx, operationKey{}, o)
}

func operationFrom(ctx context.Context) Operation {
	o, is := ctx.Value(operationKey{}).(Operation)
	if !is {
		o.Claims = NewClaims()
	}
	return o
}

// Connect returns the connection to the configured service.
func Connect(ctx context.Context) Connection { return operationFrom(ctx).Connect(ctx) }

// URN returns the URN of the resource whose operation this is; empty for a function.
func URN(ctx context.Context) resource.URN { return operationFrom(ctx).URN }

// OldInputs are the inputs of the last operation; empty when the engine sent none.
func OldInputs(ctx context.Context) property.Map { return operationFrom(ctx).OldInputs }

// IsPartlyUnknown reports whether an input of the operation is not known yet.
func IsPartlyUnknown(ctx context.Context) bool { return operationFrom(ctx).IsPartlyUnknown }

// ClaimsOf returns the claims of this run.
func ClaimsOf(ctx context.Context) *Claims { return operationFrom(ctx).Claims }
