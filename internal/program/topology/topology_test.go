package topology_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/program/topology"
)

// stack is a configuration by key.
type stack map[string]string

func (s stack) Get(key string) (string, bool) {
	value, ok := s[key]
	return value, ok
}

const identityID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"

const serviceID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/shared-dps"

// folder is a configuration whose files are in a map.
type folder struct {
	stack
	files map[string]string
}

func (f folder) File(name string) ([]byte, error) {
	text, ok := f.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

// authority is the certificate of a CA, leaf that of a device.
func authority(t *testing.T) string {
	t.Helper()
	a, err := deviceca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(a.PEM())
}

func leaf(t *testing.T) string {
	t.Helper()
	a, err := deviceca.Open(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := a.Issue("device-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return string(chain)
}

// local adds to a configuration what keel writes for a local stack.
func local(more stack) stack {
	s := stack{"endpoint": "https://127.0.0.1:1", "caFile": "/ca.pem"}
	for key, value := range more {
		s[key] = value
	}
	return s
}

func TestAnEmptyConfigurationIsTwoEvenHubsAndTheTutorialsDevices(t *testing.T) {
	t.Parallel()
	got, err := topology.Parse(local(nil), "local")
	if err != nil {
		t.Fatal(err)
	}
	want := []topology.Hub{
		{Name: "hub-1", Location: "westeurope", SKU: "S1", Units: 1, Weight: 1},
		{Name: "hub-2", Location: "westeurope", SKU: "S1", Units: 1, Weight: 1},
	}
	if diff := cmp.Diff(want, got.Hubs); diff != "" {
		t.Errorf("hubs (-want +got):\n%s", diff)
	}
	if got.Policy != "Hashed" || got.Fleet.ID != "devices" || got.Target != topology.Local {
		t.Errorf("got policy %q, group %q, target %q", got.Policy, got.Fleet.ID, got.Target)
	}
	if len(got.Devices) != 2 || got.Devices[0].ID != "device-1" || got.Devices[1].ID != "device-2" {
		t.Errorf("got devices %v", got.Devices)
	}
}

func TestHubSettingsApplyToTheirHubAndARemovedOneLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	got, err := topology.Parse(local(stack{
		"hubs": "3", "location": "northeurope",
		"hubSettings": `{"hub-2": {"remove": true}, "hub-3": {"weight": 1000, "sku": "s2", "capacity": 200, "location": "uksouth", "drain": true, "name": "my-hub"}}`,
	}), "local")
	if err != nil {
		t.Fatal(err)
	}
	want := []topology.Hub{
		{Name: "hub-1", Location: "northeurope", SKU: "S1", Units: 1, Weight: 1},
		{Name: "hub-3", AzureName: "my-hub", Location: "uksouth", SKU: "S2", Units: 200, Weight: 1000, Drain: true},
	}
	if diff := cmp.Diff(want, got.Hubs); diff != "" {
		t.Errorf("hubs (-want +got):\n%s", diff)
	}
}

func TestAHubThatRefusesKeysIsLinkedByIdentity(t *testing.T) {
	t.Parallel()
	const id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/provisioningServices/theirs"
	for name, tc := range map[string]struct {
		settings stack
		want     bool
	}{
		"refused keys": {stack{"provisioningService": id, "linkAuthentication": "SystemAssigned",
			"hubSettings": `{"hub-1":{"disableLocalAuth":true}}`}, true},
		"accepted": {stack{"provisioningService": id, "hubSettings": `{"hub-1":{"disableLocalAuth":false}}`}, false},
		"removed, of a service of its own": {stack{
			"hubSettings": `{"hub-1":{"disableLocalAuth":true,"remove":true}}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.settings["target"] = "azure"
			got, err := topology.Parse(tc.settings, "local")
			if err != nil {
				t.Fatal(err)
			}
			refuses := func(h topology.Hub) bool { return h.DisableLocalAuth }
			if slices.ContainsFunc(got.Hubs, refuses) != tc.want {
				t.Errorf("got %+v, want one with DisableLocalAuth: %t", got.Hubs, tc.want)
			}
		})
	}
}

func TestEveryFaultIsNamedByItsKey(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 129)
	for name, tc := range map[string]struct {
		config stack
		want   []string // "key: part of the message"
	}{
		"no hubs":       {stack{"hubs": "0"}, []string{"hubs: 0 is not between 1 and 50"}},
		"too many hubs": {stack{"hubs": "51"}, []string{"hubs: 51 is not between"}},
		"hubs in words": {stack{"hubs": "three"}, []string{`hubs: "three" is not a whole number`}},
		"a hub that refuses the key of its link": {stack{"hubSettings": `{"hub-2":{"disableLocalAuth":true}}`},
			[]string{"hubSettings.hub-2.disableLocalAuth: the hub would refuse the key of its link"}},
		"the same at another's service": {stack{"target": "azure", "endpoint": "", "caFile": "",
			"provisioningService": serviceID, "hubSettings": `{"hub-2":{"disableLocalAuth":true}}`},
			[]string{"hubSettings.hub-2.disableLocalAuth: the hub would refuse the key of its link"}},
		"the same in a stack that shares its service": {stack{"target": "azure", "endpoint": "", "caFile": "",
			"shared": "true", "hubSettings": `{"hub-2":{"disableLocalAuth":true}}`},
			[]string{"hubSettings.hub-2.disableLocalAuth: the hub would refuse the key of its link"}},
		"light": {stack{"hubSettings": `{"hub-1":{"weight":0}}`},
			[]string{"hubSettings.hub-1.weight: 0 is not between 1 and 1000"}},
		"heavy": {stack{"hubSettings": `{"hub-2":{"weight":1001}}`},
			[]string{"hubSettings.hub-2.weight: 1001 is not"}},
		"weight in words": {stack{"hubSettings": `{"hub-2":{"weight":"much"}}`},
			[]string{"hubSettings.hub-2.weight: is a string, want a whole number"}},
		"policy": {stack{"allocationPolicy": "Random"},
			[]string{`allocationPolicy: "Random" is not one of Hashed, GeoLatency, Static`}},
		"custom by default": {stack{"allocationPolicy": "Custom"}, []string{`allocationPolicy: "Custom"`}},
		"sku": {stack{"hubSettings": `{"hub-1":{"sku":"S9"}}`},
			[]string{`hubSettings.hub-1.sku: "S9" is not one of B1, B2, B3, F1, S1, S2, S3`}},
		"units": {stack{"hubSettings": `{"hub-1":{"sku":"F1","capacity":2}}`},
			[]string{"hubSettings.hub-1.capacity: 2 is not between 1 and 1"}},
		"hub name": {stack{"hubSettings": `{"hub-1":{"name":"a_b"}}`},
			[]string{`hubSettings.hub-1.name: "a_b" is not a valid hub name`}},
		"one name twice": {stack{"hubSettings": `{"hub-1":{"name":"press"},"hub-2":{"name":"Press"}}`},
			[]string{`hubSettings.hub-2.name: "Press" is already the name of hub-1`}},
		"empty location": {stack{"hubSettings": `{"hub-1":{"location":" "}}`},
			[]string{"hubSettings.hub-1.location: is empty"}},
		"absent hub": {stack{"hubSettings": `{"hub-9":{}}`}, []string{"hubSettings.hub-9: unknown hub"}},
		"misspelt setting": {stack{"hubSettings": `{"hub-1":{"wieght":2}}`},
			[]string{`hubSettings.hub-1: unknown setting "wieght"`}},
		"not JSON": {stack{"hubSettings": `{`}, []string{"hubSettings: is not valid JSON: it is truncated"}},
		"all drained": {stack{"hubSettings": `{"hub-1":{"drain":true},"hub-2":{"drain":true}}`},
			[]string{"hubSettings: drains every hub"}},
		"all removed": {stack{"hubs": "1", "hubSettings": `{"hub-1":{"remove":true}}`},
			[]string{"hubSettings: removes every hub"}},
		"drained of what is": {stack{"hubSettings": `{"hub-1":{"drain":true},"hub-2":{"remove":true}}`},
			[]string{"hubSettings: drains every hub"}},
		"forbidden letter": {stack{"devices": `["device/1"]`}, []string{"devices[0]: "}},
		"long id":          {stack{"devices": `["ok", "` + long + `"]`}, []string{"devices[1]: "}},
		"empty id":         {stack{"devices": `[{}]`}, []string{"devices[0]: "}},
		"twice": {stack{"devices": `["a", "b", "A"]`},
			[]string{`devices[2]: "A" is already enrolled by devices[0]`}},
		"device id": {stack{"devices": `[{"id":"a","deviceId":"a/b"}]`},
			[]string{"devices[0].deviceId: the device id \"a/b\" contains '/'"}},
		"not a list": {stack{"devices": "device-1"}, []string{"devices: "}},
		"key": {stack{"devices": `[{"id":"a","primaryKey":"%%%"}]`},
			[]string{"devices[0].primaryKey: "}},
		"short key": {stack{"devices": `[{"id":"a","secondaryKey":"YQ=="}]`},
			[]string{"devices[0].secondaryKey: "}},
		"group key": {stack{"enrollmentGroup": `{"id":"g","primaryKey":"no"}`},
			[]string{"enrollmentGroup.primaryKey: "}},
		"group id": {stack{"enrollmentGroup": "bad group"}, []string{"enrollmentGroup: "}},
		"certificate": {stack{"devices": `[{"id":"a","certificate":"-----BEGIN"}]`},
			[]string{"devices[0].certificate: "}},
		"absent hub of one": {stack{"devices": `[{"id":"a","hubs":["hub-7"]}]`},
			[]string{`devices[0].hubs[0]: this stack has no hub "hub-7"`, "devices[0].hubs: lists no hub"}},
		"static without hub": {stack{"devices": `[{"id":"a","allocationPolicy":"static"}]`},
			[]string{"devices[0].hubs: the static allocation policy needs exactly one hub"}},
		"drained static hub": {stack{"hubSettings": `{"hub-1":{"drain":true}}`,
			"devices": `[{"id":"a","hubs":["hub-1"],"allocationPolicy":"static"}]`},
			[]string{"devices[0].hubs: lists no hub that accepts new devices", "devices[0].hubs: the static"}},
		"time":   {stack{"expiresAt": "tomorrow"}, []string{`expiresAt: "tomorrow" is not a time`}},
		"target": {stack{"target": "moon"}, []string{`target: "moon" is not one of local, azure`}},
		"azure's secretFile": {stack{"target": "azure", "endpoint": "", "caFile": "", "secretFile": "/s"},
			[]string{"secretFile: belongs to an emulator"}},
		"no emulator":       {stack{"endpoint": "", "caFile": ""}, []string{"endpoint: a local stack needs"}},
		"emulator on azure": {stack{"target": "azure"}, []string{"endpoint: is the address of an emulator"}},
		"attestation": {stack{"attestation": "tpm"},
			[]string{`attestation: "tpm" is not one of symmetricKey, x509`}},
		"no authority": {stack{"attestation": "x509"},
			[]string{"certificate: attestation x509 needs the certificate"}},
		"no such file": {stack{"attestation": "x509", "certificate": "gone.pem"},
			[]string{"certificate: is neither the PEM text of a certificate nor a file that can be read"}},
		"no certificate": {stack{"attestation": "x509", "certificate": "-----BEGIN CERTIFICATE-----"},
			[]string{"certificate: "}},
		"not an authority": {stack{"attestation": "x509", "certificate": leaf(t)},
			[]string{"certificate: the certificate of \"device-1\" is not a certificate authority"}},
		"keys of a group": {stack{"attestation": "x509", "certificate": authority(t),
			"enrollmentGroup": `{"id":"g","primaryKey":"` + strings.Repeat("A", 44) + `"}`},
			[]string{"enrollmentGroup: has keys, but with attestation x509"}},
		"no such manifest": {stack{"manifest": "gone.csv"},
			[]string{"manifest: is neither a list of devices (JSON, or CSV of several lines) nor a file that can be " +
				"read"}},
		"a static list": {stack{"provisioningService": serviceID, "allocationPolicy": "Static", "manifest": "[]",
			"devices": "[]", "enrollmentGroup": `{"id":"g","hubs":["hub-1"]}`},
			[]string{"manifest: the static allocation policy needs exactly one hub, but 2", "emulator: "}},
		"rotated policy": {stack{"rotation": `{"enrollment":1}`},
			[]string{"rotation.enrollment: unknown policy: use one of link, operator"}},
		"rotated back": {stack{"rotation": `{"link":-1}`}, []string{"rotation.link: -1 is negative"}},
		"rotation in words": {stack{"rotation": `{"link":"once"}`},
			[]string{"rotation.link: is a string, want a whole number"}},
		"no service": {stack{"provisioningService": "provisioning"},
			[]string{`provisioningService: "provisioning" is not the resource id of a provisioning service`}},
		"half an access": {stack{"provisioningService": serviceID, "provisioningPolicy": "enrollments",
			"emulator": "{}"}, []string{
			"provisioningKey: set both provisioningPolicy and provisioningKey", "emulator.arm: "}},
		"access to nothing": {stack{"provisioningKey": strings.Repeat("A", 44)},
			[]string{"provisioningKey: is only for an existing service"}},
		"both forms": {stack{"provisioningService": serviceID, "shared": "true"},
			[]string{"shared: a stack either shares its own service or uses the one",
				"emulator: a local stack that shares"}},
		"shared in words": {stack{"shared": "perhaps"}, []string{`shared: "perhaps" is not one of true, false`}},
		"links of others": {stack{"provisioningService": serviceID, "dropLinks": "true"},
			[]string{"dropLinks: is a setting of the stack that owns", "emulator: "}},
		"an identity at the stack's own service": {stack{"linkAuthentication": "systemassigned"},
			[]string{"linkAuthentication: SystemAssigned needs a provisioning service that this program does not " +
				"declare"}},
		"an identity at a shared service": {stack{"linkAuthentication": "UserAssigned", "shared": "true"},
			[]string{"emulator: ", "linkIdentity: required with linkAuthentication UserAssigned",
				"linkAuthentication: UserAssigned needs a provisioning service"}},
		"an identity without its kind": {stack{"linkIdentity": identityID, "provisioningService": serviceID},
			[]string{"linkIdentity: is only for linkAuthentication UserAssigned: remove it", "emulator: "}},
		"an identity of another kind": {stack{"linkAuthentication": "UserAssigned", "linkIdentity": serviceID,
			"provisioningService": serviceID},
			[]string{"linkIdentity: " + `"` + serviceID + `" is not the resource id of a user-assigned`, "emulator: "}},
		"a password": {stack{"linkAuthentication": "Password"},
			[]string{`linkAuthentication: "Password" is not one of KeyBased, SystemAssigned, UserAssigned`}},
		"a secret elsewhere": {stack{"shared": "true", "emulator": `{"arm":"https://127.0.0.1:1","secretFile":"gone"}`},
			[]string{"emulator.secretFile: cannot be read"}},
		"three at once": {stack{"hubs": "0", "allocationPolicy": "x", "owner": "me", "createdAt": "y"},
			[]string{"hubs: ", "allocationPolicy: ", "createdAt: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := topology.Parse(local(tc.config), "local")
			var faults topology.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("got %v, want faults", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), "\n  "+want) {
					t.Errorf("got %v\nwant a line with %q", err, want)
				}
			}
			if len(faults.List) != len(tc.want) {
				t.Errorf("got %d faults, want %d: %v", len(faults.List), len(tc.want), err)
			}
		})
	}
}

func TestAnAuthoritysNameFollowsFromItsCertificate(t *testing.T) {
	t.Parallel()
	text := authority(t)
	parse := func(certificate string, files map[string]string) *topology.Authority {
		got, err := topology.Parse(folder{local(stack{"attestation": "x509", "certificate": certificate}), files},
			strings.Repeat("s", 100))
		if err != nil {
			t.Fatal(err)
		}
		return got.Authority
	}
	given := parse(text, nil)
	if len(given.Name) != 64 || !strings.HasSuffix(given.Name, "-"+given.Thumbprint[:8]) {
		t.Errorf("got name %q of %d characters, want 64 that end in the thumbprint %s", given.Name, len(given.Name),
			given.Thumbprint)
	}
	// The private key beside it is not passed on, so nothing changes.
	if diff := cmp.Diff(given, parse(
		"ca.pem", map[string]string{"ca.pem": "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n" + text}),
		cmp.AllowUnexported(topology.Authority{})); diff != "" {
		t.Errorf("as a file (-want +got):\n%s", diff)
	}
	if other := parse(authority(t), nil); other.Name == given.Name {
		t.Errorf("got the name %q for two authorities", other.Name)
	}
}

func TestAFaultNeverShowsAKey(t *testing.T) {
	t.Parallel()
	const key = "c2VjcmV0LXNlY3JldC1zZWNyZXQ$"
	_, err := topology.Parse(local(stack{"devices": `[{"id":"a","primaryKey":"` + key + `"}]`}), "local")
	if err == nil || strings.Contains(err.Error(), key) {
		t.Errorf("got %v", err)
	}
}

// TestADeviceThatTheManifestDeclaresTooIsRefused, in every format of the manifest, before any resource is registered.
func TestADeviceThatTheManifestDeclaresTooIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"CSV":                     "registrationId,deviceId\nother,a\nPress-1,b\n",
		"CSV of a spreadsheet":    "\ufeffsep=;\r\ndeviceId;registrationId \r\na;other\r\nb;press-1\r\n",
		"CSV with a broken line":  "registrationId\n\"a\"b\npress-1\n",
		"JSON":                    `[{"registrationId":"other"},{"registrationId":"press-1"}]`,
		"JSON with a wrong value": `[{"registrationId":"press-1"},{"registrationId":7}]`,
	} {
		t.Run(name, func(t *testing.T) {
			for form, source := range map[string]folder{
				"file": {local(stack{"devices": `["device-1","press-1"]`, "manifest": "m.csv"}),
					map[string]string{"m.csv": text}},
				"text": {local(stack{"devices": `["device-1","press-1"]`, "manifest": text + "\n"}), nil},
			} {
				t.Run(form, func(t *testing.T) {
					if form == "text" && strings.HasPrefix(text, "\ufeff") {
						return // a configuration value cannot begin with a byte order mark
					}
					_, err := topology.Parse(source, "dev")
					if err == nil || !strings.Contains(err.Error(), "manifest: ") ||
						!strings.Contains(err.Error(), "devices[1] declares it too") {
						t.Errorf("%s, %s: got %v, want the manifest refused for devices[1]", name, form, err)
					}
				})
			}
		})
	}
	source := folder{local(stack{"devices": `["device-1"]`, "manifest": "m.csv"}),
		map[string]string{"m.csv": "registrationId,deviceId\nother,device-1\n"}}
	if _, err := topology.Parse(source, "dev"); err != nil {
		t.Errorf("the id of another column: got %v", err)
	}
}

func TestTheEmulatorsSecretIsReadFromItsFile(t *testing.T) {
	t.Parallel()
	readFile := func(name string) ([]byte, error) {
		if name == "/secret" {
			return []byte("the-secret\n"), nil
		}
		return nil, fs.ErrNotExist
	}
	for file, want := range map[string]string{"/secret": "the-secret", "/gone": "", "": ""} {
		t.Run(fmt.Sprintf("%q", file), func(t *testing.T) {
			got, err := (&topology.Topology{SecretFile: file}).EmulatorSecret(readFile)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("%q: got %q, %v, want %q", file, got, err, want)
			}
			if err != nil && !strings.Contains(err.Error(), "keel up") {
				t.Errorf("%q: got %v, want what writes it", file, err)
			}
		})
	}
}
