package dpsservice_test

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/emulator/internal/dpsservice"
)

// The bodies and replies have the form of traffic recorded by the Azure SDK for Python (azure-iot-deviceprovisioning,
// 2021-10-01).
func TestSymmetricKeyEnrollment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	const mechanism = `{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + key1 + `","secondaryKey":"` + key2 +
		`"}}`
	body := `{"registrationId":"a","attestation":` + mechanism + `,"allocationPolicy":"geoLatency","capabilities":null,
		"reprovisionPolicy":{"migrateDeviceData":true,"updateHubAssignment":true},"customAllocationDefinition":null,
		"provisioningStatus":null,"deviceId":"device-a","optionalDeviceInformation":null,"iotHubs":null,"iotHubHostName":null,
		"initialTwin":{"properties":{"desired":{"key":"value"}}}}`
	common := `"registrationId":"a","deviceId":"device-a","initialTwin":{"properties":{"desired":{"key":"value"}}},
		"etag":"ETAG","provisioningStatus":null,"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":true},
		"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z",
		"allocationPolicy":"geoLatency"`

	w.do(t, call{method: "PUT", path: "/enrollments/a", body: body}).want(t, 200, `{`+common+`,"attestation":`+
		mechanism+`}`)
	w.do(t, call{method: "GET", path: "/enrollments/a"}).want(t, 200, `{`+common+
		`,"attestation":{"type":"symmetricKey"},
		"registrationState":{"registrationId":"a","status":"unassigned"}}`)
	query := w.do(t, call{method: "POST", path: "/enrollments/query", body: `{"query":"SELECT *"}`})
	query.want(t, 200, `[{`+common+`,"attestation":{"type":"symmetricKey"}}]`)
	if got := query.header.Get("x-ms-item-type"); got != "Enrollment" {
		t.Errorf("got x-ms-item-type %q, want Enrollment", got)
	}
	w.do(t, call{method: "POST", path: "/enrollments/a/attestationmechanism"}).want(t, 200, mechanism)
}

func TestGroupWithNulls(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	got := w.do(t, call{method: "PUT", path: "/enrollmentGroups/g",
		body: `{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey",
		"symmetricKey":{"primaryKey":null,"secondaryKey":null}},"allocationPolicy":"static","capabilities":null,"provisioningStatus":null,
		"reprovisionPolicy":null,"iotHubs":null,"iotHubHostName":null,"initialTwin":null,"customAllocationDefinition":null}`})
	made := tree(t, got.body).(map[string]any)["attestation"].(map[string]any)["symmetricKey"].(map[string]any)
	for _, member := range []string{"primaryKey", "secondaryKey"} {
		t.Run(member, func(t *testing.T) {
			if key, _ := made[member].(string); len(key) != 88 {
				t.Errorf("%s: got %q, want the base64 of 64 bytes", member, key)
			}
		})
	}
	w.do(t, call{method: "GET", path: "/enrollmentGroups/g"}).want(t, 200, `{"enrollmentGroupId":"g",
		"attestation":{"type":"symmetricKey"},"etag":"ETAG","provisioningStatus":null,"allocationPolicy":"static",
		"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z"}`)
	w.do(t, call{method: "POST", path: "/enrollmentgroups/g/attestationmechanism"}).want(t, 200,
		fmt.Sprintf(`{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}`, made["primaryKey"],
			made["secondaryKey"]))
}

func TestEveryMemberIsEchoed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	const mechanism = `{"type":"tpm","tpm":{"endorsementKey":"AToAAQALAAMAsgAg","storageRootKey":"AToAAQALAAMAsgAh"}}`
	body := `{"registrationId":"a:b_c.d-1","deviceId":"d","attestation":` + mechanism +
		`,"capabilities":{"iotEdge":true},
		"iotHubHostName":"HUB-1.azure-devices.net","initialTwin":{"tags":{"n":9007199254740993},"properties":null},
		"optionalDeviceInformation":{"serial":"x"},"provisioningStatus":"disabled",
		"reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":false},"allocationPolicy":"Custom",
		"iotHubs":["hub-1.azure-devices.net","hub-2.azure-devices.net"],"unknownMember":{"x":1},
		"customAllocationDefinition":{"webhookUrl":"https://f.example/api/allocate?code=secret","apiVersion":"2021-10-01"}}`
	w.do(t, call{method: "PUT", path: "/enrollments/a:b_c.d-1", body: body}).want(t, 200,
		`{"registrationId":"a:b_c.d-1","deviceId":"d",
		"attestation":`+mechanism+`,"capabilities":{"iotEdge":true},"iotHubHostName":"hub-1.azure-devices.net",
		"initialTwin":{"tags":{"n":9007199254740993}},"optionalDeviceInformation":{"serial":"x"},"provisioningStatus":"disabled",
		"reprovisionPolicy":{"updateHubAssignment":false,"migrateDeviceData":false},"allocationPolicy":"custom","etag":"ETAG",
		"iotHubs":["hub-1.azure-devices.net","hub-2.azure-devices.net"],
		"customAllocationDefinition":{"webhookUrl":"https://f.example/api/allocate?****","apiVersion":"2021-10-01"},
		"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z"}`)
	if got := w.do(t, call{method: "GET", path: "/enrollments/a:b_c.d-1"}); !strings.Contains(got.body,
		"9007199254740993") {
		t.Errorf("a large number of the twin changed: %s", got.body)
	}
}

