package main

import (
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	gen "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

// devicesFile is the schema of the devices module, relative to the repository's root.
const devicesFile = "schema/azure-native-devices.json"

// azureNativeDevices generates the Go SDK of the azure-native devices module: the same code as the published package of
// that version, with our own documentation. Its go.mod, go.sum and README.md are written by hand.
func azureNativeDevices(root string) (map[string][]byte, error) {
	doc, err := readDocument(filepath.Join(root, devicesFile))
	if err != nil {
		return nil, err
	}
	spec, err := doc.packageSpec()
	if err != nil {
		return nil, err
	}
	return generateGo(spec, doc.Module)
}

// generateGo runs Pulumi's Go generator and keeps the one folder that belongs to module, and the plugin file.
func generateGo(spec schema.PackageSpec, module string) (map[string][]byte, error) {
	pkg, diagnostics, err := schema.BindSpec(spec, schema.NewCachedLoader(nil), schema.ValidationOptions{})
	if err != nil {
		return nil, fmt.Errorf("bind schema of %s: %w", spec.Name, err)
	}
	if diagnostics.HasErrors() {
		return nil, fmt.Errorf("bind schema of %s: %w", spec.Name, diagnostics)
	}
	generated, err := gen.GeneratePackage(generator, pkg, nil)
	if err != nil {
		return nil, fmt.Errorf("generate Go package of %s: %w", spec.Name, err)
	}
	files := map[string][]byte{}
	for name, content := range generated {
		if path.Dir(name) == module || path.Base(name) == "pulumi-plugin.json" {
			files[path.Base(name)] = content
		}
	}
	return files, nil
}

// packageSpec converts the document to the schema that Pulumi's generators read.
func (doc document) packageSpec() (schema.PackageSpec, error) {
	language, err := json.Marshal(gen.GoPackageInfo{
		ImportBasePath:                doc.GoModule,
		RootPackageName:               "pulumiazurenativesdk",
		InternalModuleName:            "utilities",
		DisableInputTypeRegistrations: true,
		RespectSchemaVersion:          true,
	})
	if err != nil {
		return schema.PackageSpec{}, fmt.Errorf("encode Go settings: %w", err)
	}
	spec := schema.PackageSpec{
		Name:      doc.Package,
		Version:   doc.Version,
		Types:     map[string]schema.ComplexTypeSpec{},
		Resources: map[string]schema.ResourceSpec{},
		Functions: map[string]schema.FunctionSpec{},
		Language:  map[string]schema.RawMessage{"go": language},
	}
	for name, res := range doc.Resources {
		spec.Resources[doc.token(name)] = doc.resourceSpec(name, res)
	}
	for name, fn := range doc.Functions {
		spec.Functions[doc.token(name)] = doc.functionSpec(fn)
	}
	for name, typ := range doc.Types {
		spec.Types[doc.token(name)] = schema.ComplexTypeSpec{ObjectTypeSpec: doc.objectSpec(typ.Description,
			typ.Properties)}
	}
	for name, typ := range doc.Enums {
		spec.Types[doc.token(name)] = enumSpec(typ)
	}
	return spec, nil
}

// token is the Pulumi token of a name in this module.
func (doc document) token(name string) string {
	return doc.Package + ":" + doc.Module + ":" + name
}

func (doc document) resourceSpec(name string, res resource) schema.ResourceSpec {
	spec := schema.ResourceSpec{
		ObjectTypeSpec:  doc.objectSpec(res.Description+"\n\nAzure REST API version "+res.APIVersion+".", res.Outputs),
		InputProperties: map[string]schema.PropertySpec{},
	}
	// An output is always set unless the document says optional; an input is optional unless it says required.
	spec.Required = nil
	for _, key := range sortedKeys(res.Outputs) {
		if !res.Outputs[key].Optional {
			spec.Required = append(spec.Required, key)
		}
	}
	for _, key := range sortedKeys(res.Inputs) {
		spec.InputProperties[key] = doc.propertySpec(res.Inputs[key])
		if res.Inputs[key].Required {
			spec.RequiredInputs = append(spec.RequiredInputs, key)
		}
	}
	for _, module := range res.AliasModules {
		spec.Aliases = append(spec.Aliases, schema.AliasSpec{
			Type: doc.Package + ":" + doc.Module + "/" + module + ":" + name,
		})
	}
	return spec
}

func (doc document) functionSpec(fn function) schema.FunctionSpec {
	inputs := doc.objectSpec("", fn.Inputs)
	outputs := doc.objectSpec("", fn.Outputs)
	outputs.Required = nil
	for _, key := range sortedKeys(fn.Outputs) {
		if !fn.Outputs[key].Optional {
			outputs.Required = append(outputs.Required, key)
		}
	}
	return schema.FunctionSpec{
		Description: fn.Description + "\n\nAzure REST API version " + fn.APIVersion + ".",
		Inputs:      &inputs,
		Outputs:     &outputs,
	}
}

func (doc document) objectSpec(description string, properties map[string]property) schema.ObjectTypeSpec {
	spec := schema.ObjectTypeSpec{
		Type:        "object",
		Description: description,
		Properties:  map[string]schema.PropertySpec{},
	}
	for _, key := range sortedKeys(properties) {
		spec.Properties[key] = doc.propertySpec(properties[key])
		if properties[key].Required {
			spec.Required = append(spec.Required, key)
		}
	}
	return spec
}

func (doc document) propertySpec(p property) schema.PropertySpec {
	return schema.PropertySpec{Description: p.Description, Default: p.Default, TypeSpec: doc.typeSpec(p.Type)}
}

// typeSpec reads the notation that property describes.
func (doc document) typeSpec(notation string) schema.TypeSpec {
	if element, ok := strings.CutPrefix(notation, "[]"); ok {
		item := doc.typeSpec(element)
		return schema.TypeSpec{Type: "array", Items: &item}
	}
	if element, ok := strings.CutPrefix(notation, "map<"); ok {
		value := doc.typeSpec(strings.TrimSuffix(element, ">"))
		return schema.TypeSpec{Type: "object", AdditionalProperties: &value}
	}
	if name, ok := strings.CutPrefix(notation, "#"); ok {
		return schema.TypeSpec{Type: "object", Ref: "#/types/" + doc.token(name)}
	}
	if name, ok := strings.CutPrefix(notation, "enum:"); ok {
		return schema.TypeSpec{Type: "string", Ref: "#/types/" + doc.token(name)}
	}
	if name, ok := strings.CutPrefix(notation, "string|enum:"); ok {
		return schema.TypeSpec{OneOf: []schema.TypeSpec{{Type: "string"},
			{Type: "string", Ref: "#/types/" + doc.token(name)}}}
	}
	if notation == "any" {
		return schema.TypeSpec{Ref: "pulumi.json#/Any"}
	}
	return schema.TypeSpec{Type: notation}
}

func enumSpec(typ enum) schema.ComplexTypeSpec {
	spec := schema.ComplexTypeSpec{ObjectTypeSpec: schema.ObjectTypeSpec{Type: "string", Description: typ.Description}}
	for _, value := range typ.Values {
		spec.Enum = append(spec.Enum, schema.EnumValueSpec{Value: value.Value, Description: value.Description})
	}
	return spec
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
