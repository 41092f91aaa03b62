package topology_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/program/topology"
)

// faultsOf returns the errors of a local configuration, as "path: message".
func faultsOf(t *testing.T, config stack) []string {
	t.Helper()
	_, err := topology.Parse(local(config), "local")
	var faults topology.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var messages []string
	for _, f := range faults.List {
		messages = append(messages, f.Error())
	}
	return messages
}

func TestFaultsOfStructuredSettingsAreNamedByTheirPaths(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		key, value string
		want       []string
	}{
		{"devices", `["a","b",{"id":"c","devId":"x"}]`, []string{`devices[2]: unknown setting "devId"`}},
		{"devices", `[{"id":"c","hubs":"hub-1"}]`, []string{"devices[0].hubs: is a string, want a list"}},
		{"devices", `[{"id":"c","hubs":[["hub-1"]]}]`, []string{"devices[0].hubs[0]: is a list, want a string",
			`devices[0].hubs[0]: this stack has no hub ""`, "devices[0].hubs: lists no hub"}},
		{"devices", `[["a"],true,{"id":{}}]`, []string{
			"devices[0]: is a list, want an id or an object", "devices[1]: is true or false, want an id or an object",
			"devices[2].id: is an object, want a string"}},
		{"devices", `[{"id":"a b","primryKey":"x","hubs":3}]`, []string{
			"devices[0].hubs: is a number, want a list", `devices[0]: unknown setting "primryKey"`,
			`devices[0]: the registration id "a b" contains`}},
		{"devices", `press-1`, []string{`devices: is not a list: write it as ["press-1"]`}},
		{"devices", `press-1, press-2`, []string{`devices: is not a list: write it as ["press-1","press-2"]`}},
		{"devices", `4711`, []string{"devices: is a number, want a list"}},
		{"devices", `{"id":"a"}`, []string{"devices: is an object, want a list"}},
		{"devices", `["a-1"] ["b-1"]`, []string{"devices: unexpected data after the end"}},
		{"devices", `["a-1"], "b-1"`, []string{"devices: unexpected data after the end"}},
		{"devices", `["a-1" "b-1"]`, []string{"devices: is not valid JSON: look at character 8"}},
		{"devices", `["a-1",`, []string{"devices: is not valid JSON: it is truncated"}},
		{"enrollmentGroup", `{"id":"c","primryKey":"x"}`, []string{`enrollmentGroup: unknown setting "primryKey"`}},
		{"enrollmentGroup", `{"id":["c"]}`, []string{"enrollmentGroup.id: is a list, want a string"}},
		{"enrollmentGroup", `["c"]`, []string{"enrollmentGroup: is a list, want an id or an object"}},
		{"enrollmentGroup", `{"id":"c"} {"id":"d"}`, []string{"enrollmentGroup: unexpected data after the end"}},
		{"hubSettings", `{"hub-1":{"wieght":2},"hub-2":{"drain":"yes","capacity":1.5}}`, []string{
			`hubSettings.hub-1: unknown setting "wieght"`,
			"hubSettings.hub-2.capacity: is a number, want a whole number",
			"hubSettings.hub-2.drain: is a string, want true or false"}},
		{"hubSettings", `{"hub-1":5}`, []string{"hubSettings.hub-1: is a number, want an object"}},
		{"hubSettings", `["hub-1"]`, []string{"hubSettings: is a list, want an object"}},
		{"hubSettings", `{"hub-1":{}}{}`, []string{"hubSettings: unexpected data after the end"}},
		{"rotation", `{"link":"once","enrollments":{}}`,
			[]string{"rotation.enrollments: is an object, want a whole number",
				"rotation.link: is a string, want a whole number"}},
		{"emulator", `{"arm":1,"secret":2}`, []string{`emulator: unknown setting "secret"`}},
	} {
		t.Run(tc.key+"="+tc.value, func(t *testing.T) {
			got := faultsOf(t, stack{tc.key: tc.value})
			if len(got) != len(tc.want) {
				t.Errorf("%s %s: got %q, want %q", tc.key, tc.value, got, tc.want)
				return
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("%s %s: got %q, want %q", tc.key, tc.value, got[i], want)
				}
			}
		})
	}
}

// `pulumi config set --path` writes numbers and booleans where users mean strings (pulumi/pulumi issues 4295 and
// 17586).
func TestNumbersAreAcceptedAsStrings(t *testing.T) {
	t.Parallel()
	if got := faultsOf(t, stack{"hubSettings": `{"HUB-2":null}`}); len(got) != 1 ||
		!strings.HasPrefix(got[0], "hubSettings.HUB-2: unknown hub") {
		t.Errorf("got %q: names of resources have a letter case", got)
	}
	got, err := topology.Parse(local(stack{
		"devices":         `[4711, {"id": 12345678901234567890, "deviceId": 1.50}]`,
		"enrollmentGroup": `{"id": 2024}`,
		"hubSettings":     `{"hub-1":{"drain":"True","weight":"3"},"hub-2":null}`,
	}), "local")
	if err != nil {
		t.Fatal(err)
	}
	ids := fmt.Sprint(got.Fleet.ID, got.Devices[0].ID, got.Devices[1].ID, got.Devices[1].DeviceID)
	if want := fmt.Sprint("2024", "4711", "12345678901234567890", "1.50"); ids != want {
		t.Errorf("got ids %s, want %s", ids, want)
	}
	if diff := cmp.Diff(topology.Hub{Name: "hub-1", Location: "westeurope", SKU: "S1", Units: 1, Weight: 3,
		Drain: true}, got.Hubs[0]); diff != "" {
		t.Errorf("hub-1 (-want +got):\n%s", diff)
	}
}

