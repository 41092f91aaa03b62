package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"evenkeel/internal/azure/sas"
)

// resourceManager: recordings test_dps_lifecycle, test_dps_linked_hub_lifecycle and test_hub_wait of azure-cli.
func (c *cloud) resourceManager(t *testing.T) {
	hub := c.must(t, "GET", c.hubPath+hubVersion, "", 200)
	if hub.text("properties", "hostName") != c.hub || hub.text("etag") == "" ||
		strings.Contains(hub.body, "authorizationPolicies") {
		t.Errorf("hub: got %s, want its host name, an etag and no policies", hub.body)
	}
	service := c.must(t, "GET", c.servicePath+serviceVersion, "", 200)
	if service.text("properties", "serviceOperationsHostName") != c.service ||
		service.text("properties", "deviceProvisioningHostName") != globalHost ||
		!regexp.MustCompile(`^0ne[0-9A-F]{8}$`).MatchString(c.scope) {
		t.Errorf("service: got %s, want its two host names and an ID scope", service.body)
	}
	if masked := "HostName=" + c.hub + ";SharedAccessKeyName=link;SharedAccessKey=****"; !strings.Contains(service.body,
		masked) || strings.Contains(service.body, "authorizationPolicies") {
		t.Errorf("service: got %s, want the link as %s and no policies", service.body, masked)
	}
	if keys := c.must(t, "POST", c.servicePath+"/keys/reader/listkeys"+serviceVersion, "",
		200); keys.text("primaryKey") != c.keys["reader"] || keys.text("rights") != "EnrollmentRead" {
		t.Errorf("got %s with the rights %q, want the key that was given and EnrollmentRead", keys.text("keyName"),
			keys.text("rights"))
	}
	taken := c.must(t, "POST", "/subscriptions/"+c.Subscription+"/providers/Microsoft.Devices/checkNameAvailability"+
		hubVersion, fmt.Sprintf(`{"name":%q}`, "ek-hub-"+c.Name), 200)
	if taken.text("nameAvailable") != "false" || taken.text("reason") != "AlreadyExists" {
		t.Errorf("name: got %s, want it taken", taken.body)
	}
	c.must(t, "GET", c.hubPath+"-absent"+hubVersion, "", 404)
}

const keyed = `"attestation":{"type":"symmetricKey"}`

