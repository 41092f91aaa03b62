package provider_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

var indexPattern = regexp.MustCompile(`\[\d+\]$`)

// exists reports whether the path is among the properties of the schema: elements of lists have an index.
func exists(spec schema.PackageSpec, properties map[string]schema.PropertySpec, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	bare := indexPattern.ReplaceAllString(name, "")
	of, known := properties[bare]
	if !known {
		return false
	}
	ref := of.Ref
	if bare != name {
		if of.Items == nil {
			return false
		}
		ref = of.Items.Ref
	}
	return !more || exists(spec, spec.Types[strings.TrimPrefix(ref, "#/types/")].Properties, rest)
}

func TestASetIsChecked(t *testing.T) {
	t.Parallel()
	server, spec := startProvider(t, object{}), readSchema(t)
	textAsset, err := asset.FromText("registrationId\na\n")
	must(t, err)
	remote := &asset.Asset{Sig: asset.AssetSig, URI: "https://example.com/devices.csv", Hash: strings.Repeat("0", 64)}
	missing := &asset.Asset{Sig: asset.AssetSig, Path: "/nowhere/devices.csv", Hash: strings.Repeat("0", 64)}
	root, webhook := newAuthority(t, "root"), object{"webhookUrl": "https://f.example", "apiVersion": "2021-10-01"}
	for name, test := range map[string]struct {
		inputs object
		want   []string
	}{
		"nothing":         {object{}, []string{"items"}},
		"two sources":     {object{"items": items(), "manifestText": "registrationId\na"}, []string{"items"}},
		"an empty list":   {object{"items": items()}, nil},
		"a text asset":    {object{"manifest": property.New(textAsset)}, []string{"manifest"}},
		"a remote asset":  {object{"manifest": property.New(remote)}, []string{"manifest"}},
		"a missing file":  {object{"manifest": property.New(missing)}, []string{"manifest"}},
		"an unknown list": {object{"items": unknown}, nil},
		"an unknown id":   {object{"items": items(object{"registrationId": unknown})}, nil},
		"unknown parts": {object{"items": items(object{"registrationId": "a b", "primaryKey": unknown},
			object{"registrationId": "c", "allocationPolicy": unknown, "customAllocation": webhook},
			object{"registrationId": "C", "deviceId": ""}, object{"registrationId": unknown})},
			[]string{"items[0].registrationId", "items[2].deviceId", "items[2].registrationId"}},
		"an unknown item": {object{"items": property.New([]property.Value{unknown,
			property.New(object{"registrationId": "a b"}.properties())})}, []string{"items[1].registrationId"}},
		"an unknown column": {object{"manifestText": "registrationId,color\na,red"}, []string{"manifestText"}},
		"a byte order mark": {object{"manifestText": "\xef\xbb\xbfregistrationId\na"}, nil},
		"no column of ids":  {object{"manifestText": "deviceId\na"}, []string{"manifestText"}},
		"JSON with a typo": {object{"manifestText": `[{"registrationID":"a","tag":{}}]`},
			[]string{"manifestText"}},
		"JSON rows": {object{
			"manifestText": `[{"registrationId":7},{"registrationId":"a","reprovisionPolicy":{"migrateDeviceData":true}},{"registrationId":"b"}]`}, []string{"manifestText", "manifestText"}},
		"JSON that ends":    {object{"manifestText": `[{"registrationId":"a"}`}, []string{"manifestText"}},
		"an empty manifest": {object{"manifestText": " \n"}, []string{"manifestText"}},
		"a JSON object":     {object{"manifestText": `{"registrationId":"a"}`}, []string{"manifestText"}},
		"no rows":           {object{"manifestText": "registrationId\r\n"}, nil},
		"blank lines":       {object{"manifestText": "registrationId,deviceId\r\n\r\na,b\r\n  \r\n"}, nil},
		"invalid lines": {object{
			"manifestText": "registrationId,tags,iotEdge\na\nb,{\"x\":1},\nc,,,x\nd,,maybe"},
			[]string{"manifestText", "manifestText", "manifestText", "manifestText"}},
		"more than an object": {object{"manifestText": `registrationId,tags` + "\n" + `a,"{""x"":1} {""y"":2}"` +
			"\n" + `b,"{""x"":1}"`}, []string{"manifestText"}},
		"numbers that are kept": {object{
			"manifestText": `[{"registrationId":"a","optionalDeviceInformation":{"n":9007199254740992,"m":[0.1,-1e3,{"o":12345678901234567000}]}}]`}, nil},
		"too many digits": {object{
			"manifestText": `[{"registrationId":"a","tags":{"n":9007199254740993}},{"registrationId":"b","desiredProperties":{"m":[{"o":12345678901234567891}]}},{"registrationId":"c","optionalDeviceInformation":{"x":1e999}}]`}, []string{"manifestText", "manifestText", "manifestText"}},
		"digits in a cell": {object{"manifestText": `registrationId,tags` + "\n" + `a,"{""n"":9007199254740993}"` +
			"\n" + `b,"{""n"":[1,2]}"`}, []string{"manifestText"}},
		"invalid cells": {object{"manifestText": "registrationId,iotEdge,tags\na,maybe,\nb,,[1]\nc,yes,x"},
			[]string{"manifestText", "manifestText", "manifestText", "manifestText"}},
		"invalid rows": {object{"manifestText": "registrationId,primaryKey\na b,\nc,!"},
			[]string{"manifestText", "manifestText"}},
		"invalid device ids": {object{"items": items(object{"registrationId": "a", "deviceId": "a b"},
			object{"registrationId": "b", "deviceId": strings.Repeat("b", 129)})},
			[]string{"items[0].deviceId", "items[1].deviceId"}},
		"one fault for all": {object{"defaults": object{"allocationPolicy": "static"},
			"items": items(object{"registrationId": "a"}, object{"registrationId": "b"})},
			[]string{"defaults.iotHubs"}},
		"invalid defaults": {object{"defaults": object{"allocationPolicy": "random", "provisioningStatus": "off",
			"iotHubs": []string{"hub"}, "iotHubHostName": "hub", "customAllocation": object{"webhookUrl": "ftp://x",
				"apiVersion": "1"}}, "items": unknown}, []string{"defaults.allocationPolicy",
			"defaults.customAllocation.apiVersion", "defaults.customAllocation.webhookUrl", "defaults.iotHubHostName",
			"defaults.iotHubs", "defaults.provisioningStatus"}},
		"partly known defaults": {object{"defaults": object{"iotHubs": unknown},
			"items": items(object{"registrationId": "a", "allocationPolicy": "static", "primaryKey": "!"})},
			[]string{"items[0].primaryKey"}},
		"an item's own policy": {object{"items": items(object{"registrationId": "a", "allocationPolicy": "custom"},
			object{"registrationId": "b", "allocationPolicy": "static"})}, []string{"items[0].customAllocation",
			"items[1].iotHubs"}},
		"faults at the item": {object{"items": items(object{"registrationId": "a"},
			object{"registrationId": "A", "primaryKey": "!", "certificate": "x", "iotHubs": []string{"hub"},
				"deviceId": ""})},
			[]string{"items[1].allocationPolicy", "items[1].certificate", "items[1].deviceId", "items[1].iotHubs",
				"items[1].primaryKey", "items[1].registrationId", "items[1].registrationId"}},
		"an invalid prefix": {object{"idPrefix": "my stack-", "items": items(object{"registrationId": "a"},
			object{"registrationId": "b c"})}, []string{"idPrefix", "items[1].registrationId"}},
		"ids with a prefix": {object{"idPrefix": "one.", "items": items(object{"registrationId": ""},
			object{"registrationId": strings.Repeat("a", 124)}, object{"registrationId": strings.Repeat("a", 125)},
			object{"registrationId": "query"}, object{"registrationId": "b"}, object{"registrationId": "B"})},
			[]string{"items[0].registrationId", "items[2].registrationId", "items[5].registrationId"}},
		"names with a prefix": {object{"idPrefix": "one-",
			"items": items(object{"registrationId": "a", "certificate": root.leaf(t, "one-a", time.Hour)},
				object{"registrationId": "b", "certificate": root.leaf(t, "b", time.Hour)})},
			[]string{"items[1].certificate"}},
		"an unknown prefix": {object{"idPrefix": unknown,
			"items": items(object{"registrationId": "a", "certificate": root.leaf(t, "one-a", time.Hour)})}, nil},
		"certificates and TPMs": {object{"items": items(
			object{"registrationId": "a", "certificate": root.leaf(t, "a", -time.Hour),
				"secondaryCertificate": root.leaf(t, "b", time.Hour)},
			object{"registrationId": "b", "endorsementKey": "AAIB", "storageRootKey": "!"},
			object{"registrationId": "c", "caReference": "", "secondaryCaReference": "ca"})},
			[]string{"items[0].certificate", "items[0].secondaryCertificate", "items[1].endorsementKey",
				"items[1].storageRootKey", "items[2].caReference"}},
	} {
		t.Run(name, func(t *testing.T) {
			checked, err := server.Check(p.CheckRequest{Urn: "urn:pulumi:test::test::azure-dps:index:EnrollmentSet::x",
				Inputs: test.inputs.properties()})
			must(t, err)
			var got []string
			for _, failure := range checked.Failures {
				got = append(got, plainPath(failure))
				if !exists(spec, spec.Resources["azure-dps:index:EnrollmentSet"].InputProperties, plainPath(failure)) {
					t.Errorf("the schema has no property %s", failure.Property)
				}
			}
			if slices.Sort(got); !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", checked.Failures, test.want)
			}
		})
	}
}

