package provider_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// good returns inputs of each resource that Check accepts. Their ids differ, since one process checks them all.
func good(t *testing.T) map[string]object {
	return map[string]object{
		"IndividualEnrollment": {"registrationId": "device-1"},
		"EnrollmentGroup":      {"enrollmentGroupId": "devices"},
		"EnrollmentSet": {"items": property.New(
			property.NewArray([]property.Value{property.New(object{"registrationId": "device-2"}.properties())}))},
		"SharedAccessKey": {},
		"LinkedHub": {
			"provisioningServiceId": servicePath, "hubHostName": emulatedHub, "policyName": "link", "key": newKey(t),
			"location": "westeurope",
		},
	}
}

// wrong returns values that Check cannot accept for a property: those of another type, and those that violate its rule.
func wrong(name string, spec schema.PropertySpec) []property.Value {
	rules := map[string][]property.Value{
		"registrationId": {property.New("a b"), property.New("")}, "enrollmentGroupId": {property.New("a/b")},
		"deviceId":   {property.New("")},
		"primaryKey": {property.New("no base64!")}, "secondaryKey": {property.New("c2hvcnQ=")},
		"key": {property.New("!")}, "rotation": {property.New(-1.0)},
		"idPrefix":              {property.New("a b-"), property.New(strings.Repeat("a", 128))},
		"provisioningServiceId": {property.New("dps-1")}, "hubHostName": {property.New("hub-1"),
			property.New("https://x.y")}, "policyName": {property.New("a;b"), property.New(" ")},
		"location": {property.New(" ")}, "allocationWeight": {property.New(0.0), property.New(1001.0)},
		"allocationPolicy": {property.New("random")}, "provisioningStatus": {property.New("off")},
		"authenticationType": {property.New("Password")},
		"identityId":         {property.New("id-1"), property.New(servicePath)},
		"endorsementKey":     {property.New("AAAA")}, "storageRootKey": {property.New("!")},
		"namespaceName": {property.New(""), property.New("ab"), property.New("Ns-1"), property.New("ns-"),
			property.New(strings.Repeat("a", 65))},
		"certificateAuthorityName": {property.New("ab"), property.New("-ca"), property.New(strings.Repeat("a", 64))},
		"certificatePolicyName":    {property.New("30"), property.New("a_b")},
	}[name]
	// The other type: a list, or for a list a boolean.
	if spec.Type == "array" {
		return append(rules, property.New(true))
	}
	return append(rules, property.New(property.NewArray([]property.Value{property.New(1.0)})))
}

// TestCheckNamesTheInvalidInput walks the schema: Check reports each invalid input at a path that is in the schema.
func TestCheckNamesTheInvalidInput(t *testing.T) {
	t.Parallel()
	spec, server, fine := readSchema(t), startProvider(t, object{}), good(t)
	for token, described := range spec.Resources {
		kind := lastPart(token)
		base, known := fine[kind]
		if !known {
			t.Errorf("no good inputs are known for %s", kind)
			continue
		}
		urn := resource.URN("urn:pulumi:test::test::" + token + "::x")
		check := func(inputs property.Map) []string {
			t.Helper()
			checked, err := server.Check(p.CheckRequest{Urn: urn, Inputs: inputs})
			if err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			var paths []string
			for _, failure := range checked.Failures {
				paths = append(paths, plainPath(failure))
			}
			return paths
		}
		if got := check(base.properties()); got != nil {
			t.Errorf("good inputs of %s: got failures at %v", kind, got)
		}
		for _, required := range described.RequiredInputs {
			if got := check(base.edited(object{required: nil}).properties()); !slices.Contains(got, required) {
				t.Errorf("%s without %s: got failures at %v", kind, required, got)
			}
		}
		paths := inputPaths(t, spec, token)
		var walk func(prefix []string, properties map[string]schema.PropertySpec)
		walk = func(prefix []string, properties map[string]schema.PropertySpec) {
			for _, name := range slices.Sorted(maps.Keys(properties)) {
				way := append(slices.Clone(prefix), name)
				for _, value := range wrong(name, properties[name]) {
					if acceptsAnything(properties[name]) {
						continue
					}
					got := check(withAt(base.properties(), way, value))
					if !slices.ContainsFunc(got, func(path string) bool {
						return path != "" && strings.HasPrefix(strings.Join(way, ".")+".", path+".")
					}) {
						t.Errorf("%s: %v at %s: got failures at %v", kind, value, strings.Join(way, "."), got)
					}
					for _, path := range got {
						if _, exists := paths[path]; !exists {
							t.Errorf("%s: %v at %s: the path %q is not in the schema", kind, value,
								strings.Join(way, "."), path)
						}
					}
				}
				if object, nested := spec.Types[strings.TrimPrefix(properties[name].Ref, "#/types/")]; nested &&
					len(object.Enum) == 0 {
					walk(way, object.Properties)
				}
			}
		}
		walk(nil, described.InputProperties)
	}
}

