package iothub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"evenkeel/internal/azure/sas"
)

// Requests of the extension azure-iot 0.25.0 of the Azure CLI. The sources are its files.

// operations/hub.py, iot_device_method: the timeouts are strings unless the user sets them.
func TestNumbersAndBooleansMayBeQuoted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.owner("PUT", "/devices/d1", `{"capabilities":{"iotEdge":"True"}}`).want(t, "create", http.StatusOK).wantField(t,
		"capabilities.iotEdge", true)
	for body, want := range map[string]string{
		`{"methodName":"m","responseTimeoutInSeconds":"30"}`:                                 "DeviceNotOnline",
		`{"methodName":"m","responseTimeoutInSeconds":" 30 ","connectTimeoutInSeconds":"0"}`: "DeviceNotOnline",
		`{"methodName":"m","responseTimeoutInSeconds":30,"connectTimeoutInSeconds":null}`:    "DeviceNotOnline",
		`{"methodName":"m","responseTimeoutInSeconds":null}`:                                 "DeviceNotOnline",
		`{"methodName":"m","responseTimeoutInSeconds":"4"}`:                                  "responseTimeoutInSeconds is 5 to 300",
		`{"methodName":"m","responseTimeoutInSeconds":"soon"}`:                               "responseTimeoutInSeconds cannot be a JSON string",
		`{"methodName":"m","responseTimeoutInSeconds":"null"}`:                               "responseTimeoutInSeconds cannot be a JSON string",
		`{"methodName":"m","connectTimeoutInSeconds":"1.5"}`:                                 "connectTimeoutInSeconds cannot be a JSON string",
	} {
		t.Run(body, func(t *testing.T) {
			if a := f.owner("POST", "/twins/d1/methods", body); !strings.Contains(a.body+
				a.header.Get("iothub-errorcode"), want) {
				t.Errorf("%s: got %d %s, want %s", body, a.status, a.body, want)
			}
		})
	}
	f.owner("PUT", "/devices/d2", `{"capabilities":{"iotEdge":"maybe"}}`).want(t, "no truth value",
		http.StatusBadRequest)
}

// operations/hub.py, iot_device_children_list.
func TestArrayContainsFindsChildren(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	parent := f.owner("PUT", "/devices/edge", `{"capabilities":{"iotEdge":true}}`).want(t, "create", http.StatusOK)
	scope := parent.field(t, "deviceScope").(string)
	for _, id := range []string{"a", "b"} {
		f.owner("PUT", "/devices/"+id, fmt.Sprintf(`{"deviceScope":%q}`, scope)).want(t, "create", http.StatusOK)
	}
	f.owner("PUT", "/devices/c", `{}`).want(t, "create", http.StatusOK)
	f.owner("PATCH", "/twins/c", `{"tags":{"n":[1,"x",true],"s":"x"}}`).want(t, "tag", http.StatusOK)
	for where, want := range map[string]string{
		"array_contains(parentScopes, '" + scope + "')":                   "a b",
		"ARRAY_CONTAINS(devices.parentScopes, '" + scope + "0')":          "",
		"NOT ARRAY_CONTAINS(tags.n, 'y') AND is_defined(tags.n)":          "c",
		"array_contains(tags.n, 1)":                                       "c",
		"array_contains(tags.n, '1')":                                     "",
		"array_contains(tags.s, 'x')":                                     "",
		"array_contains(tags.n, tags.s) AND array_contains(tags.n, true)": "c",
	} {
		t.Run(where, func(t *testing.T) {
			if got := f.ask("SELECT * FROM devices WHERE " + where); got != want {
				t.Errorf("%s: got %q, want %q", where, got, want)
			}
		})
	}
}

// tests/iothub/devices/test_iothub_devices_int.py: --ee false sends the scope that the device had as an edge device.
func TestAnEdgeDeviceCanBecomeAnOrdinaryDevice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	above := f.owner("PUT", "/devices/above", `{"capabilities":{"iotEdge":true}}`).want(t, "create",
		http.StatusOK).field(t, "deviceScope").(string)
	for name, parents := range map[string]string{"lone": "", "below": above} {
		t.Run(name, func(t *testing.T) {
			body := `{"capabilities":{"iotEdge":true}}`
			if parents != "" {
				body = fmt.Sprintf(`{"capabilities":{"iotEdge":true},"parentScopes":[%q]}`, parents)
			}
			a := f.owner("PUT", "/devices/"+name, body).want(t, "create", http.StatusOK)
			back := strings.Replace(a.body, `"iotEdge":true`, `"iotEdge":false`, 1)
			for range 2 { // the second time it is no longer an edge device
				a = f.owner("PUT", "/devices/"+name, back, "If-Match", "*").want(t, "send back", http.StatusOK)
			}
			if want := `"deviceScope":"` + parents + `"`; strings.Contains(a.body, "deviceScope") != (parents != "") ||
				parents != "" && !strings.Contains(a.body, want) {
				t.Errorf("%s: got %s, want the scope %q", name, a.body, parents)
			}
		})
	}
}

