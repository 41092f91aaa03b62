package provider_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

const (
	rgPath       = "/subscriptions/" + emulator.SubscriptionID + "/resourceGroups/rg-1"
	identityPath = rgPath + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-1"
	hub2Path     = rgPath + "/providers/Microsoft.Devices/IotHubs/hub-2"
	// hubDataRole is IoT Hub Data Contributor.
	hubDataRole = "4fc6c259-987e-4a07-842e-c321cc9d413f"
)

// arm calls Resource Manager past all clients, and fails the test when it refuses.
func (s *shared) arm(method, path, body string) map[string]any {
	s.t.Helper()
	ends := s.Endpoints()
	send := func(r *http.Request) map[string]any {
		s.t.Helper()
		response, err := s.devices.Do(r)
		must(s.t, err)
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		must(s.t, err)
		answer := map[string]any{}
		if response.StatusCode >= 300 {
			s.t.Fatalf("%s %s: got %s %s", method, path, response.Status, text)
		}
		if len(text) > 0 {
			must(s.t, json.Unmarshal(text, &answer))
		}
		return answer
	}
	login, err := http.NewRequestWithContext(await.Context(s.t), "POST",
		ends.ARM+"/"+ends.TenantID+"/oauth2/v2.0/token",
		strings.NewReader(url.Values{
			"grant_type": {"client_credentials"}, "client_id": {ends.ClientID}, "client_secret": {ends.ClientSecret},
			"scope": {ends.ARM + "/.default"},
		}.Encode()))
	must(s.t, err)
	login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r, err := http.NewRequestWithContext(await.Context(s.t), method, ends.ARM+path, strings.NewReader(body))
	must(s.t, err)
	r.Header.Set("Authorization", "Bearer "+fmt.Sprint(send(login)["access_token"]))
	r.Header.Set("Content-Type", "application/json")
	return send(r)
}

const newVersion = "?api-version=2026-08-31"

// newIdentified is a shared service with a system-assigned and a user-assigned identity, and the link of hub-1 by a
// key.
func newIdentified(t *testing.T, options ...emulator.Options) *shared {
	t.Helper()
	s := newShared(t, options...)
	s.arm("PUT", identityPath+"?api-version=2023-01-31", `{"location":"westeurope"}`)
	s.identify(`{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"` + identityPath + `":{}}}`)
	return s
}

