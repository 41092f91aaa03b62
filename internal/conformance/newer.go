package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/azure/sas"
)

// The newest stable api-versions of provisioning services and hubs in ARM, one that cannot exist, and the first of the
// device API with certificates that the service issues.
const (
	newestVersion      = "?api-version=2026-11-01"
	absentVersion      = "?api-version=2000-01-01"
	certificateVersion = "?api-version=2026-11-01"
)

// Issuing is a device of a provisioning service that is linked to a Device Registry namespace. The suite does not make
// one: its individual enrollment has a symmetric key and names a certificate policy.
type Issuing struct {
	// Scope is the service's ID scope, ID the registration id.
	Scope, ID string
	// Key is the enrollment's.
	Key string
}

// newerQuestions are about what api-versions of 2026 brought.
var newerQuestions = []question{
	{40, "the newest stable api-versions are served where the suite runs, and listed", func(c *cloud, t *testing.T) {
		c.must(t, "GET", c.servicePath+newestVersion, "", 200)
		c.must(t, "GET", c.hubPath+newestVersion, "", 200)
		provider := "/subscriptions/" + c.Subscription + "/providers/Microsoft.Devices"
		listed := c.must(t, "GET", provider+groupVersion, "", 200)
		for _, kind := range []string{"IotHubs", "ProvisioningServices"} {
			if !listsVersion(listed, kind, strings.TrimPrefix(newestVersion, "?api-version=")) {
				t.Errorf("%s: the registration does not list the newest version", kind)
			}
		}
	}},
	{41, "an api-version that does not exist answers 404 to a GET and 400 to a PUT", func(c *cloud, t *testing.T) {
		for _, path := range []string{c.servicePath, c.hubPath} {
			got := c.must(t, "GET", path+absentVersion, "", 404)
			if got.text("error", "code") != "InvalidResourceType" {
				t.Errorf("GET: got %s", got.body)
			}
			got = c.must(t, "PUT", path+absentVersion, `{"location":"`+c.Location+`"}`, 400)
			if got.text("error", "code") != "NoRegisteredProviderFound" {
				t.Errorf("PUT: got %s", got.body)
			}
		}
	}},
	{42, "a PUT with 2022-12-12 that sets disableLocalAuth is refused, and a GET does not show it",
		func(c *cloud, t *testing.T) {
			defer c.withoutServiceKeys(t)()
			old := c.active(t, c.servicePath+serviceVersion)
			if got := old.text("properties", "disableLocalAuth"); got != "" {
				t.Errorf("GET: got disableLocalAuth %s, want none", got)
			}
			old.tree["properties"].(map[string]any)["disableLocalAuth"] = true
			body, err := json.Marshal(old.tree)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.must(t, "PUT", c.servicePath+serviceVersion, string(body), 400); got.text("code") != "400024" {
				t.Errorf("PUT: got %s, want the code 400024", got.body)
			}
		}},
	{43, "a service with disableLocalAuth refuses keys with 401002 and the text Unauthorized",
		func(c *cloud, t *testing.T) {
			c.enrolled(t, "question-43")
			defer c.withoutServiceKeys(t)()
			got := c.as(t, "owner", "GET", "/enrollments/question-43", "").want(t, 401, "401002")
			if got.text("message") != "Unauthorized" {
				t.Errorf("got the message %q", got.text("message"))
			}
		}},
	{44, "devices register with their keys at a service with disableLocalAuth", func(c *cloud, t *testing.T) {
		key := c.enrolled(t, "question-44")
		defer c.withoutServiceKeys(t)()
		if got := c.register(t, c.scope, "question-44", key).want(t, 200, ""); got.text("status") != "assigned" {
			t.Errorf("got %s, want it assigned", got.body)
		}
	}},
	{45, "a registration to a hub with disableLocalAuth fails with 401002 while its link has a key",
		func(c *cloud, t *testing.T) {
			key := c.enrolled(t, "question-45")
			c.setHub(t, true)
			defer c.setHub(t, false)
			got := c.register(t, c.scope, "question-45", key)
			if got.text("status") != "failed" || got.text("registrationState", "errorCode") != "401002" {
				t.Errorf("got %d %s, want it failed with 401002", got.status, got.body)
			}
		}},
	{46, "a device is served at the hub's name for services, with a signature for the classic name",
		func(c *cloud, t *testing.T) {
			key := c.enrolled(t, "question-46")
			c.register(t, c.scope, "question-46", key).want(t, 200, "")
			name, domain, _ := strings.Cut(c.hub, ".")
			path := "/devices/question-46/messages/devicebound" + registryVersion
			token := c.signed(t, c.hub+"/devices/question-46", "", key)
			c.ask(t.Context(), t, request{method: "GET", url: "https://" + name + ".service." + domain + path,
				authorization: token}).want(t, 204, "")
		}},
	{47, "a request with a P-256 key is signed, and each element of the chain is base64 of DER, the leaf first",
		func(c *cloud, t *testing.T) {
			if c.Issuing == (Issuing{}) {
				t.Skip("no device of a service that issues certificates is named")
			}
			leaf := c.issued(t)
			if leaf.Subject.CommonName != c.Issuing.ID {
				t.Errorf("got a leaf for %q, want %q", leaf.Subject.CommonName, c.Issuing.ID)
			}
		}},
}

