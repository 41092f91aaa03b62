package provider

import (
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// Name and Version are the package's in its schema and of the plugin that serves it.
const (
	Name    = "azure-dps"
	Version = "0.1.0"
)

// New returns the provider, ready to be served.
func New() (p.Provider, error) {
	provider, err := build()
	if err != nil {
		return p.Provider{}, fmt.Errorf("build the provider: %w", err)
	}
	return provider, nil
}

func build() (p.Provider, error) {
	return infer.NewProviderBuilder().
		WithDisplayName("Azure Device Provisioning Service").
		WithDescription("Enrollments of the Azure IoT Hub Device Provisioning Service, and the keys of its policies, as resources.").
		WithLicense("Apache-2.0").
		WithPublisher("evenkeel").
		WithKeywords("pulumi", "azure", "iot", "dps", "device-provisioning", "enrollment", "category/cloud", "kind/native").
		WithGoImportPath("evenkeel/sdks/azure-dps").
		WithModuleMap(map[tokens.ModuleName]tokens.ModuleName{"provider": "index"}).
		WithConfig(infer.Config(&Config{})).
		WithResources(
			infer.Resource(IndividualEnrollment{}),
			infer.Resource(EnrollmentGroup{}),
			infer.Resource(SharedAccessKey{}),
		).
		Build()
}