// identify puts the service with an identity, and keeps its links.
func (s *shared) identify(identity string) {
	s.t.Helper()
	s.arm("PUT", servicePath+newVersion,
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{},"identity":`+identity+`}`)
}

// entries are the links as 2026-08-31 shows them, by the short names of their hubs.
func (s *shared) entries() map[string]map[string]any {
	s.t.Helper()
	properties := s.arm("GET", servicePath+newVersion, "")["properties"].(map[string]any)
	entries := map[string]map[string]any{}
	for _, item := range properties["iotHubs"].([]any) {
		entry := item.(map[string]any)
		entries[strings.Split(entry["name"].(string), ".")[0]] = entry
	}
	return entries
}

// edit changes an entry behind the provider's back, as today's Azure CLI does.
func (s *shared) edit(hub string, change func(map[string]any)) {
	s.t.Helper()
	whole := s.arm("GET", servicePath+newVersion, "")
	for _, item := range whole["properties"].(map[string]any)["iotHubs"].([]any) {
		if entry := item.(map[string]any); strings.HasPrefix(entry["name"].(string), hub+".") {
			change(entry)
		}
	}
	body, err := json.Marshal(whole)
	must(s.t, err)
	s.arm("PUT", servicePath+newVersion, string(body))
}

// byIdentity are the inputs for a hub's link by an identity of that kind.
func (s *shared) byIdentity(hub, kind string) object {
	inputs := s.link(hub, object{"key": nil, "policyName": nil, "authenticationType": kind})
	if kind == "UserAssigned" {
		inputs["identityId"] = identityPath
	}
	return inputs
}

// authentications are the inputs of hub-2's link by each authentication type.
func (s *shared) authentications() map[string]object {
	return map[string]object{
		"KeyBased": s.link("hub-2", object{"authenticationType": "KeyBased"}), "none": s.link("hub-2", nil),
		"SystemAssigned": s.byIdentity("hub-2", "SystemAssigned"), "UserAssigned": s.byIdentity("hub-2",
			"UserAssigned"),
	}
}

// shows checks what the service has for hub-2.
func (s *shared) shows(when, kind string) {
	s.t.Helper()
	entry := s.entries()["hub-2"]
	want := map[string]any{"authenticationType": kind}
	switch kind {
	case "none", "KeyBased":
		want["authenticationType"] = "KeyBased"
		want["connectionString"] = "HostName=hub-2.azure-devices.net;SharedAccessKeyName=" + linkPolicy +
			";SharedAccessKey=****"
	case "UserAssigned":
		want["selectedUserAssignedIdentityResourceId"] = identityPath
	}
	for _, name := range []string{"authenticationType", "connectionString", "selectedUserAssignedIdentityResourceId"} {
		if entry[name] != want[name] {
			s.t.Errorf("%s: got %v, want %s %v", when, entry, name, want[name])
		}
	}
}

// TestALinkLivesWithEveryAuthentication: create, refresh, up again, import, switch to every other, delete.
func TestALinkLivesWithEveryAuthentication(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"none", "KeyBased", "SystemAssigned", "UserAssigned"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			s := newIdentified(t)
			m := s.stack("hub-2")
			inputs := s.authentications()[from]
			m.up(inputs)
			s.shows("created", from)
			if got := m.refresh(); got != nil {
				t.Errorf("refresh: got %v, want none", got)
			}
			if got := m.up(inputs); got != nil {
				t.Errorf("up again: got %v, want none", got)
			}
			imported := s.stack("imported")
			imported.id = m.id
			imported.refresh()
			if got := imported.up(inputs.edited(object{"key": nil})); got != nil {
				t.Errorf("up after the import: got %v, want none", got)
			}
			for to, changed := range s.authentications() {
				paths := m.up(changed)
				for _, path := range paths {
					if !slices.Contains([]string{"authenticationType", "identityId", "policyName", "key"}, path) {
						t.Errorf("%s to %s: got %v, want the authentication alone", from, to, paths)
					}
				}
				s.shows(from+" to "+to, to)
				if got := m.refresh(); got != nil {
					t.Errorf("%s to %s: refresh got %v, want none", from, to, got)
				}
				if key := m.state.Get("key"); !key.IsNull() && strings.HasSuffix(to, "Assigned") {
					t.Errorf("%s to %s: the state keeps the key", from, to)
				}
				m.up(inputs)
				s.shows(to+" back to "+from, from)
			}
			if entry := s.entries()["hub-1"]; entry["authenticationType"] != "KeyBased" {
				t.Errorf("got %v for hub-1, want its key", entry)
			}
			m.delete()
			s.linked("hub-1")
		})
	}
}

// TestASwitchOfTheAuthenticationIsAnUpdate: no engine may replace the link for it.
func TestASwitchOfTheAuthenticationIsAnUpdate(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	for from, before := range s.authentications() {
		m := s.stack("hub-2")
		m.inputs = m.check(before)
		preview, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: m.inputs, DryRun: true})
		must(t, err)
		m.id, m.state = "x", preview.Properties
		for to, after := range s.authentications() {
			same := from == to || !strings.HasSuffix(from+to, "Assigned") && !strings.HasPrefix(from, "System") &&
				!strings.HasPrefix(from, "User")
			_, diff := m.diff(m.check(after))
			for path, change := range diff.DetailedDiff {
				if change.Kind != p.Update {
					t.Errorf("%s to %s: got %v of %s, want an update", from, to, change.Kind, path)
				}
			}
			if _, changes := diff.DetailedDiff["authenticationType"]; changes == same {
				t.Errorf("%s to %s: got %v, want a change of the authentication: %t", from, to, diff.DetailedDiff,
					!same)
			}
		}
	}
}

// TestDriftOfTheAuthenticationShowsAndIsHealed: from each kind to each other, and to another identity.
func TestDriftOfTheAuthenticationShowsAndIsHealed(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	other := strings.Replace(identityPath, "id-1", "id-2", 1)
	s.arm("PUT", other+"?api-version=2023-01-31", `{"location":"westeurope"}`)
	s.identify(`{"type":"SystemAssigned, UserAssigned","userAssignedIdentities":{"` + identityPath + `":{},"` +
		other + `":{}}}`)
	const selected = "selectedUserAssignedIdentityResourceId"
	drifts := map[string]func(map[string]any){
		"KeyBased": func(e map[string]any) {
			delete(e, selected)
			e["authenticationType"] = "KeyBased"
			e["connectionString"] = "HostName=hub-2.azure-devices.net;SharedAccessKeyName=" + linkPolicy +
				";SharedAccessKey=" + s.keys["hub-2"]
		},
		"SystemAssigned": func(e map[string]any) {
			delete(e, selected)
			delete(e, "connectionString")
			e["authenticationType"] = "SystemAssigned"
		},
		"UserAssigned": func(e map[string]any) {
			delete(e, "connectionString")
			e["authenticationType"], e[selected] = "UserAssigned", other
		},
	}
	m := s.stack("hub-2")
	for declared, inputs := range s.authentications() {
		m.up(inputs)
		for drift, change := range drifts {
			t.Run(drift, func(t *testing.T) {
				if drift == declared || drift == "KeyBased" && declared == "none" {
					if drift != "UserAssigned" {
						return
					}
				}
				s.edit("hub-2", change)
				if got := m.refresh(); !slices.Contains(got, "authenticationType") && !slices.Equal(got,
					[]string{"identityId"}) {
					t.Errorf("%s drifted to %s: refresh got %v, want the authentication", declared, drift, got)
				}
				m.up(inputs)
				s.shows(declared+" after a drift to "+drift, declared)
				if got := m.refresh(); got != nil {
					t.Errorf("%s healed of %s: refresh got %v, want none", declared, drift, got)
				}
			})
		}
	}
}

// TestCheckReportsEveryErrorOfTheAuthentication at once, with what to do.
func TestCheckReportsEveryErrorOfTheAuthentication(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	none := s.link("hub-2", object{"key": nil, "policyName": nil})
	for name, test := range map[string]struct {
		inputs object
		want   map[string]string
	}{
		"nothing": {none, map[string]string{"key": "hint: set key",
			"policyName": "az iot hub policy list --hub-name hub-2"}},
		"KeyBased alone": {none.edited(object{"authenticationType": "KeyBased"}),
			map[string]string{"key": "hint: set key", "policyName": "hint: az iot hub policy list"}},
		"an identity without the type": {s.link("hub-2", object{"identityId": identityPath}),
			map[string]string{"identityId": "set authenticationType to UserAssigned"}},
		"UserAssigned without one, with the key": {s.link("hub-2", object{"authenticationType": "UserAssigned"}),
			map[string]string{"identityId": "az identity list", "key": "hint: remove it",
				"policyName": "hint: remove it"}},
		"SystemAssigned with all": {s.link("hub-2", object{"authenticationType": "systemassigned",
			"identityId": identityPath}),
			map[string]string{"identityId": "hint: remove it", "key": "hint: remove it",
				"policyName": "hint: remove it"}},
		"an unknown type": {s.link("hub-2", object{"authenticationType": "Password"}),
			map[string]string{"authenticationType": "hint: use KeyBased, SystemAssigned or UserAssigned"}},
		"an id of another kind": {s.byIdentity("hub-2", "UserAssigned").edited(object{"identityId": servicePath}),
			map[string]string{"identityId": "is not the resource id of a user-assigned managed identity"}},
		"an identity link": {s.byIdentity("hub-2", "UserAssigned"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := s.stack("hub-2")
			checked, err := m.server.Check(p.CheckRequest{Urn: m.urn, Inputs: test.inputs.properties()})
			must(t, err)
			got := map[string]string{}
			for _, failure := range checked.Failures {
				got[plainPath(failure)] = failure.Reason
				if strings.Contains(failure.Reason, s.keys["hub-2"]) {
					t.Error("a failure shows the key")
				}
			}
			if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(test.want))) {
				t.Fatalf("got failures %v, want some at %v", got, test.want)
			}
			for path, text := range test.want {
				if !strings.Contains(got[path], text) {
					t.Errorf("%s: got %q, want %q", path, got[path], text)
				}
			}
		})
	}
	// A link that has a key may leave it out; one that moves to a key may not.
	for kind, want := range map[string]int{"KeyBased": 0, "none": 0, "SystemAssigned": 1, "UserAssigned": 1} {
		t.Run(kind, func(t *testing.T) {
			m := s.stack("hub-2")
			checked, err := m.server.Check(p.CheckRequest{Urn: m.urn, State: s.authentications()[kind].properties(),
				Inputs: s.link("hub-2", object{"key": nil}).properties()})
			must(t, err)
			if len(checked.Failures) != want {
				t.Errorf("from %s to a key that is left out: got %v, want %d failures", kind, checked.Failures, want)
			}
		})
	}
}

