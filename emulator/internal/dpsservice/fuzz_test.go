package dpsservice_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"evenkeel/emulator/internal/dpsservice"
)

// answered sends a request and checks that the answer is JSON or empty, and not an internal error.
func (w world) answered(t *testing.T, c call) {
	t.Helper()
	r := w.do(t, c)
	if r.status >= http.StatusInternalServerError {
		t.Fatalf("%s %s %q: got %d %s", c.method, c.path, c.body, r.status, r.body)
	}
	if r.body != "" && !json.Valid([]byte(r.body)) {
		t.Errorf("%s %s: got %q, which is not JSON", c.method, c.path, r.body)
	}
}

// FuzzQuery: every query is answered, whatever it and its paging headers contain.
func FuzzQuery(f *testing.F) {
	w := newWorld(f, dpsservice.Options{})
	for _, seed := range []string{"SELECT * FROM enrollments", "select *", "SELECT * FROM enrollments WHERE a = 'b'",
		"", "'", "SELECT\x00*"} {
		f.Add(seed, "10", "")
	}
	f.Add("SELECT * FROM enrollmentGroups", "-1", "eyJhIjoiYiJ9")
	f.Fuzz(func(t *testing.T, query, count, continuation string) {
		body, err := json.Marshal(map[string]string{"query": query})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/enrollments/query", "/enrollmentGroups/query", "/registrations/group-1/query"} {
			w.answered(t, call{method: "POST", path: path, body: string(body), header: map[string]string{
				"x-ms-max-item-count": count, "x-ms-continuation": continuation,
			}})
		}
	})
}

// FuzzBody: every body of an entry or a bulk operation is answered.
func FuzzBody(f *testing.F) {
	w := newWorld(f, dpsservice.Options{})
	for _, seed := range []string{
		`{"registrationId":"a","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"YQ==","secondaryKey":"YQ=="}},"etag":"\"x\""}`,
		`{"enrollmentGroupId":"a","attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":"YQ=="}}}},"allocationPolicy":"custom","customAllocationDefinition":{"webhookUrl":"https://a","apiVersion":"2019-03-31"}}`,
		`{"registrationId":"a","attestation":{"type":"tpm","tpm":{"endorsementKey":"YQ==","storageRootKey":""}},"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":null}}`,
		`{"mode":"create","enrollments":[{"registrationId":"b","attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"a":1},"properties":{"desired":{"b":{}}}},"iotHubs":["hub-1.azure-devices.net"]}]}`,
		`{"mode":"delete","enrollments":[{"registrationId":"b"}]}`, `[`, `null`,
		`{"capabilities":{"iotEdge":"yes"},"optionalDeviceInformation":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, c := range []call{
			{method: "PUT", path: "/enrollments/a"}, {method: "PUT", path: "/enrollmentGroups/a"},
			{method: "POST", path: "/enrollments"},
			{method: "POST", path: "/enrollments/a/attestationmechanism"}, {method: "GET", path: "/enrollments/a"},
			{method: "GET", path: "/enrollmentGroups/a"},
		} {
			c.body = string(body)
			w.answered(t, c)
		}
	})
}

// FuzzCertificate: every certificate of an entry is stored or refused, and a stored one can be shown.
func FuzzCertificate(f *testing.F) {
	w := newWorld(f, dpsservice.Options{})
	der, _ := selfSigned(f, "seed")
	f.Add(der, true)
	f.Add(der[:len(der)/2], true)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n"+base64.StdEncoding.EncodeToString(der)+
		"\n-----END CERTIFICATE-----\n"), false)
	f.Fuzz(func(t *testing.T, certificate []byte, encode bool) {
		text := string(certificate)
		if encode {
			text = base64.StdEncoding.EncodeToString(certificate)
		}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"clientCertificates", "signingCertificates"} {
			attestation := `"attestation":{"type":"x509","x509":{"` + kind + `":{"primary":{"certificate":` +
				string(quoted) + `}}}}}`
			w.answered(t, call{method: "PUT", path: "/enrollments/a", body: `{"registrationId":"a",` + attestation})
			w.answered(t, call{method: "PUT", path: "/enrollmentGroups/a", body: `{"enrollmentGroupId":"a",` +
				attestation})
		}
		for _, path := range []string{"/enrollments/a", "/enrollmentGroups/a"} {
			w.answered(t, call{method: "GET", path: path})
			w.answered(t, call{method: "DELETE", path: path, header: map[string]string{"If-Match": "*"}})
		}
	})
}
