package iothub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestChildrenOfEdgeDevicesHaveTheirScope(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	put := func(id, body string, header ...string) answer { return f.owner("PUT", "/devices/"+id, body, header...) }
	gateway := put("gate-way", `{"capabilities":{"iotEdge":true},"deviceScope":"ms-azure-iot-edge://mine"}`).want(t,
		"create", http.StatusOK)
	scope := "ms-azure-iot-edge://gate-way-" + gateway.field(t, "generationId").(string)
	gateway.wantField(t, "deviceScope", scope)
	f.owner("GET", "/twins/gate-way", "").wantField(t, "deviceScope", scope)

	leaf := put("leaf", fmt.Sprintf(`{"deviceScope":%q}`, scope)).want(t, "create below", http.StatusOK)
	below := put("below", fmt.Sprintf(`{"capabilities":{"iotEdge":true},"parentScopes":[%q]}`, scope)).want(t,
		"create an edge device below", http.StatusOK)
	leaf.wantField(t, "deviceScope", scope)
	below.wantField(t, "deviceScope", "ms-azure-iot-edge://below-"+below.field(t, "generationId").(string))
	for _, of := range []answer{leaf, below, f.owner("GET", "/devices/leaf", ""), f.owner("GET", "/twins/leaf", "")} {
		if !strings.Contains(of.body, `"parentScopes":["`+scope+`"]`) {
			t.Errorf("got %s, want the parent's scope", of.body)
		}
	}
	if got := f.ask("SELECT * FROM devices WHERE deviceScope = '" + scope + "'"); got != "gate-way leaf" {
		t.Errorf("got %q in the scope", got)
	}

	put("leaf", leaf.body, "If-Match", "*").want(t, "send back", http.StatusOK).wantField(t, "deviceScope", scope)
	put("leaf", `{"status":"disabled"}`, "If-Match", "*").want(t, "change something else", http.StatusOK).wantField(t,
		"deviceScope", scope)
	for name, body := range map[string]string{
		"another generation": `{"deviceScope":"` + scope + `0"}`,
		"no edge device":     `{"deviceScope":"ms-azure-iot-edge://leaf-1"}`, "no scope": `{"deviceScope":"gate-way"}`,
		"two parents": `{"parentScopes":["a","b"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := put("leaf", body, "If-Match", "*")
			if got := a.header.Get("iothub-errorcode"); a.status != http.StatusBadRequest ||
				got != "InvalidDeviceScope" {
				t.Errorf("%s: got %d %s", name, a.status, a.body)
			}
		})
	}
	put("gate-way", fmt.Sprintf(`{"parentScopes":[%q]}`, scope), "If-Match", "*").want(t, "below itself",
		http.StatusBadRequest)
	for id, body := range map[string]string{"leaf": `{"deviceScope":""}`, "below": `{"parentScopes":[]}`} {
		t.Run(id, func(t *testing.T) {
			if a := put(id, body, "If-Match", "*").want(t, "take out", http.StatusOK); strings.Contains(a.body,
				"parentScopes") {
				t.Errorf("%s: got %s, want no parent", id, a.body)
			}
		})
	}
	f.owner("POST", "/devices", fmt.Sprintf(`[{"id":"bulk","importMode":"create","deviceScope":%q}]`, scope)).want(t,
		"create in bulk", http.StatusOK)
	f.owner("GET", "/devices/bulk", "").wantField(t, "deviceScope", scope)
}