// TestUnknownInputsAreAcceptedAndStayUnknown walks the schema: each input in turn is unknown.
func TestUnknownInputsAreAcceptedAndStayUnknown(t *testing.T) {
	t.Parallel()
	spec, server, fine := readSchema(t), startProvider(t, object{}), good(t)
	for token, described := range spec.Resources {
		kind := lastPart(token)
		m := manage(t, nextRun(t, server), kind, "x")
		for path := range typePaths(spec, described.InputProperties) {
			if kind == "EnrollmentSet" && (path == "manifest" || path == "manifestText") {
				continue // together with items they are an error
			}
			way := strings.Split(path, ".")
			inputs := fine[kind].properties().Set(way[0], unknownAt(spec, described.InputProperties[way[0]], way[1:]))
			checked, err := m.server.Check(p.CheckRequest{Urn: m.urn, Inputs: inputs})
			must(t, err)
			if len(checked.Failures) > 0 {
				t.Errorf("%s: an unknown %s: got failures %v, want none", kind, path, checked.Failures)
			}
			if !isUnknownAt(checked.Inputs, way) {
				t.Errorf("%s: an unknown %s: got inputs %#v", kind, path, checked.Inputs)
			}
			preview, err := server.Create(p.CreateRequest{Urn: m.urn, Properties: inputs, DryRun: true})
			if err != nil {
				t.Errorf("%s: an unknown %s: got %v", kind, path, err)
			} else if !isUnknownAt(preview.Properties, way) {
				t.Errorf("%s: an unknown %s: got preview %#v", kind, path, preview.Properties)
			}
		}
	}
}

func TestUnknownPartsOfListsStayUnknown(t *testing.T) {
	t.Parallel()
	server := startProvider(t, object{})
	for kind, inputs := range map[string]object{
		"EnrollmentGroup": {"enrollmentGroupId": "devices", "allocationPolicy": "hashed",
			"iotHubs": property.New([]property.Value{property.New(emulatedHub), unknown})},
		"EnrollmentSet": {"items": property.New(
			[]property.Value{property.New(object{"registrationId": "a"}.properties()), unknown,
				property.New(object{"registrationId": "b", "certificate": unknown,
					"primaryKey": unknown.WithSecret(true)}.properties())})},
	} {
		t.Run(kind, func(t *testing.T) {
			m := manage(t, server, kind, "x")
			checked := m.check(inputs)
			preview, err := server.Create(p.CreateRequest{Urn: m.urn, Properties: checked, DryRun: true})
			must(t, err)
			for name, want := range inputs {
				if got := checked.Get(name); !got.Equals(propertyOf(want)) {
					t.Errorf("%s: got %s %#v, want %#v", kind, name, got, want)
				}
				if got := preview.Properties.Get(name); !got.HasComputed() && propertyOf(want).HasComputed() {
					t.Errorf("%s: got %s %#v in a preview, want it partly unknown", kind, name, got)
				}
			}
		})
	}
}

// unknownAt returns a property whose part at the end of the path is unknown, and so are the members that it requires
// beside it.
func unknownAt(spec schema.PackageSpec, of schema.PropertySpec, way []string) property.Value {
	if len(way) == 0 {
		return unknown
	}
	object := spec.Types[strings.TrimPrefix(of.Ref, "#/types/")]
	parts := map[string]property.Value{}
	for _, required := range object.Required {
		parts[required] = unknown
	}
	parts[way[0]] = unknownAt(spec, object.Properties[way[0]], way[1:])
	return property.New(parts)
}

// isUnknownAt reports whether the value at a path in a map, or a map that contains it, is unknown.
func isUnknownAt(inputs property.Map, way []string) bool {
	value := inputs.Get(way[0])
	return value.IsComputed() || len(way) > 1 && value.IsMap() && isUnknownAt(value.AsMap(), way[1:])
}

// acceptsAnything reports whether a property is free JSON or an asset.
func acceptsAnything(spec schema.PropertySpec) bool {
	return strings.HasPrefix(spec.Ref, "pulumi.json#/")
}

// withAt sets a value deep in a map.
func withAt(inputs property.Map, way []string, value property.Value) property.Map {
	if len(way) > 1 {
		inner := property.Map{}
		if present := inputs.Get(way[0]); present.IsMap() {
			inner = present.AsMap()
		}
		value = property.New(withAt(inner, way[1:], value))
	}
	return inputs.Set(way[0], value)
}

// TestTheConfigurationNamesTheInvalidProperty walks the provider's configuration in the same way.
func TestTheConfigurationNamesTheInvalidProperty(t *testing.T) {
	t.Parallel()
	spec, server := readSchema(t), startProvider(t, object{})
	for name, described := range spec.Provider.InputProperties {
		value := property.New(property.NewArray([]property.Value{property.New(1.0)}))
		if described.Type == "array" {
			value = property.New(true)
		}
		checked, err := server.CheckConfig(p.CheckRequest{Urn: providerURN,
			Inputs: property.NewMap(map[string]property.Value{name: value})})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !slices.ContainsFunc(checked.Failures, func(f p.CheckFailure) bool { return plainPath(f) == name }) {
			t.Errorf("%v at %s: got failures %v", value, name, checked.Failures)
		}
		for _, failure := range checked.Failures {
			if _, exists := spec.Provider.InputProperties[plainPath(failure)]; !exists {
				t.Errorf("%v at %s: the path %q is not in the schema", value, name, failure.Property)
			}
		}
	}
}
