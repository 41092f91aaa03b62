package provider_test

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"

	"evenkeel/internal/provider"
)

var update = flag.Bool("update", false, "write the golden files")

func readSchema(t *testing.T) schema.PackageSpec {
	t.Helper()
	served, err := provider.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := p.GetSchema(context.Background(), provider.Name, provider.Version, served)
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestSchemaMatchesTheGoldenFile(t *testing.T) {
	t.Parallel()
	got, err := json.MarshalIndent(readSchema(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "schema.json")
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("the schema is not that of %s; if the change is meant, run go test ./internal/provider -update", file)
	}
}

func TestTokensAreStable(t *testing.T) {
	t.Parallel()
	spec := readSchema(t)
	got := slices.Sorted(maps.Keys(spec.Resources))
	want := []string{"azure-dps:index:EnrollmentGroup", "azure-dps:index:EnrollmentSet",
		"azure-dps:index:IndividualEnrollment", "azure-dps:index:LinkedHub", "azure-dps:index:SharedAccessKey"}
	if !slices.Equal(got, want) {
		t.Errorf("resources: got %v, want %v", got, want)
	}
	got = slices.Sorted(maps.Keys(spec.Functions))
	want = []string{
		"azure-dps:index:deriveDeviceKey", "azure-dps:index:getEnrollmentGroup",
		"azure-dps:index:getIndividualEnrollment",
		"azure-dps:index:getRegistration", "azure-dps:index:listRegistrations",
	}
	if !slices.Equal(got, want) {
		t.Errorf("functions: got %v, want %v", got, want)
	}
	got = slices.Sorted(maps.Keys(spec.Types))
	want = nil
	for _, name := range []string{
		"AllocationPolicy", "Attestation", "CAReferences", "Capabilities", "CertificateInfo", "CertificatePair",
		"CustomAllocation",
		"EnrollmentSetDefaults", "EnrollmentSetItem",
		"InitialTwin", "LinkAuthentication", "ProvisioningStatus", "Registration", "ReprovisionPolicy", "SymmetricKey",
		"TpmAttestation",
		"X509Attestation",
	} {
		want = append(want, "azure-dps:index:"+name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("types: got %v, want %v", got, want)
	}
}

func TestSecretsAreSecretInTheSchema(t *testing.T) {
	t.Parallel()
	spec := readSchema(t)
	got := map[string]bool{}
	collect := func(place string, properties map[string]schema.PropertySpec) {
		for name, property := range properties {
			if property.Secret {
				got[place+"."+name] = true
			}
		}
	}
	collect("provider", spec.Provider.InputProperties)
	for token, resource := range spec.Resources {
		collect(lastPart(token), resource.Properties)
		collect(lastPart(token), resource.InputProperties)
	}
	for token, object := range spec.Types {
		collect(lastPart(token), object.Properties)
	}
	for token, function := range spec.Functions {
		collect(lastPart(token), function.Inputs.Properties)
		collect(lastPart(token), function.ReturnType.ObjectTypeSpec.Properties)
	}
	want := []string{
		"CustomAllocation.webhookUrl", "EnrollmentGroup.primaryKey", "EnrollmentGroup.secondaryKey",
		"EnrollmentSet.digestKey", "EnrollmentSet.manifestText", "EnrollmentSetItem.primaryKey",
		"EnrollmentSetItem.secondaryKey", "IndividualEnrollment.primaryKey",
		"IndividualEnrollment.secondaryKey", "LinkedHub.key", "SharedAccessKey.activeKey", "SharedAccessKey.nextKey",
		"SharedAccessKey.primaryKey",
		"SharedAccessKey.secondaryKey", "SymmetricKey.primaryKey", "SymmetricKey.secondaryKey",
		"deriveDeviceKey.deviceKey", "deriveDeviceKey.groupKey", "getEnrollmentGroup.primaryKey",
		"getEnrollmentGroup.secondaryKey",
		"getIndividualEnrollment.primaryKey", "getIndividualEnrollment.secondaryKey",
		"provider.clientCertificatePassword",
		"provider.clientSecret", "provider.connectionString", "provider.key", "provider.oidcRequestToken",
		"provider.oidcToken",
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
		t.Errorf("secret properties: got %v, want %v", names, want)
	}
}

func TestEveryPropertyIsDescribed(t *testing.T) {
	t.Parallel()
	spec := readSchema(t)
	described := func(place string, properties map[string]schema.PropertySpec) {
		for name, property := range properties {
			if property.Description == "" {
				t.Errorf("%s.%s has no description", place, name)
			}
		}
	}
	described("provider", spec.Provider.InputProperties)
	for token, resource := range spec.Resources {
		if resource.Description == "" {
			t.Errorf("%s has no description", token)
		}
		described(token, resource.Properties)
		described(token, resource.InputProperties)
	}
	for token, function := range spec.Functions {
		if function.Description == "" {
			t.Errorf("%s has no description", token)
		}
		described(token, function.Inputs.Properties)
		described(token, function.ReturnType.ObjectTypeSpec.Properties)
	}
	for token, object := range spec.Types {
		described(token, object.Properties)
		for _, value := range object.Enum {
			if value.Description == "" {
				t.Errorf("%s.%s has no description", token, value.Name)
			}
		}
	}
	for name, value := range map[string]string{
		"displayName": spec.DisplayName, "description": spec.Description, "license": spec.License,
		"publisher": spec.Publisher, "version": spec.Version,
	} {
		t.Run(name, func(t *testing.T) {
			if value == "" {
				t.Errorf("the schema has no %s", name)
			}
		})
	}
}

func TestEveryResourceAndFunctionHasAnExample(t *testing.T) {
	t.Parallel()
	spec := readSchema(t)
	descriptions := map[string]string{}
	for token, resource := range spec.Resources {
		descriptions[lastPart(token)] = resource.Description
	}
	for token, function := range spec.Functions {
		descriptions[lastPart(token)] = function.Description
	}
	for name, description := range descriptions {
		// The example is compiled with the package; the names show that it is the example of this token.
		if want := "\nfunc " + strings.ToUpper(name[:1]) + name[1:] +
			"(ctx *pulumi.Context"; !strings.Contains(description, want) {
			t.Errorf("%s: the description shows no example of that name", name)
		}
	}
	files, err := filepath.Glob(filepath.Join("examples", "*.go"))
	must(t, err)
	if got, want := len(files), len(descriptions)+1; got != want {
		t.Errorf("got %d files of examples, want %d: one for each resource and function, and the package's doc", got,
			want)
	}
}

func lastPart(token string) string { return token[strings.LastIndex(token, ":")+1:] }

// inputPaths returns the path of every input of a resource, and which of them are leaves: properties without parts.
func inputPaths(t *testing.T, spec schema.PackageSpec, token string) map[string]bool {
	t.Helper()
	return typePaths(spec, spec.Resources[token].InputProperties)
}

// typePaths is inputPaths for some properties.
func typePaths(spec schema.PackageSpec, properties map[string]schema.PropertySpec) map[string]bool {
	paths := map[string]bool{}
	for name, property := range properties {
		object, nested := spec.Types[strings.TrimPrefix(property.Ref, "#/types/")]
		nested = nested && len(object.Enum) == 0
		paths[name] = !nested
		if nested {
			for path, leaf := range typePaths(spec, object.Properties) {
				paths[name+"."+path] = leaf
			}
		}
	}
	return paths
}
