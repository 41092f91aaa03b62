package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/azure/sas"
)

// The api-versions of the suite, and the prefix of its resources' names.
const (
	groupVersion      = "?api-version=2021-04-01"
	hubVersion        = "?api-version=2023-06-30"
	serviceVersion    = "?api-version=2022-12-12"
	wholeVersion      = "?api-version=2026-08-31"
	enrollmentVersion = "?api-version=2021-10-01"
	deviceVersion     = "?api-version=2021-06-01"
	registryVersion   = "?api-version=2021-04-12"

	managementAudience = "https://management.azure.com"
	serviceAudience    = "https://azure-devices-provisioning.net"
	globalHost         = "global.azure-devices-provisioning.net"
)

// cloud is a target with the resources that the cases share.
type cloud struct {
	Target
	// group, hubPath and servicePath are paths of resources; hub and service host names.
	group, hubPath, servicePath string
	hub, service, scope         string
	// keys of policies, by name: of the hub "link", of the service "owner" and "reader".
	keys map[string]string
}

// newCloud creates the resources, and deletes them at the end of the test, also if their creation fails.
func newCloud(t *testing.T, target Target) *cloud {
	t.Helper()
	c := &cloud{Target: target, keys: map[string]string{}}
	c.group = "/subscriptions/" + target.Subscription + "/resourceGroups/evenkeel-conformance-" + target.Name
	c.hubPath = c.group + "/providers/Microsoft.Devices/IotHubs/ek-hub-" + target.Name
	c.servicePath = c.group + "/providers/Microsoft.Devices/provisioningServices/ek-dps-" + target.Name
	c.hub, c.service = "ek-hub-"+target.Name+".azure-devices.net", "ek-dps-"+target.Name+
		".azure-devices-provisioning.net"
	for _, name := range []string{"link", "owner", "reader"} {
		key, err := sas.NewKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		c.keys[name] = key
	}
	t.Cleanup(func() { c.remove(t) })
	c.must(t, "PUT", c.group+groupVersion, fmt.Sprintf(`{"location":%q,"tags":{"purpose":"conformance"}}`,
		target.Location), 201)
	c.must(t, "PUT", c.hubPath+hubVersion, fmt.Sprintf(
		`{"location":%q,"sku":{"name":"S1","capacity":1},"properties":{"authorizationPolicies":[
		{"keyName":"link","primaryKey":%q,"secondaryKey":%q,"rights":"RegistryRead, RegistryWrite, ServiceConnect"}]}}`,
		target.Location, c.keys["link"], c.keys["link"]), 201)
	c.active(t, c.hubPath+hubVersion)
	c.must(t, "PUT", c.servicePath+serviceVersion,
		fmt.Sprintf(`{"location":%q,"sku":{"name":"S1","capacity":1},"properties":{"iotHubs":[
		{"location":%q,"connectionString":"HostName=%s;SharedAccessKeyName=link;SharedAccessKey=%s"}],"authorizationPolicies":[
		{"keyName":"owner","primaryKey":%q,"secondaryKey":%q,"rights":"ServiceConfig, EnrollmentRead, EnrollmentWrite, DeviceConnect, RegistrationStatusRead, RegistrationStatusWrite"},
		{"keyName":"reader","primaryKey":%q,"secondaryKey":%q,"rights":"EnrollmentRead"}]}}`,
			target.Location, target.Location, c.hub, c.keys["link"], c.keys["owner"], c.keys["owner"], c.keys["reader"],
			c.keys["reader"]), 201)
	c.scope = c.active(t, c.servicePath+serviceVersion).text("properties", "idScope")
	return c
}

// remove deletes the resource group and waits until it is deleted, so that it causes no more costs.
func (c *cloud) remove(t *testing.T) {
	// The test's own context has ended.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), c.Patience)
	defer cancel()
	if got := c.ask(ctx, t, request{method: "DELETE", url: c.ARM + c.group + groupVersion,
		authorization: c.bearer(ctx, t, managementAudience)}); got.status >= 300 && got.status != 404 {
		t.Errorf("delete the resource group %s by hand: got %d %s", c.group, got.status, got.body)
		return
	}
	for {
		got := c.ask(ctx, t, request{method: "GET", url: c.ARM + c.group + groupVersion,
			authorization: c.bearer(ctx, t, managementAudience)})
		if got.status == http.StatusNotFound {
			return
		}
		if !c.pause(ctx) {
			t.Errorf("the resource group %s is not gone after %s: look at it in the portal", c.group, c.Patience)
			return
		}
	}
}