// TestAServiceWithoutTheIdentityIsNamedWithTheWayToIt: nothing is written.
func TestAServiceWithoutTheIdentityIsNamedWithTheWayToIt(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	for kind, want := range map[string]string{
		"SystemAssigned": "hint: az iot dps identity assign --name dps-1 --resource-group rg-1 --system",
		"UserAssigned":   "hint: az iot dps identity assign --name dps-1 --resource-group rg-1 --user " + identityPath,
	} {
		t.Run(kind, func(t *testing.T) {
			before := len(s.Requests("arm", "PUT"))
			if _, err := s.stack("hub-2").tryUp(s.byIdentity("hub-2", kind)); err == nil ||
				!strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q", err, want)
			}
			if got := len(s.Requests("arm", "PUT")); got != before {
				t.Errorf("%s: got %d writes, want none", kind, got-before)
			}
		})
	}
	s.linked("hub-1")
}

// TestAServiceOfTheProgramTakesNoLinkByIdentity: it has the tags that the program sets on every resource.
func TestAServiceOfTheProgramTakesNoLinkByIdentity(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	s.arm("PATCH", servicePath+newVersion, `{"tags":{"purpose":"evenkeel","stack":"prod"}}`)
	m := s.stack("hub-2")
	if _, err := m.tryUp(s.byIdentity("hub-2", "SystemAssigned")); err == nil ||
		!strings.Contains(err.Error(), `evenkeel stack "prod"`) {
		t.Errorf("got %v, want the stack named", err)
	}
	m.up(s.link("hub-2", nil))
	if _, err := m.tryUp(s.byIdentity("hub-2", "SystemAssigned")); err == nil ||
		!strings.Contains(err.Error(), `evenkeel stack "prod"`) {
		t.Errorf("a switch: got %v, want the stack named", err)
	}
	s.shows("after the refusal", "KeyBased")
}

