package provider

import (
	"context"
	"fmt"
	"sync"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/provider/entry"
	"evenkeel/internal/provider/set"
	"evenkeel/internal/version"
)

// Name and Version are the package's in its schema and of the plugin that serves it.
const (
	Name    = "azure-dps"
	Version = version.Version
)

// New returns the provider, ready to be served. Variables looks up the environment variables that complete the login to
// Azure; with nil there are no variables.
func New(variables func(string) string) (p.Provider, error) {
	served, err := build()
	if err != nil {
		return p.Provider{}, fmt.Errorf("build the provider %s: %w", Name, err)
	}
	served.DiffConfig = diffConfig
	served.CheckConfig = checkConfig
	return adapt(served, variables), nil
}

func build() (p.Provider, error) {
	return infer.NewProviderBuilder().
		WithDisplayName("Azure Device Provisioning Service").
		WithDescription("Enrollments and linked hubs of the Azure IoT Hub Device Provisioning Service, and the keys "+
			"of its policies, as resources.").
		WithLicense("Apache-2.0").
		WithPublisher("evenkeel").
		WithKeywords("pulumi", "azure", "iot", "dps", "device-provisioning", "enrollment", "category/cloud",
			"kind/native").
		WithGoImportPath("evenkeel/sdks/azure-dps").
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"provider": "index"}).
		WithConfig(infer.Config(&Config{})).
		WithResources(
			infer.Resource(entry.IndividualEnrollment{}),
			infer.Resource(entry.EnrollmentGroup{}),
			infer.Resource(set.EnrollmentSet{}),
			infer.Resource(SharedAccessKey{}),
			infer.Resource(LinkedHub{}),
		).
		WithFunctions(functions()...).
		Build()
}

// checkConfig checks a configuration in a separate provider: infer decodes all configurations into the same value,
// where properties of an old one would remain if a new one leaves them out.
func checkConfig(ctx context.Context, req p.CheckRequest) (p.CheckResponse, error) {
	scratch, err := build()
	if err != nil {
		return p.CheckResponse{}, err
	}
	return scratch.CheckConfig(ctx, req)
}

// adapt adds what infer leaves out: the URN of the resource for its operations, unknown values in Diff and in previews,
// and secrets in the answers to Read (infer marks those of inputs in Check alone, and an import has no Check before
// it), and environment variables. The import of a resource that does not exist fails: the engine would treat infer's
// empty answer as a resource.
func adapt(served p.Provider, variables func(string) string) p.Provider {
	adapted := served
	adapted.CheckConfig = func(ctx context.Context, req p.CheckRequest) (p.CheckResponse, error) {
		response, err := served.CheckConfig(withVariables(ctx, variables), req)
		response.Failures = hideSecrets(req.Inputs, response.Failures)
		return response, err
	}
	claims, manifests := entry.NewClaims(), &sync.Map{}
	begin := func(ctx context.Context, o entry.Operation) context.Context {
		o.Connect = connectionOf
		return set.WithManifests(entry.Within(ctx, o), manifests)
	}
	adapted.Configure = func(ctx context.Context, req p.ConfigureRequest) error {
		claims.Reset()
		ctx = withVariables(ctx, variables)
		args, err := typedConfig(ctx, served, req.Args)
		if req.Args = args; err != nil {
			return err
		}
		return served.Configure(ctx, req)
	}
	adapted.GetSchema = withExamples(served.GetSchema)
	adaptReading(&adapted, served, claims, begin)
	adapted.Diff = func(ctx context.Context, req p.DiffRequest) (p.DiffResponse, error) {
		response, err := served.Diff(begin(ctx, entry.Operation{
			URN: req.Urn, OldInputs: req.OldInputs, Claims: claims,
			IsPartlyUnknown: property.New(req.Inputs).HasComputed(),
		}), req)
		if err == nil {
			addUnknown(req, &response)
		}
		return response, err
	}
	adapted.Create = func(ctx context.Context, req p.CreateRequest) (p.CreateResponse, error) {
		response, err := served.Create(begin(ctx, entry.Operation{
			URN: req.Urn, Claims: claims, IsPartlyUnknown: property.New(req.Properties).HasComputed(),
		}), req)
		if req.DryRun {
			response.Properties = markUnknown(restoreUnknown(response.Properties, req.Properties))
		}
		response.Properties = markSecrets(response.Properties)
		return response, err
	}
	adapted.Update = func(ctx context.Context, req p.UpdateRequest) (p.UpdateResponse, error) {
		response, err := served.Update(begin(ctx, entry.Operation{URN: req.Urn, OldInputs: req.OldInputs,
			Claims: claims}), req)
		if req.DryRun {
			response.Properties = markUnknown(restoreUnknown(response.Properties, req.Inputs))
		}
		response.Properties = markSecrets(response.Properties)
		return response, err
	}
	adapted.Delete = func(ctx context.Context, req p.DeleteRequest) error {
		return served.Delete(begin(ctx, entry.Operation{URN: req.Urn, OldInputs: req.OldInputs, Claims: claims}), req)
	}
	return adapted
}

// adaptReading does so for the operations that change nothing: Invoke, Check and Read.
func adaptReading(
	adapted *p.Provider, served p.Provider, claims *entry.Claims,
	begin func(context.Context, entry.Operation) context.Context,
) {
	adapted.Invoke = func(ctx context.Context, req p.InvokeRequest) (p.InvokeResponse, error) {
		response, err := served.Invoke(begin(ctx, entry.Operation{}), req)
		response.Return = markSecrets(response.Return) // at any depth: infer marks those at its top alone
		return response, err
	}
	adapted.Check = func(ctx context.Context, req p.CheckRequest) (p.CheckResponse, error) {
		response, err := served.Check(begin(ctx, entry.Operation{URN: req.Urn, Claims: claims}), req)
		response.Inputs = restoreUnknown(response.Inputs, req.Inputs)
		response.Failures = hideSecrets(req.Inputs, response.Failures)
		return response, err
	}
	adapted.Read = func(ctx context.Context, req p.ReadRequest) (p.ReadResponse, error) {
		response, err := served.Read(begin(ctx, entry.Operation{URN: req.Urn}), req)
		if err == nil && response.ID == "" && req.Properties.Len() == 0 {
			err = fmt.Errorf("import %s: the resource does not exist; check the id, and the host that the provider "+
				"is configured for", req.ID)
		}
		response.Properties, response.Inputs = markSecrets(response.Properties), markSecrets(response.Inputs)
		return response, err
	}
}

// connectionOf returns the connection to the configured service, for operations of enrollments.
func connectionOf(ctx context.Context) entry.Connection {
	c := infer.GetConfig[*Config](ctx)
	return entry.Connection{Client: c.service, Host: c.host(), Advice: c.advice}
}