func TestManyInlineItemsAreAdvisedAgainst(t *testing.T) {
	t.Parallel()
	set := manage(t, startProvider(t, object{}), "EnrollmentSet", "advised")
	set.check(object{"items": numbered(2001, 0)})
	if got := set.messages(); len(got) != 1 || !strings.HasPrefix(got[0], "WARN 2001 inline items") ||
		!strings.Contains(got[0], "manifest") {
		t.Errorf("got %q, want the advice to use a manifest", got)
	}
	set.check(object{"manifestText": numberedText(2001, 0)})
	if got := set.messages(); got != nil {
		t.Errorf("a manifest: got %q, want nothing", got)
	}
}

// TestAPreviewCountsTheDevices: the message says how many devices are added, changed and removed, with the first ids,
// whatever their source.
func TestAPreviewCountsTheDevices(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for name, source := range map[string]func(n, changed int) object{
		"items":        func(n, changed int) object { return object{"items": numbered(n, changed)} },
		"manifestText": func(n, changed int) object { return object{"manifestText": numberedText(n, changed)} },
	} {
		t.Run(name, func(t *testing.T) {
			set := manage(t, nextRun(t, server), "EnrollmentSet", "counted-"+name)
			set.up(source(12, 0))
			if got := set.messages(); got != nil {
				t.Errorf("%s: creation: got %q, want nothing", name, got)
			}
			before := service.cloud.lastRequest()
			for step, want := range map[[2]int]string{
				{12, 1}: "INFO enrollments: 1 changed (device-00000); 11 unchanged",
				{20,
					7}: "INFO enrollments: 8 added (device-00012, device-00013, device-00014, device-00015, " +
					"device-00016, …), " +
					"7 changed (device-00000, device-00001, device-00002, device-00003, device-00004, …); 5 unchanged",
				{10, 0}: "INFO enrollments: 2 removed (device-00010, device-00011); 10 unchanged",
			} {
				t.Run(fmt.Sprintf("%d devices, %d changed", step[0], step[1]), func(t *testing.T) {
					set.diff(set.check(source(step[0], step[1])))
					if got := set.messages(); !slices.Equal(got, []string{want}) {
						t.Errorf("%s: got %q, want %q", name, got, want)
					}
				})
			}
			if after := service.cloud.lastRequest(); after != before {
				t.Errorf("%s: the previews made %d calls", name, after-before)
			}
			service.remove(t, "/enrollments/device-00003")
			set.refresh()
			if got, want := set.messages(), "INFO enrollments: 1 differ from their declaration (device-00003)"; len(
				got) == 0 || got[0] != want {
				t.Errorf("%s: refresh: got %q, want %q first", name, got, want)
			}
			set.delete()
		})
	}
}

