package provider_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// flattened are the properties of items whose paths differ from those of an individual enrollment, by the latter.
var flattened = map[string]string{
	"attestation.symmetricKey.primaryKey":           "primaryKey",
	"attestation.symmetricKey.secondaryKey":         "secondaryKey",
	"attestation.x509.clientCertificates.primary":   "certificate",
	"attestation.x509.clientCertificates.secondary": "secondaryCertificate",
	"attestation.x509.caReferences.primary":         "caReference",
	"attestation.x509.caReferences.secondary":       "secondaryCaReference",
	"attestation.tpm.endorsementKey":                "endorsementKey",
	"attestation.tpm.storageRootKey":                "storageRootKey",
	"capabilities.iotEdge":                          "iotEdge",
	"initialTwin.tags":                              "tags",
	"initialTwin.desiredProperties":                 "desiredProperties",
}

// inEnrollment returns the path in an individual enrollment of an item's property.
func inEnrollment(item string) string {
	for path, name := range flattened {
		if name == item {
			return path
		}
	}
	return item
}

// asItem writes the inputs of an individual enrollment as an item.
func asItem(prefix string, inputs object) object {
	item := object{}
	for name, value := range inputs {
		path := prefix + name
		nested, is := value.(object)
		switch flat := flattened[path]; {
		case flat != "":
			item[flat] = value
		case is && slices.ContainsFunc(slices.Collect(maps.Keys(flattened)),
			func(p string) bool { return strings.HasPrefix(p, path+".") }):
			maps.Copy(item, asItem(path+".", nested))
		default:
			item[path] = value
		}
	}
	return item
}

// asDefaults writes the inputs of an individual enrollment as defaults, which differ only in the attestation.
func asDefaults(inputs object) object {
	defaults := maps.Clone(inputs)
	if attestation, is := defaults["attestation"].(object); is {
		maps.Copy(defaults, attestation["x509"].(object))
		delete(defaults, "attestation")
	}
	return defaults
}

// leavesOf returns the paths of a type's properties that have no parts.
func leavesOf(t *testing.T, spec schema.PackageSpec, name string) []string {
	t.Helper()
	var leaves []string
	for path, leaf := range typePaths(spec, spec.Types["azure-dps:index:"+name].Properties) {
		if leaf {
			leaves = append(leaves, path)
		}
	}
	return leaves
}

// TestASetReportsEveryDriftAndUpRevertsIt walks the schema of items and defaults: a property without a case fails.
// Whether the item or the defaults set the property, the drift is that of one device.
func TestASetReportsEveryDriftAndUpRevertsIt(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	spec := readSchema(t)
	try := func(name, path, want string, inputs func(id string, drift drift) object) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			drift, covered := drifts(t, id)[path]
			if !covered {
				t.Fatalf("no case for %s", name)
			}
			walk{"EnrollmentSet", id, "/enrollments/" + id, inputs(id, drift), drift.edit, "items[0]." + want}.drifts(t,
				service, server)
		})
	}
	for _, property := range leavesOf(t, spec, "EnrollmentSetItem") {
		if property != "registrationId" {
			try("item "+property, inEnrollment(property), property, func(id string, drift drift) object {
				item := asItem("", drift.inputs)
				item["registrationId"] = id
				return object{"items": items(item)}
			})
		}
	}
	for _, property := range leavesOf(t, spec, "EnrollmentSetDefaults") {
		path := property
		if strings.HasPrefix(path, "caReferences.") {
			path = "attestation.x509." + path
		}
		want := property
		if flat := flattened[path]; flat != "" {
			want = flat
		}
		try("defaults "+property, path, want, func(id string, drift drift) object {
			return object{"items": items(object{"registrationId": id}), "defaults": asDefaults(drift.inputs)}
		})
	}
}