// TestAPreviewOfALinkByIdentityMakesNoCall, and leaves nothing unknown that is declared.
func TestAPreviewOfALinkByIdentityMakesNoCall(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	m := s.stack("hub-2")
	before := s.calls()
	checked := m.check(s.byIdentity("hub-2", "UserAssigned"))
	made, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked, DryRun: true})
	must(t, err)
	for _, name := range []string{"authenticationType", "identityId", "hubHostName"} {
		if !made.Properties.Get(name).Equals(checked.Get(name)) {
			t.Errorf("preview of %s: got %v, want %v", name, made.Properties.Get(name), checked.Get(name))
		}
	}
	hidden := s.link("hub-2", object{"authenticationType": unknown, "identityId": unknown})
	if made, err = m.server.Create(p.CreateRequest{Urn: m.urn, Properties: m.check(hidden),
		DryRun: true}); err != nil ||
		!made.Properties.Get("authenticationType").IsComputed() || !made.Properties.Get("identityId").IsComputed() {
		t.Errorf("preview with unknown values: got %v %v", made.Properties, err)
	}
	if got := s.calls(); got != before {
		t.Errorf("previews made %d calls, want none", got-before)
	}
}

// TestAnEqualLinkByIdentityIsTakenOver, and one that differs shows how to import it.
func TestAnEqualLinkByIdentityIsTakenOver(t *testing.T) {
	t.Parallel()
	s := newIdentified(t)
	s.stack("hub-2").up(s.byIdentity("hub-2", "UserAssigned"))
	for kind, refused := range map[string]bool{"KeyBased": true, "SystemAssigned": true, "UserAssigned": false} {
		t.Run(kind, func(t *testing.T) {
			_, err := s.stack("hub-2").tryUp(s.authentications()[kind])
			if (err != nil) != refused || refused && (!strings.Contains(err.Error(), "pulumi import") ||
				!strings.Contains(err.Error(), "by the managed identity "+identityPath)) {
				t.Errorf("%s: got %v, want it refused: %t", kind, err, refused)
			}
		})
	}
	s.shows("after all", "UserAssigned")
}