// TestTheDiffOfItemsIsPerDevice: each path is that of a device's item or of a changed default.
func TestTheDiffOfItemsIsPerDevice(t *testing.T) {
	t.Parallel()
	_, server := openService(t)
	spec := readSchema(t)
	set := manage(t, server, "EnrollmentSet", "devices")
	list := func(ids ...string) property.Value {
		var all []object
		for _, id := range ids {
			all = append(all, object{"registrationId": id})
		}
		return items(all...)
	}
	set.up(object{"items": list("a", "b", "c"), "defaults": object{"initialTwin": object{"tags": object{"x": "y"}}}})
	tags := object{"initialTwin": object{"tags": object{"x": "y"}}}
	for name, test := range map[string]struct {
		inputs object
		want   map[string]p.DiffKind
	}{
		"another order": {object{"items": list("c", "a", "b"), "defaults": tags}, nil},
		"one in the middle": {object{"items": list("a", "new", "b", "c"), "defaults": tags},
			map[string]p.DiffKind{"items[1]": p.Add}},
		"one is removed": {object{"items": list("b", "c"), "defaults": tags},
			map[string]p.DiffKind{"items[0]": p.Delete}},
		"one for another": {object{"items": list("a", "new", "c"), "defaults": tags},
			map[string]p.DiffKind{"items[1]": p.Update}},
		"other defaults": {object{"items": list("a", "b", "c"),
			"defaults": object{"provisioningStatus": "disabled"}},
			map[string]p.DiffKind{"defaults.initialTwin.tags": p.Update, "defaults.provisioningStatus": p.Update}},
		"authorities for all": {object{"items": list("a", "b", "c"),
			"defaults": object{"initialTwin": tags["initialTwin"], "caReferences": object{"primary": "ca"}}},
			map[string]p.DiffKind{"defaults.caReferences": p.Update}},
		"another attestation": {object{"items": items(object{"registrationId": "a", "caReference": "ca"},
			object{"registrationId": "b"}, object{"registrationId": "c"}), "defaults": tags},
			map[string]p.DiffKind{"items[0]": p.Update}},
		"two properties of one": {object{"items": items(object{"registrationId": "a"},
			object{"registrationId": "b", "deviceId": "d", "tags": object{"x": "z"}}, object{"registrationId": "c"}),
			"defaults": tags}, map[string]p.DiffKind{"items[1].deviceId": p.Update, "items[1].tags": p.Update}},
		"a manifest instead": {object{"manifestText": "registrationId\na\nb\n", "defaults": tags},
			map[string]p.DiffKind{"manifestText": p.Update}},
	} {
		t.Run(name, func(t *testing.T) {
			_, response := set.diff(set.check(test.inputs))
			got := map[string]p.DiffKind{}
			for path, diff := range response.DetailedDiff {
				got[path] = diff.Kind
				if !exists(spec, spec.Resources["azure-dps:index:EnrollmentSet"].Properties, path) {
					t.Errorf("%s: the schema has no property %s", name, path)
				}
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("%s: got %v, want %v", name, got, test.want)
			}
		})
	}
}