func TestAByteOrderMarkBeforeASettingIsIgnored(t *testing.T) {
	t.Parallel()
	got, err := topology.Parse(
		local(stack{"devices": "\ufeff[\"a\"]\n", "manifest": "\ufeff[]", "enrollmentGroup": "\ufeff"}),
		"local",
	)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Devices) != 1 || got.Devices[0].ID != "a" || got.Manifest == nil || got.Fleet.ID != "devices" {
		t.Errorf("got %+v", got)
	}
}

func TestALocationHasOneSpelling(t *testing.T) {
	t.Parallel()
	got, err := topology.Parse(
		local(stack{"location": "West Europe", "hubSettings": `{"hub-2":{"location":" North  Europe "}}`}),
		"local",
	)
	if err != nil {
		t.Fatal(err)
	}
	if got.Location != "westeurope" || got.Hubs[0].Location != "westeurope" || got.Hubs[1].Location != "northeurope" {
		t.Errorf("got %q, %q, %q", got.Location, got.Hubs[0].Location, got.Hubs[1].Location)
	}
}

// TestNoConfigurationShowsAPrivateKey puts a private key, alone and beside a certificate, into every string.
func TestNoConfigurationShowsAPrivateKey(t *testing.T) {
	t.Parallel()
	a, err := deviceca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain, key, err := a.Issue("device-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	mark := strings.Split(string(key), "\n")[1][:24]
	for _, text := range []string{string(key), string(chain) + string(key), string(key) + string(chain)} {
		t.Run(text, func(t *testing.T) {
			quoted := fmt.Sprintf("%q", text)
			for name, config := range map[string]stack{
				"certificate": {"attestation": "x509", "certificate": text}, "its one line": {"attestation": "x509",
					"certificate": strings.ReplaceAll(text, "\n", " ")},
				"a device's":    {"devices": `[{"id":"device-1","certificate":` + quoted + `}]`},
				"its id":        {"devices": `[` + quoted + `]`},
				"its key":       {"devices": `[{"id":"a","primaryKey":` + quoted + `}]`},
				"its other key": {"devices": `[{"id":"a","secondaryKey":` + quoted + `}]`},
				"its device id": {"devices": `[{"id":"a","deviceId":` + quoted + `}]`},
				"its policy":    {"devices": `[{"id":"a","allocationPolicy":` + quoted + `}]`},
				"its hubs":      {"devices": `[{"id":"a","hubs":[` + quoted + `]}]`},
				"a member": {"devices": `[{` + quoted +
					`:1}]`}, "devices": {"devices": text},
				"group": {"enrollmentGroup": text}, "a group's key": {"enrollmentGroup": `{"primaryKey":` + quoted +
					`}`},
				"a group's certificate": {"enrollmentGroup": `{"certificate":` + quoted + `}`},
				"a hub's name":          {"hubSettings": `{"hub-1":{"name":` + quoted + `}}`},
				"a hub's sku":           {"hubSettings": `{"hub-1":{"sku":` + quoted + `}}`},
				"a hub":                 {"hubSettings": `{` + quoted + `:{}}`},
				"service":               {"provisioningService": text},
				"its key alone": {"provisioningService": serviceID,
					"provisioningKey": text, "provisioningPolicy": "p"},
				"policy": {"allocationPolicy": text}, "target": {"target": text}, "hubs": {"hubs": text},
				"rotation": {"rotation": `{` + quoted + `:1}`}, "time": {"expiresAt": text},
			} {
				t.Run(name, func(t *testing.T) {
					faults := faultsOf(t, config)
					if len(faults) == 0 {
						t.Errorf("%s: a private key was taken", name)
					}
					if strings.Contains(strings.Join(faults, "\n"), mark) {
						t.Errorf("%s: the fault shows the key: %s", name, faults)
					}
				})
			}
		})
	}
	faults := faultsOf(
		t,
		stack{"devices": `[{"id":"device-1","certificate":` + fmt.Sprintf("%q", string(chain)+string(key)) + `}]`},
	)
	if len(faults) != 1 ||
		!strings.HasPrefix(faults[0], "devices[0].certificate: contains a private key: remove it") {
		t.Errorf("got %q, want what is wrong with the certificate alone", faults)
	}
}

func TestAKeyLosesItsLineBreaks(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("QUJD", 21)
	broken := key[:64] + `\n` + key[64:] + `\n`
	for name, config := range map[string]stack{
		"a device's": {"devices": `[{"id":"a","primaryKey":"` + broken + `","secondaryKey":"` + broken + `"}]`},
		"a group's":  {"enrollmentGroup": `{"id":"a","primaryKey":"` + broken + `"}`},
	} {
		t.Run(name, func(t *testing.T) {
			given, err := topology.Parse(local(config), "local")
			if err != nil {
				t.Fatal(err)
			}
			for what, value := range config {
				clean, err := topology.Parse(local(stack{what: strings.ReplaceAll(value, `\n`, "")}), "local")
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(clean, given, cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
	if enrollment.CleanKey("a\nb") != "ab" {
		t.Error("a line break stays in a key")
	}
}