// TestAStackThatLinksByIdentityRegistersDevices drives a whole stack by Pulumi's engine: a hub without local
// authentication, linked by an identity whose role is required.
func TestAStackThatLinksByIdentityRegistersDevices(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"SystemAssigned", "UserAssigned"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newIdentified(t, emulator.Options{RequireRoles: true})
			s.arm("PUT", hub2Path+"?api-version=2023-06-30",
				`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":true}}`)
			service := s.arm("GET", servicePath+newVersion, "")
			scope := fmt.Sprint(service["properties"].(map[string]any)["idScope"])
			principal := service["identity"].(map[string]any)["principalId"]
			if kind == "UserAssigned" {
				principal = s.arm("GET", identityPath+"?api-version=2023-01-31",
					"")["properties"].(map[string]any)["principalId"]
			}
			policies := s.arm("POST", servicePath+"/keys/"+policyName+"/listkeys"+newVersion, "")
			config := s.config.edited(s.azure.config(fmt.Sprint(policies["primaryKey"])))
			key := newKey(t)
			stack := newStack(t, "guest", config)
			link := resourceIn{kind: "LinkedHub", name: "hub-2", inputs: s.byIdentity("hub-2", kind)}
			device := resourceIn{kind: "IndividualEnrollment", name: "device-1", inputs: object{
				"registrationId": "device-1", "attestation": object{"symmetricKey": object{"primaryKey": key,
					"secondaryKey": newKey(t)}},
				"allocationPolicy": "hashed", "iotHubs": []string{"hub-2.azure-devices.net"},
			}}
			stack.declare(link, device)
			must(t, stack.preview())
			stack.mustUp()
			s.shows("up", kind)
			if _, err := s.register(t.Context(), scope, "device-1", key); err == nil ||
				!strings.Contains(err.Error(), fmt.Sprint(principal)+" is not authorized") {
				t.Errorf("without the role: got %v, want the principal refused", err)
			}
			s.arm("PUT", hub2Path+"/providers/Microsoft.Authorization/roleAssignments/"+
				"11111111-2222-3333-4444-555555555555?api-version=2022-04-01", fmt.Sprintf(`{"properties":{
				"roleDefinitionId":"/providers/Microsoft.Authorization/roleDefinitions/%s","principalId":%q}}`, hubDataRole,
				principal))
			if hub, err := s.register(t.Context(), scope, "device-1", key); err != nil ||
				hub != "hub-2.azure-devices.net" {
				t.Errorf("with the role: got %q %v, want hub-2", hub, err)
			}
			stack.mustUp()
			for _, step := range []struct {
				name string
				do   func()
			}{
				{"--replace", func() { stack.mustUp(replacing(stack.urn("LinkedHub", "hub-2"))) }},
				{"taint", func() { stack.taint(stack.urn("LinkedHub", "hub-2")); stack.mustUp() }},
				{"renamed", func() {
					stack.drop("LinkedHub", "hub-2")
					renamed := link
					renamed.name = "another"
					stack.declare(renamed)
					stack.mustUp()
					stack.drop("LinkedHub", "another")
					stack.declare(link)
					stack.mustUp()
				}},
			} {
				step.do()
				s.shows(step.name, kind)
			}
			must(t, stack.destroy())
			s.linked("hub-1")
		})
	}
}
