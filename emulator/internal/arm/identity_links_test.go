package arm_test

import (
	"net/http"
	"strings"
	"testing"

	"evenkeel/emulator/internal/arm"
)

const (
	ownIdentity   = "/subscriptions/" + subscription + "/resourceGroups/rg" + identities
	identities    = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
	identityCalls = "?api-version=2023-01-31"
	hub1          = "hub-1.azure-devices.net"
)

// linked puts dps-1 with an identity and one link, with 2026-08-31.
func (s surface) linked(identity, link string) (int, string) {
	s.t.Helper()
	return s.call("PUT", dps+"2026-08-31", `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":
		{"iotHubs":[`+link+`]},"identity":`+identity+`}`)
}

const bothIdentities = `{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"` + ownIdentity + `id-1":{}}}`

// newIdentities is a surface with hub-1, dps-1 and the identity id-1.
func newIdentities(t *testing.T, o arm.Options) surface {
	t.Helper()
	s := newSurfaceWith(t, o)
	s.inventory()
	s.done("PUT", identities+"id-1"+identityCalls, `{"location":"westeurope"}`)
	return s
}

// done is call for what has to succeed.
func (s surface) done(method, path, body string) string {
	s.t.Helper()
	status, answer := s.call(method, path, body)
	if status >= http.StatusBadRequest {
		s.t.Fatalf("%s %s: got %d %s", method, path, status, answer)
	}
	return answer
}

// Source: iotdps.json of 2026-08-31; the live tests of azure-iot-cli-extension (test_dps_linked_hub_int) for what GET
// shows.
func TestAVersionShowsTheAuthenticationOfLinks(t *testing.T) {
	t.Parallel()
	const system = `"authenticationType":"SystemAssigned"`
	const user = `"authenticationType":"userassigned","selectedUserAssignedIdentityResourceId":"` + ownIdentity + `ID-1"`
	const key = `"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=a2V5"`
	const shownKey = "HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=****"
	for version, shows := range map[string]bool{
		"2021-10-15": false, "2022-12-12": false, "2023-03-01-preview": false, "2025-02-01-preview": false,
		"2026-03-01-preview": true, "2026-06-01-preview": true, "2026-08-31": true, "2026-11-01": true,
		"2026-11-02-preview": true,
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := newIdentities(t, arm.Options{})
			for link, want := range map[string][4]string{ // hostName, authenticationType, identity, connectionString
				key:    {hub1, "KeyBased", "", shownKey},
				system: {hub1, "SystemAssigned", "", ""},
				user:   {hub1, "UserAssigned", ownIdentity + "ID-1", ""},
			} {
				t.Run(link, func(t *testing.T) {
					if status, body := s.linked(bothIdentities,
						`{"hostName":"`+hub1+`","location":"westus",`+link+`}`); status !=
						http.StatusCreated {
						t.Fatalf("%s: got %d %s", link, status, body)
					}
					body := s.done("GET", dps+version, "")
					var got [4]string
					for i, name := range []string{"hostName", "authenticationType",
						"selectedUserAssignedIdentityResourceId",
						"connectionString"} {
						got[i] = member(t, body, "properties", "iotHubs", 0, name)
					}
					if !shows {
						want[0], want[1], want[2] = "", "", ""
					}
					if got != want || member(t, body, "properties", "iotHubs", 0, "name") != hub1 {
						t.Errorf("%s: got %s, want %q", link, body, want)
					}
					// What the newer versions leave out, the older ones require.
					if has := strings.Contains(body, `"connectionString":`); has != (!shows || link == key) {
						t.Errorf("%s: got %s, want a connection string: %t", link, body, !shows || link == key)
					}
				})
			}
		})
	}
}

func TestLinksByIdentityAreChecked(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	const host, system = `"hostName":"hub-1.azure-devices.net","location":"westus",`,
		`"authenticationType":"SystemAssigned"`
	const user = `"authenticationType":"UserAssigned"`
	const key = `"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey=a2V5"`
	selected := func(name string) string {
		return `,"selectedUserAssignedIdentityResourceId":"` + ownIdentity + name + `"`
	}
	for name, test := range map[string]struct {
		identity, link string
		status         int
		reason         string
	}{
		"no identity": {"null", host + system, 400, "no system-assigned identity"},
		"the other identity": {`{"type":"UserAssigned","userAssignedIdentities":{"` + ownIdentity + `id-1":{}}}`,
			host + system, 400, "no system-assigned identity"},
		"no user-assigned one": {systemOnly, host + user + selected("id-1"), 400,
			"does not have the user-assigned identity"},
		"another user-assigned": {bothIdentities, host + user + selected("id-2"), 400,
			"does not have the user-assigned identity"},
		"no selected one": {bothIdentities, host + user, 400, "needs the selectedUserAssignedIdentityResourceId"},
		"selected for a system": {bothIdentities, host + system + selected("id-1"), 400,
			"for links of the authenticationType UserAssigned"},
		"selected for a key": {bothIdentities, host + key + selected("id-1"), 400,
			"for links of the authenticationType UserAssigned"},
		"a key too":       {systemOnly, host + system + "," + key, 400, "has a connection string too"},
		"an empty string": {systemOnly, host + system + `,"connectionString":""`, 201, ""},
		"no host name":    {systemOnly, `"location":"westus",` + system, 400, "needs a hostName"},
		"no location": {systemOnly, `"hostName":"hub-1.azure-devices.net",` + system, 400,
			"needs a location"},
		"a hub that is not": {systemOnly, `"hostName":"hub-9.azure-devices.net","location":"westus",` + system,
			404, "Unable to find the IoThub"},
		"the device name": {systemOnly,
			`"hostName":"HUB-1.device.azure-devices.net","location":"westus",` + system, 201, ""},
		"the service name": {systemOnly,
			`"hostName":"hub-1.service.azure-devices.net","location":"westus",` + system, 400, "service API"},
		"an identity that is not": {`{"type":"UserAssigned","userAssignedIdentities":{"` + ownIdentity + `id-9":{}}}`,
			host + key, 400,
			"FailedIdentityOperation"},
		"a removed identity": {`{"type":"SystemAssigned","userAssignedIdentities":{"` + ownIdentity + `id-9":null}}`,
			host + system, 201, ""},
		"a masked key that was never there": {bothIdentities, host + strings.Replace(key, "a2V5", "****", 1), 400,
			"none is stored"},
	} {
		t.Run(name, func(t *testing.T) {
			// The link of the case before must not decide: an identity link has no key that could be kept.
			if status, body := s.linked(systemOnly, `{`+host+system+`}`); status != http.StatusCreated {
				t.Fatalf("got %d %s", status, body)
			}
			if status, body := s.linked(test.identity, `{`+test.link+`}`); status != test.status ||
				!strings.Contains(body, test.reason) {
				t.Errorf("got %d %s, want %d and %q", status, body, test.status, test.reason)
			}
		})
	}
}