// active waits until a resource is ready.
func (c *cloud) active(t *testing.T, path string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), c.Patience)
	defer cancel()
	for {
		got := c.must(t, "GET", path, "", 200)
		if state := got.text("properties", "state"); state == "Active" &&
			got.text("properties", "provisioningState") == "Succeeded" {
			return got
		}
		if !c.pause(ctx) {
			t.Fatalf("%s: got %s after %s, want it active", path, got.body, c.Patience)
		}
	}
}

// patient is a context that ends with the test or after Patience.
func (c *cloud) patient(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), c.Patience)
}

// pause waits for Poll; false when ctx has ended.
func (c *cloud) pause(ctx context.Context) bool {
	timer := time.NewTimer(c.Poll)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// request is one call; header holds names and values in turn.
type request struct {
	method, url, body string
	authorization     string
	header            []string
}

// answer is the response to a request.
type answer struct {
	status int
	header http.Header
	body   string
	tree   map[string]any
}

// text returns a nested member of the body, or "".
func (a answer) text(path ...string) string {
	var at any = a.tree
	for _, name := range path {
		members, _ := at.(map[string]any)
		at = members[name]
	}
	if at == nil {
		return ""
	}
	if number, is := at.(float64); is {
		return fmt.Sprintf("%.0f", number)
	}
	return fmt.Sprint(at)
}

func (c *cloud) ask(ctx context.Context, t *testing.T, q request) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("Authorization", q.authorization)
	for i := 0; i+1 < len(q.header); i += 2 {
		r.Header.Set(q.header[i], q.header[i+1])
	}
	response, err := c.Client.Do(r)
	if err != nil {
		t.Fatalf("%s %s: %v", q.method, q.url, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", q.method, q.url, err)
	}
	got := answer{status: response.StatusCode, header: response.Header, body: string(bytes.TrimSpace(body))}
	_ = json.Unmarshal(body, &got.tree) // a list or nothing leaves no members
	return got
}

func (c *cloud) bearer(ctx context.Context, t *testing.T, audience string) string {
	t.Helper()
	token, err := c.Token(ctx, audience)
	if err != nil {
		t.Fatalf("token for %s: %v", audience, err)
	}
	return "Bearer " + token
}

// must calls Azure Resource Manager and expects that status; 200 instead of 201 is accepted.
func (c *cloud) must(t *testing.T, method, path, body string, status int) answer {
	t.Helper()
	got := c.ask(t.Context(), t, request{method: method, url: c.ARM + path, body: body,
		authorization: c.bearer(t.Context(), t, managementAudience)})
	if got.status != status && (status != http.StatusCreated || got.status != http.StatusOK) {
		t.Fatalf("%s %s: got %d %s, want %d", method, path, got.status, got.body, status)
	}
	return got
}

// as calls the service API with the rights of a policy.
func (c *cloud) as(t *testing.T, policy, method, path, body string, header ...string) answer {
	t.Helper()
	return c.ask(t.Context(), t, request{
		method: method, url: "https://" + c.service + path + enrollmentVersion, body: body, header: header,
		authorization: c.signed(t, c.service, policy, c.keys[policy]),
	})
}

// onHub calls the hub.
func (c *cloud) onHub(t *testing.T, method, path, body, authorization string) answer {
	t.Helper()
	return c.ask(t.Context(), t, request{method: method, url: "https://" + c.hub + path + registryVersion, body: body,
		authorization: authorization})
}

func (c *cloud) signed(t *testing.T, resource, policy, key string) string {
	t.Helper()
	token, err := sas.New(resource, policy, key, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// want compares the status, and the error code where one is given.
func (a answer) want(t *testing.T, status int, code string) answer {
	t.Helper()
	if got := a.text("errorCode"); a.status != status || code != "" && got != code {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
	return a
}