func TestAMaskedWebhookSentBackKeepsItsKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	body := func(address string) string {
		return `{"enrollmentGroupId":"a","attestation":{"type":"symmetricKey"},"customAllocationDefinition":{"webhookUrl":"` + address + `","apiVersion":"2018-09-01-preview"}}`
	}
	for _, step := range []struct{ sent, want string }{
		{"https://f.example/a?code=secret", "https://f.example/a?code=secret"},
		{"https://f.example/a?****", "https://f.example/a?code=secret"},
		{"https://f.example/b?****", "https://f.example/b?****"},
		{"https://f.example/a?code=new", "https://f.example/a?code=new"},
	} {
		t.Run(step.sent, func(t *testing.T) {
			w.put(t, "/enrollmentGroups/a", body(step.sent))
			if g, err := w.st.EnrollmentGroup(w.scope, "a"); err != nil || g.Webhook.URL != step.want {
				t.Errorf("%s: got %+v, %v, want %s", step.sent, g.Webhook, err, step.want)
			}
		})
	}
}

func TestPutReplacesTheWholeEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/enrollments/a",
		`{"registrationId":"a","deviceId":"d","allocationPolicy":"hashed","iotHubs":["hub-1.azure-devices.net"],
		"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"`+key1+`","secondaryKey":"`+key2+`"}}}`)
	w.put(t, "/enrollments/a", `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`)
	w.do(t, call{method: "GET", path: "/enrollments/a"}).want(t, 200,
		`{"registrationId":"a","attestation":{"type":"symmetricKey"},
		"etag":"ETAG","provisioningStatus":"enabled","registrationState":{"registrationId":"a","status":"unassigned"},
		"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z"}`)
}

// Azure's end-to-end tests for .NET (ReprovisioningE2ETests) read an enrollment, change its hubs and write it back
// without its keys, which GET omits; its device registers as before.
func TestOmittedKeysAreKept(t *testing.T) {
	t.Parallel()
	keys := func(primary, secondary string) string {
		return `{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + primary + `","secondaryKey":"` + secondary +
			`"}}`
	}
	tests := []struct {
		name, sent string
		kept       bool
	}{
		{"no keys", `{"type":"symmetricKey"}`, true},
		{"null", `{"type":"symmetricKey","symmetricKey":null}`, true},
		{"nulls", `{"type":"symmetricKey","symmetricKey":{"primaryKey":null,"secondaryKey":null}}`, false},
		{"empty keys", keys("", ""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dpsservice.Options{})
			for path, id := range map[string]string{"/enrollments": "registrationId",
				"/enrollmentGroups": "enrollmentGroupId"} {
				t.Run(path, func(t *testing.T) {
					w.put(t, path+"/a", fmt.Sprintf(`{%q:"a","attestation":%s}`, id, keys(key1, key2)))
					w.put(t, path+"/a", fmt.Sprintf(`{%q:"a","attestation":%s}`, id, test.sent))
					got := w.do(t, call{method: "POST", path: path + "/a/attestationmechanism"})
					if first, second := strings.Contains(got.body, key1),
						strings.Contains(got.body, key2); first != test.kept || second != test.kept {
						t.Errorf("%s: got %s, want the keys kept: %t", path, got.body, test.kept)
					}
				})
			}
		})
	}
}

func TestKeysOfAnotherAttestationAreNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	w.put(t, "/enrollments/a",
		`{"registrationId":"a","attestation":{"type":"tpm","tpm":{"endorsementKey":"AToAAQALAAMAsgAg"}}}`)
	w.put(t, "/enrollments/a", `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`)
	got := w.do(t, call{method: "POST", path: "/enrollments/a/attestationmechanism"})
	if !strings.Contains(got.body, "primaryKey") || strings.Contains(got.body, "AToAAQALAAMAsgAg") {
		t.Errorf("got %s, want keys that were made", got.body)
	}
}

func TestBadEntries(t *testing.T) {
	t.Parallel()
	const key = `"attestation":{"type":"symmetricKey"}`
	individual := func(rest string) string { return `{"registrationId":"a",` + rest + `}` }
	group := func(rest string) string { return `{"enrollmentGroupId":"a",` + rest + `}` }
	tests := []struct{ name, path, body, message string }{
		{"no id", "/enrollments/a", `{` + key + `}`, "registrationId is required"},
		{"no group id", "/enrollmentGroups/a", `{"registrationId":"a",` + key + `}`, "enrollmentGroupId is required"},
		{"an id that is not the path's", "/enrollments/b", individual(key), `"a", but the path names "b"`},
		{"an id that ends in a dot", "/enrollments/a.", `{"registrationId":"a.",` + key + `}`, "1 to 128 characters"},
		{"an id with a space", "/enrollments/a%20b", `{"registrationId":"a b",` + key + `}`, "1 to 128 characters"},
		{"an id with a slash", "/enrollments/a%2Fb", `{"registrationId":"a/b",` + key + `}`, "1 to 128 characters"},
		{"an id that is too long", "/enrollments/" + strings.Repeat("a", 129), individual(key), "1 to 128 characters"},
		{"a device id with a space", "/enrollments/a", individual(`"deviceId":"a b",` + key), "deviceId"},
		{"no attestation", "/enrollments/a", individual(`"deviceId":"a"`), "attestation is required"},
		{"an attestation without type", "/enrollments/a", individual(`"attestation":{}`), "attestation.type"},
		{"an unknown type", "/enrollments/a", individual(`"attestation":{"type":"none"}`), "attestation.type"},
		{"a key that is not base64", "/enrollments/a",
			individual(`"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"?"}}`),
			"primaryKey: symmetric key is not valid base64"},
		{"a key that is too short", "/enrollments/a",
			individual(`"attestation":{"type":"symmetricKey","symmetricKey":{"secondaryKey":"YQ=="}}`),
			"secondaryKey: symmetric key has 1 bytes"},
		{"TPM of a group", "/enrollmentGroups/a", group(`"attestation":{"type":"tpm","tpm":{"endorsementKey":"YQ=="}}`),
			"cannot use TPM"},
		{"TPM without key", "/enrollments/a", individual(`"attestation":{"type":"tpm"}`), "endorsementKey is required"},
		{"TPM with a key that is not base64", "/enrollments/a",
			individual(`"attestation":{"type":"tpm","tpm":{"endorsementKey":"?"}}`),
			"endorsementKey is not valid base64"},
		{"X.509 without anything", "/enrollments/a", individual(`"attestation":{"type":"x509"}`),
			"attestation.x509 is required"},
		{"empty X.509", "/enrollments/a", individual(`"attestation":{"type":"x509","x509":{}}`),
			"exactly one of"},
		{"a certificate that does not parse", "/enrollments/a",
			individual(`"attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"YWJj"}}}}`), "neither a PEM"},
		{"client certificates of a group", "/enrollmentGroups/a",
			group(`"attestation":{"type":"x509","x509":{"clientCertificates":{"primary":{"certificate":"YWJj"}}}}`),
			"signingCertificates or caReferences"},
		{"an unknown status", "/enrollments/a", individual(`"provisioningStatus":"paused",` + key),
			"provisioningStatus"},
		{"a status that is not a string", "/enrollments/a", individual(`"provisioningStatus":true,` + key),
			"provisioningStatus"},
		{"half a reprovision policy", "/enrollments/a", individual(`"reprovisionPolicy":{"updateHubAssignment":true},` +
			key), "reprovisionPolicy"},
		{"an unknown policy", "/enrollments/a", individual(`"allocationPolicy":"random",` + key), "allocationPolicy"},
		{"custom without webhook", "/enrollments/a", individual(`"allocationPolicy":"custom",` + key),
			"customAllocationDefinition"},
		{"a webhook without version", "/enrollments/a",
			individual(`"customAllocationDefinition":{"webhookUrl":"https://x.example"},` + key),
			"both webhookUrl and apiVersion"},
		{"a webhook that is no address", "/enrollments/a",
			individual(`"customAllocationDefinition":{"webhookUrl":"x","apiVersion":"2021-10-01"},` + key),
			"webhookUrl"},
		{"a webhook of an old version", "/enrollments/a",
			individual(`"customAllocationDefinition":{"webhookUrl":"https://x.example","apiVersion":"2018-04-01"},` +
				key), "2018-09-01-preview or later"},
		{"a webhook of no version", "/enrollments/a",
			individual(`"customAllocationDefinition":{"webhookUrl":"https://x.example","apiVersion":"latest"},` + key),
			"2018-09-01-preview or later"},
		{"a hub that is not linked", "/enrollments/a",
			individual(`"allocationPolicy":"hashed","iotHubs":["hub-3.azure-devices.net"],` + key), "not linked"},
		{"hubs without a policy", "/enrollments/a", individual(`"iotHubs":["hub-1.azure-devices.net"],` + key),
			"Enrollment allocationPolicy must be specified when iotHubs are specified."},
		{"hubs and a null for a policy", "/enrollments/a",
			individual(`"allocationPolicy":null,"iotHubs":["hub-1.azure-devices.net"],` + key),
			"Enrollment allocationPolicy must be specified when iotHubs are specified."},
		{"hubs of a group without a policy", "/enrollmentGroups/g",
			`{"enrollmentGroupId":"g","iotHubs":["hub-1.azure-devices.net"],` + key + `}`,
			"Enrollment allocationPolicy must be specified when iotHubs are specified."},
		{"a host name that is not linked", "/enrollments/a", individual(`"iotHubHostName":"hub-3.azure-devices.net",` +
			key), "not linked"},
		{"a twin that is no object", "/enrollments/a", individual(`"initialTwin":{"tags":[]},` + key),
			"initialTwin.tags"},
		{"desired properties that are no object", "/enrollments/a",
			individual(`"initialTwin":{"properties":{"desired":1}},` + key), "initialTwin.properties.desired"},
		{"device information that is no object", "/enrollments/a", individual(`"optionalDeviceInformation":1,` + key),
			"optionalDeviceInformation"},
	}
	w := newWorld(t, dpsservice.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w.do(t, call{method: "PUT", path: test.path, body: test.body}).wantError(t, 400, 400004, test.message)
		})
	}
	t.Cleanup(func() {
		w.do(t, call{method: "POST", path: "/enrollments/query", body: `{"query":""}`}).want(t, 200, `[]`)
	})
}