// The same file: empty keys request new ones.
func TestEmptyKeysAreGenerated(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.keysOf(t, f.owner("PUT", "/devices/d1", `{}`).want(t, "create", http.StatusOK))
	for _, test := range []struct {
		body               string
		primary, secondary bool // whether the key stays
	}{
		{`{"primaryKey":null,"secondaryKey":null}`, true, true}, {`{}`, true, true},
		{`{"primaryKey":"","secondaryKey":""}`, false, false},
		{`{"primaryKey":"","secondaryKey":"%[2]s"}`, false, true}, {`{"primaryKey":"%[1]s","secondaryKey":""}`, true,
			false},
	} {
		t.Run(test.body, func(t *testing.T) {
			body := strings.NewReplacer("%[1]s", key[0], "%[2]s", key[1]).Replace(test.body)
			a := f.owner("PUT", "/devices/d1", `{"authentication":{"type":"sas","symmetricKey":`+body+`}}`, "If-Match",
				"*").want(t, body, http.StatusOK)
			got := f.keysOf(t, a)
			if (got[0] == key[0]) != test.primary || (got[1] == key[1]) != test.secondary {
				t.Errorf("%s: got primary kept %t, secondary kept %t", body, got[0] == key[0], got[1] == key[1])
			}
			key = got
		})
	}
}

// operations/hub.py, _iot_key_regenerate_batch.
func TestKeysAreRegeneratedInBulk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"d1", "d2"} {
		f.owner("PUT", "/devices/"+id, `{}`).want(t, "create", http.StatusOK)
	}
	f.owner("PUT", "/devices/ca", `{"authentication":{"type":"certificateAuthority"}}`).want(t, "create", http.StatusOK)
	held := func(id string) [2]string { return f.keysOf(t, f.owner("GET", "/devices/"+id, "")) }
	type rotation struct {
		PolicyKey   string
		RotatedKeys []struct{ ID, PrimaryKey, SecondaryKey string }
		Errors      []struct{ ID, ModuleID, ErrorCode string }
	}
	for _, test := range []struct {
		path, policy       string
		primary, secondary bool // whether the key changes
	}{
		{"/devices/keys/regenerate", "primaryKey", true, false}, {"/Devices/Keys/Regenerate", "SecondaryKey", false,
			true}, {"/devices/keys/regenerate", "both", true, true},
	} {
		t.Run(test.policy, func(t *testing.T) {
			before := held("d1")
			a := f.owner("POST", test.path, `{"policyKey":"`+test.policy+`","devices":[{"id":"d1"},{"id":"d2"}]}`).want(t,
				test.policy, http.StatusOK)
			var got rotation
			if err := json.Unmarshal([]byte(a.body), &got); err != nil ||
				!strings.EqualFold(got.PolicyKey, test.policy) || len(got.RotatedKeys) != 2 || got.Errors == nil {
				t.Fatalf("%s: got %s, want two devices", test.policy, a.body)
			}
			after := held("d1")
			if (after[0] != before[0]) != test.primary || (after[1] != before[1]) != test.secondary ||
				got.RotatedKeys[0].PrimaryKey != after[0] || got.RotatedKeys[0].SecondaryKey != after[1] {
				t.Errorf("%s: got %+v after %v, held %v", test.policy, got, before, after)
			}
		})
	}
	some := f.owner("POST", "/devices/keys/regenerate",
		`{"policyKey":"primaryKey","devices":[{"id":"none"},{"id":"ca"},{"id":"d1","moduleId":"m"},{"id":"d1"}]}`)
	var got rotation
	if err := json.Unmarshal([]byte(some.want(t, "some", http.StatusMultiStatus).body), &got); err != nil ||
		len(got.RotatedKeys) != 1 || len(got.Errors) != 3 {
		t.Errorf("got %s, want one new key and three errors", some.body)
	}
	for i, want := range []string{"DeviceNotFound", "ArgumentInvalid", "ModuleNotFound"} {
		t.Run(want, func(t *testing.T) {
			if got.Errors[i].ErrorCode != want {
				t.Errorf("got %+v, want %s", got.Errors[i], want)
			}
		})
	}
	f.owner("POST", "/devices/keys/regenerate", `{"policyKey":"primaryKey","devices":[{"id":"none"}]}`).want(t, "none",
		http.StatusBadRequest)
	f.owner("POST", "/devices/keys/regenerate", `{"policyKey":"swap","devices":[{"id":"d1"}]}`).want(t,
		"another policy key", http.StatusBadRequest)
	f.owner("POST", "/devices/keys/regenerate", `{"policyKey":"both","devices":[]}`).want(t, "no device",
		http.StatusBadRequest)
	f.owner("PUT", "/devices/keys", `{}`).want(t, "a device of that name", http.StatusOK)
	f.owner("GET", "/devices/keys", "").want(t, "a device of that name", http.StatusOK)
}

// keysOf returns the keys in an answer.
func (f *fixture) keysOf(t *testing.T, a answer) [2]string {
	t.Helper()
	var keys [2]string
	for i, name := range []string{"primaryKey", "secondaryKey"} {
		keys[i] = a.field(t, "authentication.symmetricKey."+name).(string)
		if _, err := sas.DecodeKey(keys[i]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	return keys
}
