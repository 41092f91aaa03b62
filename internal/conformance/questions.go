package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// question is one assumption that no source settles; docs/reference/fidelity.md calls it unsure. ask fails if Azure
// answers differently, and then the emulator must change.
type question struct {
	number int
	belief string
	ask    func(c *cloud, t *testing.T)
}

var questions = []question{
	{1, "a PUT without If-Match replaces an enrollment that exists", func(c *cloud, t *testing.T) {
		c.enrolled(t, "question-1")
		c.as(t, "owner", "PUT", "/enrollments/question-1", `{"registrationId":"question-1",`+keyed+
			`,"deviceId":"changed"}`).want(t, 200, "")
	}},
	{2, "a registration with an unknown ID scope answers 401002", func(c *cloud, t *testing.T) {
		c.register(t, "0ne00000000", "question-2", c.keys["owner"]).want(t, 401, "401002")
	}},
	{3, "an unknown registration id with a symmetric key answers 401000", func(c *cloud, t *testing.T) {
		c.register(t, c.scope, "question-3", c.keys["owner"]).want(t, 401, "401000")
	}},
	{4, "a policy without the right answers 401, not 403", func(c *cloud, t *testing.T) {
		c.as(t, "reader", "DELETE", "/enrollments/question-4", "").want(t, 401, "401002")
	}},
	{5, "a disabled enrollment lets the registration begin and shows the status disabled",
		func(c *cloud, t *testing.T) {
			key := c.enrolled(t, "question-5")
			c.as(t, "owner", "PUT", "/enrollments/question-5",
				fmt.Sprintf(`{"registrationId":"question-5","provisioningStatus":"disabled",
			"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, key, key)).want(t, 200, "")
			if got := c.register(t, c.scope, "question-5", key).want(t, 200, ""); got.text("status") != "disabled" {
				t.Errorf("got %s, want the status disabled", got.body)
			}
		}},
	{6, "deleting an individual enrollment deletes its registration", func(c *cloud, t *testing.T) {
		c.register(t, c.scope, "question-6", c.enrolled(t, "question-6")).want(t, 200, "")
		c.as(t, "owner", "DELETE", "/enrollments/question-6", "").want(t, 204, "")
		c.as(t, "owner", "GET", "/registrations/question-6", "").want(t, 404, "404201")
	}},
	{7, "an id twice in one bulk operation refuses the operation", func(c *cloud, t *testing.T) {
		entry := `{"registrationId":"question-7",` + keyed + `}`
		c.as(t, "owner", "POST", "/enrollments", `{"mode":"create","enrollments":[`+entry+`,`+entry+`]}`).want(t, 400,
			"")
	}},
	{8, "a missing api-version answers 400", func(c *cloud, t *testing.T) {
		c.ask(t.Context(), t, request{
			method: "GET", url: "https://" + c.service + "/enrollments/question-8",
			authorization: c.signed(t, c.service, "owner", c.keys["owner"]),
		}).want(t, 400, "")
	}},
	{9, "the type of an enrollment's attestation can be changed", func(c *cloud, t *testing.T) {
		c.enrolled(t, "question-9")
		c.as(t, "owner", "PUT", "/enrollments/question-9",
			`{"registrationId":"question-9","attestation":{"type":"x509","x509":{"caReferences":{"primary":"absent"}}}}`, "If-Match", "*").want(t, 200, "")
	}},
	{10, "the registrations of an unknown group are an empty list", func(c *cloud, t *testing.T) {
		if got := c.as(t, "owner", "POST", "/registrations/question-10/query", "").want(t, 200, ""); got.body != "[]" {
			t.Errorf("got %s, want []", got.body)
		}
	}},
	{11, "a device cannot be below a scope of no edge device", func(c *cloud, t *testing.T) {
		c.hubAnswers(t, "PUT", "/devices/question-11",
			`{"deviceId":"question-11","deviceScope":"ms-azure-iot-edge://absent-1"}`, 400, "InvalidDeviceScope")
	}},
	{12, "another method than a path of the hub has answers 405", func(c *cloud, t *testing.T) {
		c.hubAnswers(t, "DELETE", "/statistics/devices", "", 405, "")
	}},
	{13, "a bulk update by etags refuses a device without one", func(c *cloud, t *testing.T) {
		c.hubAnswers(t, "POST", "/devices", `[{"id":"question-13","importMode":"create"}]`, 200, "")
		c.hubAnswers(t, "POST", "/devices",
			`[{"id":"question-13","importMode":"updateIfMatchETag","status":"disabled"}]`, 400, "PreconditionFailed")
	}},
	{14, "a consumer group that is not there cannot be deleted", func(c *cloud, t *testing.T) {
		c.must(t, "DELETE", c.hubPath+"/eventHubEndpoints/events/ConsumerGroups/absent"+hubVersion, "", 404)
	}},
	{15, "a registration leaves the etag and the time of update of its enrollment", func(c *cloud, t *testing.T) {
		key := c.enrolled(t, "question-15")
		before := c.as(t, "owner", "GET", "/enrollments/question-15", "").want(t, 200, "")
		c.register(t, c.scope, "question-15", key).want(t, 200, "")
		after := c.as(t, "owner", "GET", "/enrollments/question-15", "").want(t, 200, "")
		for _, name := range []string{"etag", "lastUpdatedDateTimeUtc"} {
			if before.text(name) != after.text(name) {
				t.Errorf("%s: got %s, want %s as before the registration", name, after.text(name), before.text(name))
			}
		}
	}},
	{16, "an identical PUT moves the etag and the time of update of an enrollment, and not its creation time",
		func(c *cloud, t *testing.T) {
			key := c.enrolled(t, "question-16")
			before := c.as(t, "owner", "GET", "/enrollments/question-16", "").want(t, 200, "")
			after := c.as(t, "owner", "PUT", "/enrollments/question-16", fmt.Sprintf(`{"registrationId":"question-16",
			"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, key, key), "If-Match", "*").want(t, 200, "")
			for name, moves := range map[string]bool{"etag": true, "lastUpdatedDateTimeUtc": true,
				"createdDateTimeUtc": false} {
				if moved := before.text(name) != after.text(name); moved != moves {
					t.Errorf("%s moved: %t, want %t", name, moved, moves)
				}
			}
		}},
	{17, "a bulk deletion compares an etag that it contains", func(c *cloud, t *testing.T) {
		c.enrolled(t, "question-17")
		got := c.as(t, "owner", "POST", "/enrollments",
			`{"mode":"delete","enrollments":[{"registrationId":"question-17","etag":"AAAAAAAAAAA="}]}`).want(t, 200, "")
		if !strings.Contains(got.body, `"isSuccessful":false`) {
			t.Errorf("got %s, want the entry refused", got.body)
		}
	}},
	{18, "a PUT of a provisioning service with 2022-12-12 turns disableLocalAuth off", func(c *cloud, t *testing.T) {
		whole := c.active(t, c.servicePath+wholeVersion)
		whole.tree["properties"].(map[string]any)["disableLocalAuth"] = true
		c.replace(t, wholeVersion, whole)
		c.replace(t, serviceVersion, c.active(t, c.servicePath+serviceVersion))
		after := c.active(t, c.servicePath+wholeVersion)
		if got := after.text("properties", "disableLocalAuth"); got == "true" {
			// The questions that follow sign with keys.
			after.tree["properties"].(map[string]any)["disableLocalAuth"] = false
			c.replace(t, wholeVersion, after)
			t.Error("disableLocalAuth is still on")
		}
	}},
	{19, "the answer to a PUT of a provisioning service shows the etag that a GET shows afterwards, with any " +
		"api-version", func(c *cloud, t *testing.T) {
		written := c.replace(t, wholeVersion, c.active(t, c.servicePath+wholeVersion))
		for _, version := range []string{wholeVersion, serviceVersion} {
			if got := c.active(t, c.servicePath+version); written.text("etag") == "" ||
				got.text("etag") != written.text("etag") {
				t.Errorf("%s: got etag %q, want %q", version, got.text("etag"), written.text("etag"))
			}
		}
	}},
	{20, "a PUT of a provisioning service with an old etag is refused", func(c *cloud, t *testing.T) {
		before := c.active(t, c.servicePath+wholeVersion)
		c.replace(t, wholeVersion, before)
		body, err := json.Marshal(before.tree)
		if err != nil {
			t.Fatal(err)
		}
		c.must(t, "PUT", c.servicePath+wholeVersion, string(body), 412)
	}},
}

// replace writes the service as it was read, and waits until it is ready.
func (c *cloud) replace(t *testing.T, version string, read answer) answer {
	t.Helper()
	body, err := json.Marshal(read.tree)
	if err != nil {
		t.Fatal(err)
	}
	written := c.must(t, "PUT", c.servicePath+version, string(body), 201)
	c.active(t, c.servicePath+version)
	return written
}

// hubAnswers calls the hub as its operator and expects that status, and that code in the body.
func (c *cloud) hubAnswers(t *testing.T, method, path, body string, status int, code string) {
	t.Helper()
	got := c.onHub(t, method, path, body, c.signed(t, c.hub, "link", c.keys["link"])).want(t, status, "")
	if !strings.Contains(got.body, code) {
		t.Errorf("got %s, want %s", got.body, code)
	}
}

// questions runs the questions on Azure, and skips each with its number elsewhere: the emulator could only confirm our
// assumption.
func (c *cloud) questions(t *testing.T) {
	for _, q := range slices.Concat(questions, newerQuestions, issuanceQuestions, linkQuestions) {
		t.Run(fmt.Sprint(q.number), func(t *testing.T) {
			if !c.Azure {
				t.Skipf("question %d, for Azure only: %s?", q.number, q.belief)
			}
			t.Logf("question %d: %s", q.number, q.belief)
			q.ask(c, t)
		})
	}
}

// enrolled creates an individual enrollment and returns its key.
func (c *cloud) enrolled(t *testing.T, id string) string {
	t.Helper()
	return c.as(t, "owner", "PUT", "/enrollments/"+id, fmt.Sprintf(`{"registrationId":%q,%s}`, id, keyed)).want(t, 200,
		"").text("attestation", "symmetricKey", "primaryKey")
}
