package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

// generator is the tool that generated files name.
const generator = "the Pulumi SDK Generator"

// languages generates the SDKs of azure-dps that are not in this repository, by the names of their folders.
var languages = map[string]func(*schema.Package) (map[string][]byte, error){
	"nodejs": func(pkg *schema.Package) (map[string][]byte, error) {
		return nodejs.GeneratePackage(generator, pkg, nil, nil, false, schema.NewCachedLoader(nil))
	},
	"python": func(pkg *schema.Package) (map[string][]byte, error) {
		return python.GeneratePackage(generator, pkg, nil, schema.NewCachedLoader(nil))
	},
}

// writeLanguages writes the SDKs for other languages into separate folders under folder, and removes their old content.
func writeLanguages(folder string) error {
	for language, generate := range languages {
		pkg, err := azureDPSPackage() // each generator keeps its own data in the package
		if err != nil {
			return err
		}
		files, err := generate(pkg)
		if err != nil {
			return fmt.Errorf("generate the %s SDK: %w", language, err)
		}
		sdk := filepath.Join(folder, language)
		if err := os.RemoveAll(sdk); err != nil {
			return fmt.Errorf("empty %s: %w", sdk, err)
		}
		for name, content := range files {
			if err := write(filepath.Join(sdk, filepath.FromSlash(name)), content); err != nil {
				return err
			}
		}
	}
	return nil
}