// The other inputs of a set are one property each, whichever part drifts.
func TestAManifestReportsDriftAndUpRevertsIt(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for name := range readSchema(t).Resources["azure-dps:index:EnrollmentSet"].InputProperties {
		if slices.Contains([]string{"items", "defaults", "idPrefix", "deleteRegistrations"}, name) {
			continue // tested above, or cannot drift
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := func(n int) string { return fmt.Sprintf("%s-%d", strings.ToLower(name), n) }
			text := "registrationId,tags\n" + id(1) + ",\"{\"\"a\"\":1}\"\n" + id(2) + ",\n" + id(3) + ",\n"
			inputs := object{name: property.New(text).WithSecret(true)}
			if name == "manifest" {
				file := filepath.Join(t.TempDir(), "devices.csv")
				must(t, os.WriteFile(file, []byte(text), 0o600))
				a, err := asset.FromPath(file)
				must(t, err)
				inputs = object{name: property.New(a)}
			}
			set := manage(t, server, "EnrollmentSet", name)
			set.up(inputs)
			service.edit(t, "/enrollments/"+id(1),
				func(entry map[string]any) { entry["provisioningStatus"] = "disabled" })
			service.remove(t, "/enrollments/"+id(2))
			if got := set.refresh(); !slices.Equal(got, []string{name}) {
				t.Errorf("refresh: got %v, want %s", got, name)
			}
			if name == "manifest" {
				// A refresh alone has no Check before it, and the engine gives Diff only the hash of an asset.
				a := set.inputs.Get(name).AsAsset()
				elided := object{name: property.New(&asset.Asset{Sig: asset.AssetSig, Hash: a.Hash})}.properties()
				if got := first(set.diff(elided)); !slices.Equal(got, []string{name}) {
					t.Errorf("with the rows that the last Check read: got %v, want %s", got, name)
				}
				fresh := *set
				fresh.server = startProvider(t, object{})
				if got, want := first(fresh.diff(elided)),
					[]string{`devices["manifest-1"]`, `devices["manifest-2"]`}; !slices.Equal(got, want) {
					t.Errorf("refresh without the file: got %v, want %v", got, want)
				}
			}
			if got := set.up(inputs); !slices.Equal(got, []string{name}) || len(devicesOf(set)) != 3 {
				t.Errorf("up: got %v with %v, want %s with three", got, devicesOf(set), name)
			}
			if got := set.refresh(); got != nil {
				t.Errorf("second refresh: got %v, want none", got)
			}
		})
	}
}

// TestAnUpdateNamesAConcurrentChange, as far as the digests in the state show it.
func TestAnUpdateNamesAConcurrentChange(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	keys := func(entry map[string]any) map[string]any {
		return entry["attestation"].(map[string]any)["symmetricKey"].(map[string]any)
	}
	for id, test := range map[string]struct {
		edit func(map[string]any)
		want string
	}{
		"settings": {set("provisioningStatus", "disabled"), "in its settings;"},
		"a-key":    {func(entry map[string]any) { keys(entry)["secondaryKey"] = newKey(t) }, "in its secondary key;"},
		"both": {func(entry map[string]any) { entry["deviceId"], keys(entry)["primaryKey"] = "d", newKey(t) },
			"in its settings and its primary key;"},
		"kind": {func(entry map[string]any) {
			entry["attestation"] = map[string]any{"type": "tpm",
				"tpm": map[string]any{"endorsementKey": endorsementKey}}
		}, "in the kind of its attestation;"},
	} {
		t.Run(id, func(t *testing.T) {
			m := manage(t, server, "EnrollmentSet", id)
			m.up(object{"items": items(object{"registrationId": id, "primaryKey": newKey(t),
				"secondaryKey": newKey(t)})})
			service.edit(t, "/enrollments/"+id, test.edit)
			given := object{"registrationId": id, "primaryKey": newKey(t), "secondaryKey": newKey(t),
				"tags": object{"a": "b"}}
			if _, err := m.tryUp(object{"items": items(given)}); err == nil ||
				!strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want %q in it", id, err, test.want)
			}
		})
	}
}

func TestAnotherAttestationDoesNotOverwriteAConcurrentChange(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(object{"items": items(object{"registrationId": "one"})})
	service.edit(t, "/enrollments/one", func(entry map[string]any) { entry["provisioningStatus"] = "disabled" })
	tpm := object{"items": items(object{"registrationId": "one", "endorsementKey": endorsementKey})}
	if _, err := set.tryUp(tpm); err == nil || !strings.Contains(err.Error(), "run pulumi refresh") {
		t.Errorf("got %v, want that it was changed since the last refresh", err)
	}
	if entry := service.entry(t, "/enrollments/one"); entry["provisioningStatus"] != "disabled" {
		t.Errorf("the service holds %v, want it as the other client left it", entry)
	}
	set.refresh()
	set.up(tpm)
	if entry := service.entry(t, "/enrollments/one"); entry["attestation"].(map[string]any)["type"] != "tpm" {
		t.Errorf("after a refresh the service holds %v, want a TPM", entry)
	}
}

// An interrupted run may have created an enrollment without receiving its etag, and another client may have changed its
// keys since.
func TestAKeyThatChangedBeforeTheEtagArrivedIsReported(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	one, two := object{"registrationId": "one", "primaryKey": newKey(t)}, object{"registrationId": "two"}
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(object{"items": items(one)})
	service.edit(t, "/enrollments/one", func(entry map[string]any) {
		entry["attestation"].(map[string]any)["symmetricKey"].(map[string]any)["primaryKey"] = newKey(t)
	})
	record := strings.Fields(set.state.Get("devices").AsMap().Get("one").AsString())
	record[0] = "-"
	set.state = set.state.Set("devices", property.New(map[string]property.Value{"one": property.New(strings.Join(record,
		" "))}))
	set.up(object{"items": items(one, two)})
	if got := set.refresh(); !slices.Equal(got, []string{"items[0].primaryKey"}) {
		t.Errorf("refresh: got %v, want the key", got)
	}
}

func first[A, B any](a A, _ B) A { return a }