func TestETags(t *testing.T) {
	t.Parallel()
	const body = `{"registrationId":"a","attestation":{"type":"symmetricKey"}}`
	tests := []struct {
		name, method string
		// ifMatch: OLD and NEW are the entry's etags before and after a change.
		ifMatch string
		status  int
	}{
		{"the present etag", "PUT", "NEW", 200},
		{"the present etag in quotes", "PUT", `"NEW"`, 200},
		{"any version", "PUT", "*", 200},
		{"no condition", "PUT", "", 200},
		{"a stale etag", "PUT", "OLD", 412},
		{"the state's own word", "PUT", "-", 412},
		{"delete with the present etag", "DELETE", "NEW", 204},
		{"delete with any version", "DELETE", "*", 204},
		{"delete with a stale etag", "DELETE", "OLD", 412},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dpsservice.Options{})
			stale, present := w.put(t, "/enrollments/a", body), w.put(t, "/enrollments/a", body)
			if stale == present {
				t.Fatalf("the etag %q did not change", stale)
			}
			header := map[string]string{}
			if test.ifMatch != "" {
				header["If-Match"] = strings.NewReplacer("OLD", stale, "NEW", present).Replace(test.ifMatch)
			}
			got := w.do(t, call{method: test.method, path: "/enrollments/a", body: body, header: header})
			if test.status == 412 {
				got.wantError(t, 412, 412001, "Precondition failed.")
			} else if got.status != test.status {
				t.Errorf("got %d %s, want %d", got.status, got.body, test.status)
			}
		})
	}
	t.Run("any version of what is absent", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, dpsservice.Options{})
		w.do(t, call{method: "PUT", path: "/enrollments/a", body: body,
			header: map[string]string{"If-Match": "*"}}).wantError(t, 404, 404201, "")
	})
	t.Run("the strict switch", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, dpsservice.Options{Strict: true})
		w.put(t, "/enrollments/a", body)
		w.do(t, call{method: "PUT", path: "/enrollments/a", body: body}).wantError(t, 409, 409201,
			"Enrollment already exists.")
	})
}