const systemOnly = `{"type":"SystemAssigned"}`

// TestOlderVersionsDamageLinksByIdentity: a PUT with a version that does not have the service's identity resets it,
// unless the option keeps it, and such a version cannot send a link by an identity back.
func TestOlderVersionsDamageLinksByIdentity(t *testing.T) {
	t.Parallel()
	const link = `{"hostName":"` + hub1 + `","location":"westus","authenticationType":"SystemAssigned"}`
	for name, keeps := range map[string]bool{"by default": false, "with KeepNewerMembers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newIdentities(t, arm.Options{KeepNewerMembers: keeps})
			if status, body := s.linked(systemOnly, link); status != http.StatusCreated {
				t.Fatalf("got %d %s", status, body)
			}
			s.done("PUT", dps+"2022-12-12",
				`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`)
			body := s.done("GET", dps+"2026-08-31", "")
			if member(t, body, "properties", "iotHubs", 0, "authenticationType") != "SystemAssigned" ||
				(member(t, body, "identity") != "") != keeps {
				t.Errorf("got %s, want the link, and the identity kept: %t", body, keeps)
			}
			for _, text := range []string{"", `,"connectionString":""`} {
				status, body := s.call("PUT", dps+"2022-12-12",
					`{"location":"westeurope","sku":{"name":"S1","capacity":1},
					"properties":{"iotHubs":[{"name":"`+hub1+`","location":"westus"`+text+`}]}}`)
				if status != http.StatusBadRequest || !strings.Contains(body, "needs HostName") {
					t.Errorf("%s: got %d %s, want it refused", text, status, body)
				}
			}
		})
	}
}

// Source: msi.json of Microsoft.ManagedIdentity, 2023-01-31.
func TestUserAssignedIdentities(t *testing.T) {
	t.Parallel()
	s := newIdentities(t, arm.Options{})
	const path = identities + "ID-1" + identityCalls
	before := s.done("GET", path, "")
	for _, name := range []string{"principalId", "clientId", "tenantId"} {
		if len(member(t, before, "properties", name)) != 36 {
			t.Errorf("got %s, want a GUID as %s", before, name)
		}
	}
	if member(t, before, "name") != "id-1" || member(t, before, "id") != ownIdentity+"id-1" {
		t.Errorf("got %s, want the spelling of the creation", before)
	}
	s.done("PUT", path, `{"location":"West Europe","tags":{"a":"b"}}`)
	after := s.done("GET", path, "")
	if member(t, after, "properties") != member(t, before, "properties") || member(t, after, "tags", "a") != "b" {
		t.Errorf("got %s after another PUT, want the ids of %s", after, before)
	}
	s.done("PATCH", path, `{"tags":{"c":"d"}}`)
	if got := s.done("GET", "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"+identityCalls,
		""); member(t, got,
		"value", 0, "tags", "c") != "d" || member(t, got, "value", 1) != "" {
		t.Errorf("list: got %s, want the one identity with its new tag", got)
	}
	if got := s.done("GET",
		"/resources?api-version=2021-04-01&$filter=resourceType+eq+'microsoft.managedidentity/userassignedidentities'",
		""); member(t, got, "value", 0, "id") != ownIdentity+"id-1" {
		t.Errorf("resources: got %s, want the identity", got)
	}
	for name, test := range map[string]struct {
		path, body string
		status     int
	}{
		"another location": {path, `{"location":"westus"}`, 409}, "nowhere": {identities + "id-2" + identityCalls,
			`{}`, 400},
		"a bad name": {identities + "-x" + identityCalls, `{"location":"westeurope"}`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := s.call("PUT", test.path, test.body); status != test.status {
				t.Errorf("got %d %s, want %d", status, body, test.status)
			}
		})
	}
	for _, want := range []int{200, 204} {
		if status, body := s.call("DELETE", path, ""); status != want {
			t.Errorf("delete: got %d %s, want %d", status, body, want)
		}
	}
	if status, _ := s.call("GET", path, ""); status != http.StatusNotFound {
		t.Errorf("got %d after the deletion, want 404", status)
	}
}
