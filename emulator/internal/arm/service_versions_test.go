package arm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

const dps = "/providers/Microsoft.Devices/provisioningServices/dps-1?api-version="

// member returns what is at a path of a JSON object, "" for nothing. A number is the place in a list.
func member(t testing.TB, body string, path ...any) string {
	t.Helper()
	var at any
	if err := json.Unmarshal([]byte(body), &at); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := at.(map[string]any)
			at = object[step]
		case int:
			list, _ := at.([]any)
			if step >= len(list) {
				return ""
			}
			at = list[step]
		}
	}
	if at == nil {
		return ""
	}
	return fmt.Sprint(at)
}

// Source: iotdps.json of 2022-12-12, 2023-03-01-preview, 2026-08-31 and 2026-11-01.
func TestAVersionShowsAndTakesTheMembersThatItHas(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	put := func(version, properties, more string) (int, string) {
		return s.call(
			"PUT",
			dps+version,
			`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`+properties+`}`+more+`}`,
		)
	}
	const on, identity = `"disableLocalAuth":true,"enableDataResidency":null`,
		`,"identity":{"type":"SystemAssigned","userAssignedIdentities":null}`
	if status, body := put("2026-11-01", on+`,"deviceRegistryNamespaces":[],"idScope":"x"`, identity+
		`,"etag":null,"id":"/x"`); status != http.StatusCreated {
		t.Fatalf("got %d %s, want nulls and read-only members taken", status, body)
	}
	for version, want := range map[string][3]string{ // disableLocalAuth, identity.type, deviceRegistryNamespaces
		"2017-11-15": {"", "", ""}, "2021-10-15": {"", "", ""}, "2022-12-12": {"", "", ""},
		"2023-03-01-preview": {"", "SystemAssigned", ""},
		"2025-02-01-preview": {"", "SystemAssigned", ""}, "2026-06-01-preview": {"true", "SystemAssigned", ""},
		"2026-08-31": {"true", "SystemAssigned", ""},
		"2026-11-01": {"true", "SystemAssigned", "[]"}, "2026-11-02-preview": {"true", "SystemAssigned", "[]"},
	} {
		t.Run(version, func(t *testing.T) {
			status, body := s.call("GET", dps+version, "")
			got := [3]string{
				member(
					t,
					body,
					"properties",
					"disableLocalAuth",
				), member(t, body, "identity", "type"), member(t, body, "properties", "deviceRegistryNamespaces"),
			}
			if status != http.StatusOK || got != want {
				t.Errorf("%s: got %d %q, want %q", version, status, got, want)
			}
		})
	}
	for name, test := range map[string]struct {
		version, properties, more string
		status                    int
	}{
		"local auth, older":    {"2022-12-12", `"disableLocalAuth":false`, "", 400},
		"identity, older":      {"2022-12-12", "", identity, 400},
		"no local auth, older": {"2023-03-01-preview", `"disableLocalAuth":null`, `,"identity":null`, 201},
		"host name, older": {"2023-03-01-preview", `"iotHubs":[{"hostName":"hub-1.azure-devices.net"}]`, "",
			400},
		"authentication, older":    {"2022-12-12", `"iotHubs":[{"authenticationType":"KeyBased"}]`, "", 400},
		"a namespace of a preview": {"2025-02-01-preview", `"deviceRegistryNamespace":{"resourceId":"/n"}`, "", 400},
		"an unknown kind": {"2026-08-31",
			`"iotHubs":[{"hostName":"hub-1.azure-devices.net","location":"westus","authenticationType":"Magic"}]`, "",
			400},
		"an identity link": {"2026-08-31",
			`"iotHubs":[{"hostName":"hub-1.azure-devices.net","location":"westus","authenticationType":"SystemAssigned"}]`, "", 400},
		"local auth that is no bool": {"2026-08-31", `"disableLocalAuth":"yes"`, "", 400},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := put(test.version, test.properties, test.more)
			if status != test.status ||
				strings.HasSuffix(name, "older") && status == 400 && !strings.Contains(body, "errorcode: IH400024") {
				t.Errorf("%s: got %d %s, want %d", name, status, body, test.status)
			}
		})
	}
}

func TestAWriteResetsTheMembersOfNewerVersions(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	const plain = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`
	full := strings.Replace(plain, `{}`, `{"disableLocalAuth":true}`, 1)
	full = strings.TrimSuffix(full, "}") + `,"identity":{"type":"SystemAssigned"}}`
	for _, version := range []string{"2021-10-15", "2022-12-12", "2026-08-31"} {
		t.Run(version, func(t *testing.T) {
			if status, body := s.call("PUT", dps+"2026-08-31", full); status != http.StatusCreated {
				t.Fatalf("got %d %s", status, body)
			}
			s.call("PUT", dps+version, plain)
			_, body := s.call("GET", dps+"2026-08-31", "")
			if got := member(t, body, "properties", "disableLocalAuth") + member(t, body, "identity"); got != "" {
				t.Errorf("after a PUT with %s: got %s, want both reset", version, got)
			}
		})
	}
}

func TestLinksHaveTheirNamesFrom2026On(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	const link = `"iotHubs":[{"hostName":"hub-1.azure-devices.net","location":"westeurope","connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=a2V5"}]`
	if status, body := s.call("PUT", dps+"2026-08-31",
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`+link+
			`}}`); status != http.StatusCreated {
		t.Fatalf("got %d %s", status, body)
	}
	_, before := s.call("GET", dps+"2026-08-31", "")
	host := member(t, before, "properties", "iotHubs", 0, "name")
	if host == "" || member(t, before, "properties", "iotHubs", 0, "hostName") != host ||
		member(t, before, "properties", "iotHubs", 0, "authenticationType") != "KeyBased" {
		t.Fatalf("got %s, want the link with its host name and kind", before)
	}
	if status, body := s.call("PUT", dps+"2026-08-31", before); status != http.StatusCreated {
		t.Errorf("the answer sent back: got %d %s", status, body)
	}
	other := strings.ReplaceAll(before, `"hostName":"`+host, `"hostName":"other.azure-devices.net`)
	if status, body := s.call("PUT", dps+"2026-08-31", other); status != http.StatusBadRequest {
		t.Errorf("another host name: got %d %s, want 400", status, body)
	}
	if _, old := s.call("GET", dps+"2022-12-12", ""); strings.Contains(old, "authenticationType") ||
		member(t, old, "properties", "iotHubs", 0, "hostName") != "" {
		t.Errorf("an older version: got %s", old)
	}
}

func TestProviderListsServedTypes(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	s.inventory()
	_, refused := s.call("PUT", dps+"2019-01-01", `{}`)
	message := member(t, refused, "error", "message")
	if member(t, refused, "error", "code") != "NoRegisteredProviderFound" {
		t.Fatalf("got %s", refused)
	}
	_, after, _ := strings.Cut(message, "The supported api-versions are '")
	listed, _, _ := strings.Cut(after, "'")
	versions := strings.Split(listed, ", ")
	if !slices.Contains(versions, "2026-11-01") || !slices.Contains(versions, "2022-12-12") {
		t.Errorf("got %v", versions)
	}
	for _, version := range versions {
		if status, body := s.call("GET", dps+version, ""); status != http.StatusOK {
			t.Errorf("%s is listed: got %d %s", version, status, body)
		}
	}
}