// listsVersion reports whether a registration lists an api-version of a type.
func listsVersion(registration answer, kind, version string) bool {
	types, _ := registration.tree["resourceTypes"].([]any)
	for _, item := range types {
		described, _ := item.(map[string]any)
		if !strings.EqualFold(fmt.Sprint(described["resourceType"]), kind) {
			continue
		}
		versions, _ := described["apiVersions"].([]any)
		for _, listed := range versions {
			if listed == version {
				return true
			}
		}
	}
	return false
}

// withoutServiceKeys turns disableLocalAuth of the service on, and waits until it takes effect. The result turns it off
// again.
func (c *cloud) withoutServiceKeys(t *testing.T) (restore func()) {
	t.Helper()
	set := func(on bool) {
		whole := c.active(t, c.servicePath+wholeVersion)
		whole.tree["properties"].(map[string]any)["disableLocalAuth"] = on
		c.replace(t, wholeVersion, whole)
		c.until(t, fmt.Sprintf("keys are refused: %t", on), func() bool {
			return (c.as(t, "owner", "GET", "/enrollments/absent", "").status == 401) == on
		})
	}
	set(true)
	return func() { set(false) }
}

// setHub sets disableLocalAuth of the hub, and waits until it takes effect.
func (c *cloud) setHub(t *testing.T, on bool) {
	t.Helper()
	hub := c.active(t, c.hubPath+hubVersion)
	hub.tree["properties"].(map[string]any)["disableLocalAuth"] = on
	body, err := json.Marshal(hub.tree)
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, "PUT", c.hubPath+hubVersion, string(body), 201)
	c.active(t, c.hubPath+hubVersion)
	c.until(t, fmt.Sprintf("keys of the hub are refused: %t", on), func() bool {
		token := c.signed(t, c.hub, "link", c.keys["link"])
		return (c.onHub(t, "GET", "/devices/absent", "", token).status == 401) == on
	})
}

// until polls a condition until it holds.
func (c *cloud) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := c.patient(t)
	defer cancel()
	for !holds() {
		if !c.pause(ctx) {
			t.Fatalf("%s: not after %s", what, c.Patience)
		}
	}
}

// issued registers the device that is named for this with a certificate signing request, and returns its certificate.
func (c *cloud) issued(t *testing.T) *x509.Certificate {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: c.Issuing.ID}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	path := c.Issuing.Scope + "/registrations/" + c.Issuing.ID
	token := c.signed(t, path, sas.Policy, c.Issuing.Key)
	got := c.ask(t.Context(), t, request{
		method: "PUT", url: "https://" + globalHost + "/" + path + "/register" + certificateVersion,
		authorization: token,
		body:          fmt.Sprintf(`{"registrationId":%q,"csr":%q}`, c.Issuing.ID, base64.StdEncoding.EncodeToString(der)),
	})
	ctx, cancel := c.patient(t)
	defer cancel()
	for got.status == 202 && c.pause(ctx) {
		got = c.ask(ctx, t, request{method: "GET", authorization: token,
			url: "https://" + globalHost + "/" + path + "/operations/" + got.text("operationId") + certificateVersion})
	}
	state, _ := got.want(t, 200, "").tree["registrationState"].(map[string]any)
	chain, _ := state["issuedCertificateChain"].([]any)
	if len(chain) == 0 {
		t.Fatalf("got %s, want a chain", got.body)
	}
	var leaf *x509.Certificate
	for i, element := range chain {
		raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(element))
		if err != nil {
			t.Fatalf("element %d is not base64: %v", i, err)
		}
		certificate, err := x509.ParseCertificate(raw)
		if err != nil {
			t.Fatalf("element %d is not DER (it begins with %.12q): %v", i, raw, err)
		}
		if leaf == nil {
			leaf = certificate
		}
	}
	return leaf
}
