package entry

import (
	"context"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/dpsservice"
)

// Operation is what the framework does not pass to a resource's operation, and the provider adds to the context.
type Operation struct {
	// URN names the resource; empty for a function.
	URN resource.URN
	// OldInputs are the inputs of the last operation; empty when the engine sent none.
	OldInputs property.Map
	// IsPartlyUnknown says that an input is not known yet.
	IsPartlyUnknown bool
	// Claims are those of the run of the engine. An operation that the engine did not begin has empty ones of its own.
	Claims *Claims
	// Connect returns the way to the configured service, from the context that the framework passes to the operation.
	Connect func(context.Context) Connection
}

// Connection is the way to the provisioning service that the provider is configured for.
type Connection struct {
	// Client fails when the provider is not configured.
	Client func() (*dpsservice.Client, error)
	// Host is the service's host name in lower case; empty when the configuration names none.
	Host string
	// Advice says what to do about an error; it is empty when there is no more to say.
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

// Connect returns the way to the configured service.
func Connect(ctx context.Context) Connection { return operationFrom(ctx).Connect(ctx) }

// URN returns the URN of the resource whose operation this is; empty for a function.
func URN(ctx context.Context) resource.URN { return operationFrom(ctx).URN }

// OldInputs are the inputs of the last operation; empty when the engine sent none.
func OldInputs(ctx context.Context) property.Map { return operationFrom(ctx).OldInputs }

// IsPartlyUnknown reports whether an input of the operation is not known yet.
func IsPartlyUnknown(ctx context.Context) bool { return operationFrom(ctx).IsPartlyUnknown }

// ClaimsOf returns the claims of this run.
func ClaimsOf(ctx context.Context) *Claims { return operationFrom(ctx).Claims }