var (
	etagForm = regexp.MustCompile(`^[A-Za-z0-9+/]+=*$`)
	timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$`)
)

// enrollments: recordings enrollment_symmetrickey_lifecycle of azure-iot-deviceprovisioning, and the 2021-10-01 service
// description.
func (c *cloud) enrollments(t *testing.T) {
	for _, kind := range []struct{ path, id string }{{"/enrollments/", "registrationId"},
		{"/enrollmentGroups/", "enrollmentGroupId"}} {
		path := kind.path + "conformance-1"
		body := fmt.Sprintf(`{%q:"conformance-1",%s,"initialTwin":{"tags":{"floor":2}}}`, kind.id, keyed)
		made := c.as(t, "owner", "PUT", path, body).want(t, 200, "")
		etag, key := made.text("etag"), made.text("attestation", "symmetricKey", "primaryKey")
		if made.text(kind.id) != "conformance-1" || !etagForm.MatchString(etag) || key == "" ||
			!timeForm.MatchString(made.text("createdDateTimeUtc")) {
			t.Errorf("%s: got %s, want id, etag, time and made keys", path, made.body)
		}
		read := c.as(t, "owner", "GET", path, "").want(t, 200, "")
		if read.text("attestation", "type") != "symmetricKey" || read.text("attestation", "symmetricKey") != "" ||
			read.text("initialTwin", "tags", "floor") != "2" {
			t.Errorf("%s: got %s, want it without keys", path, read.body)
		}
		if shown := c.as(t, "owner", "POST", path+"/attestationmechanism", "").want(t, 200,
			""); shown.text("symmetricKey", "primaryKey") != key {
			t.Errorf("%s: the attestation mechanism has another key", path)
		}
		changed := c.as(t, "owner", "PUT", path, body, "If-Match", etag).want(t, 200, "")
		if changed.text("etag") == etag || changed.text("createdDateTimeUtc") != made.text("createdDateTimeUtc") {
			t.Errorf("%s: got %s, want another etag and the same time of creation", path, changed.body)
		}
		c.as(t, "owner", "PUT", path, body, "If-Match", etag).want(t, 412, "")
		c.as(t, "owner", "DELETE", path, "", "If-Match", etag).want(t, 412, "")
		c.as(t, "owner", "DELETE", path, "", "If-Match", "*").want(t, 204, "")
		c.as(t, "owner", "GET", path, "").want(t, 404, "404201")
		c.as(t, "owner", "PUT", kind.path+"other", body).want(t, 400, "")
		// Azure/azure-sdk-for-python issue 35368.
		hubs := fmt.Sprintf(`{%q:"conformance-1",%s,"iotHubs":[%q]}`, kind.id, keyed, c.hub)
		refused := c.as(t, "owner", "PUT", path, hubs).want(t, 400, "400004")
		if !strings.Contains(refused.body,
			"Enrollment allocationPolicy must be specified when iotHubs are specified.") {
			t.Errorf("%s: got %s of hubs without a policy", path, refused.body)
		}
	}
}

// collections: recording individual_enrollment_bulk_operations of azure-iot-deviceprovisioning; that the query's text
// is not read: azure-iot-sdk-csharp issues 794 and 2188.
func (c *cloud) collections(t *testing.T) {
	bulk := func(mode string, ids ...string) answer {
		entries := make([]string, len(ids))
		for i, id := range ids {
			entries[i] = fmt.Sprintf(`{"registrationId":%q,%s}`, id, keyed)
		}
		return c.as(t, "owner", "POST", "/enrollments", fmt.Sprintf(`{"mode":%q,"enrollments":[%s]}`, mode,
			strings.Join(entries, ","))).want(t, 200, "")
	}
	if got := bulk("create", "conformance-a", "conformance-b", "conformance-c"); got.text("isSuccessful") != "true" {
		t.Errorf("create: got %s, want success", got.body)
	}
	for _, mode := range []string{"create", "update"} {
		if got := bulk(mode, "conformance-a"); got.text("isSuccessful") != "false" ||
			!strings.Contains(got.body, `"errorCode":409201`) ||
			!strings.Contains(got.body, "Enrollment already exists.") {
			t.Errorf("%s of one that exists: got %s, want 409201", mode, got.body)
		}
	}
	found, continuation, pages := map[string]bool{}, "", 0
	for {
		header := []string{"x-ms-max-item-count", "2"}
		if continuation != "" {
			header = append(header, "x-ms-continuation", continuation)
		}
		got := c.as(t, "owner", "POST", "/enrollments/query",
			`{"query":"SELECT * FROM enrollments WHERE registrationId = 'conformance-a'"}`, header...).want(t, 200, "")
		var page []struct{ RegistrationID string }
		if err := json.Unmarshal([]byte(got.body), &page); err != nil || len(page) > 2 ||
			got.header.Get("x-ms-item-type") != "Enrollment" {
			t.Fatalf("query: got %s and %v, want at most two enrollments", got.body, got.header)
		}
		for _, one := range page {
			found[one.RegistrationID] = true
		}
		if continuation = got.header.Get("x-ms-continuation"); continuation == "" || pages > 50 {
			break
		}
		pages++
	}
	if !found["conformance-a"] || !found["conformance-b"] || !found["conformance-c"] {
		t.Errorf("query: got %v, want all three", found)
	}
	if got := bulk("delete", "conformance-a", "conformance-b", "conformance-c"); got.text("isSuccessful") != "true" {
		t.Errorf("delete: got %s, want success", got.body)
	}
}

// rights: "Control access to DPS" in the documentation, and its page on Microsoft Entra ID.
func (c *cloud) rights(t *testing.T) {
	const path = "/enrollments/conformance-rights"
	body := `{"registrationId":"conformance-rights",` + keyed + `}`
	c.as(t, "owner", "PUT", path, body).want(t, 200, "")
	c.as(t, "reader", "GET", path, "").want(t, 200, "")
	wrongKey, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	call := func(authorization string) answer {
		return c.ask(t.Context(), t, request{method: "GET", url: "https://" + c.service + path + enrollmentVersion,
			authorization: authorization})
	}
	call(c.signed(t, c.service, "owner", wrongKey)).want(t, 401, "")
	call(c.signed(t, c.service, "unknown", wrongKey)).want(t, 401, "")
	call("").want(t, 401, "")
	call(c.bearer(t.Context(), t, managementAudience)).want(t, 401, "")
	if !c.Azure { // on Azure the caller needs a role on the data, which the suite does not give
		call(c.bearer(t.Context(), t, serviceAudience)).want(t, 200, "")
	}
	c.as(t, "owner", "DELETE", path, "").want(t, 204, "")
}

// register starts a registration over HTTPS and polls it to its end.
func (c *cloud) register(t *testing.T, scope, id, key string) answer {
	t.Helper()
	base := "https://" + globalHost + "/" + scope + "/registrations/" + id
	token := c.signed(t, scope+"/registrations/"+id, sas.Policy, key)
	got := c.ask(t.Context(), t, request{method: "PUT", url: base + "/register" + deviceVersion, authorization: token,
		body: fmt.Sprintf(`{"registrationId":%q}`, id)})
	ctx, cancel := context.WithTimeout(t.Context(), c.Patience)
	defer cancel()
	for got.status == 202 && c.pause(ctx) {
		if got.text("operationId") == "" || got.header.Get("Retry-After") == "" {
			t.Fatalf("%s: got %s and %v, want an operation and when to come again", id, got.body, got.header)
		}
		got = c.ask(ctx, t, request{method: "GET", url: base + "/operations/" + got.text("operationId") + deviceVersion,
			authorization: token})
	}
	return got
}

// device: "How to use raw HTTPS with symmetric keys", recording device_registration_lifecycle, and the hub's REST
// description.
func (c *cloud) device(t *testing.T) {
	const id = "conformance-device"
	made := c.as(t, "owner", "PUT", "/enrollments/"+id,
		fmt.Sprintf(`{"registrationId":%q,%s,"initialTwin":{"tags":{"floor":2},"properties":{"desired":{"interval":30}}}}`, id, keyed)).want(t, 200, "")
	if got := c.as(t, "owner", "GET", "/enrollments/"+id, ""); got.text("registrationState", "status") != "unassigned" {
		t.Errorf("before: got %s, want it unassigned", got.body)
	}
	key := made.text("attestation", "symmetricKey", "primaryKey")
	got := c.register(t, c.scope, id, key).want(t, 200, "")
	if got.text("status") != "assigned" || got.text("registrationState", "assignedHub") != c.hub ||
		got.text("registrationState", "deviceId") != id ||
		got.text("registrationState", "substatus") != "initialAssignment" ||
		!timeForm.MatchString(got.text("registrationState", "createdDateTimeUtc")) {
		t.Fatalf("got %s, want it assigned to %s", got.body, c.hub)
	}
	if again := c.register(t, c.scope, id, key).want(t, 200, ""); again.text("registrationState",
		"substatus") != "reprovisionedToInitialAssignment" {
		t.Errorf("again: got %s, want it where it was", again.body)
	}
	if record := c.as(t, "owner", "GET", "/registrations/"+id, "").want(t, 200,
		""); record.text("status") != "assigned" || record.text("assignedHub") != c.hub {
		t.Errorf("record: got %s", record.body)
	}
	operator := c.signed(t, c.hub, "link", c.keys["link"])
	if twin := c.onHub(t, "GET", "/twins/"+id, "", operator).want(t, 200, ""); twin.text("tags", "floor") != "2" ||
		twin.text("properties", "desired", "interval") != "30" {
		t.Errorf("twin: got %s, want the initial one", twin.body)
	}
	if missing := c.onHub(t, "GET", "/devices/conformance-absent", "", operator).want(t, 404,
		""); !strings.HasPrefix(missing.text("Message"), "ErrorCode:DeviceNotFound;") {
		t.Errorf("absent device: got %s", missing.body)
	}
	c.onHub(t, "POST", "/devices/"+id+"/messages/events", "21.5", c.signed(t, c.hub+"/devices/"+id, "", key)).want(t,
		204, "")
	wrongKey, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.onHub(t, "POST", "/devices/"+id+"/messages/events", "21.5", c.signed(t, c.hub+"/devices/"+id, "",
		wrongKey)).want(t, 401, "")
	c.register(t, c.scope, id, wrongKey).want(t, 401, "")
	c.as(t, "owner", "DELETE", "/registrations/"+id, "").want(t, 204, "")
	c.as(t, "owner", "GET", "/registrations/"+id, "").want(t, 404, "404201")
	c.as(t, "owner", "DELETE", "/enrollments/"+id, "").want(t, 204, "")
}
