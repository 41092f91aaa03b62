package main

import (
	"context"
	"fmt"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	gen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"

	"evenkeel/internal/provider"
)

// azureDPS generates the Go SDK of the provider azure-dps from the schema that the provider itself returns. The SDK is
// part of this module, so it has no go.mod.
func azureDPS(string) (map[string][]byte, error) {
	pkg, err := azureDPSPackage()
	if err != nil {
		return nil, err
	}
	generated, err := gen.GeneratePackage(generator, pkg, nil)
	if err != nil {
		return nil, fmt.Errorf("generate the Go SDK of %s: %w", pkg.Name, err)
	}
	files := map[string][]byte{}
	for name, content := range generated {
		_, inside, found := strings.Cut(name, "/")
		if !found {
			inside = name
		}
		files[inside] = content
	}
	return files, nil
}

// azureDPSPackage is the schema of azure-dps in the form that generators need.
func azureDPSPackage() (*schema.Package, error) {
	served, err := provider.New(nil)
	if err != nil {
		return nil, err
	}
	spec, err := p.GetSchema(context.Background(), provider.Name, provider.Version, served)
	if err != nil {
		return nil, fmt.Errorf("read schema of %s: %w", provider.Name, err)
	}
	pkg, diagnostics, err := schema.BindSpec(spec, schema.NewCachedLoader(nil), schema.ValidationOptions{})
	if err != nil {
		return nil, fmt.Errorf("bind schema of %s: %w", spec.Name, err)
	}
	if diagnostics.HasErrors() {
		return nil, fmt.Errorf("bind schema of %s: %w", spec.Name, diagnostics)
	}
	return pkg, nil
}
