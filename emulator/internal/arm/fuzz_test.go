package arm_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// send sends a request to ARM and checks that the answer is JSON or empty, and not an internal error.
func (s surface) send(t *testing.T, method string, target *url.URL, body []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://arm.example/", strings.NewReader(string(body)))
	r.Method, r.URL = method, target
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code >= http.StatusInternalServerError {
		t.Fatalf("%s %s %q: got %d %s", method, target, body, w.Code, w.Body)
	}
	if w.Body.Len() > 0 && !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s: got %q, which is not JSON", method, target, w.Body)
	}
}

// withResources creates a group, a hub and a provisioning service for the requests.
func (s surface) withResources(f *testing.F) surface {
	f.Helper()
	const body = `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{}}`
	for _, path := range []string{
		"?api-version=2022-09-01", "/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30",
		"/providers/Microsoft.Devices/provisioningServices/dps-1?api-version=2022-12-12",
	} {
		if status, text := s.call("PUT", path, body); status != http.StatusCreated {
			f.Fatalf("got %d %s", status, text)
		}
	}
	return s
}

const resources = "/subscriptions/" + subscription + "/resourceGroups/rg/providers/Microsoft.Devices"

// FuzzPath: every path and query of a request is answered.
func FuzzPath(f *testing.F) {
	s := newSurface(f).withResources(f)
	for _, seed := range []struct{ method, path, query string }{
		{"GET", resources + "/IotHubs/hub-1", "api-version=2023-06-30"}, {"POST", resources + "/iothubs/hub-1/listkeys",
			"api-version=2023-06-30"},
		{"POST", resources + "/IotHubs/hub-1/IotHubKeys/iothubowner/listkeys", "api-version=2021-07-02"},
		{"GET", resources + "/provisioningServices/dps-1/certificates/%2e%2e", "api-version=2022-12-12"},
		{"POST", "/subscriptions/" + subscription + "/providers/Microsoft.Devices/checkNameAvailability",
			"api-version=2023-06-30"},
		{"GET", "/subscriptions/" + subscription +
			"/providers/Microsoft.Devices/locations/westeurope/operationResults/abc",
			"api-version=2023-06-30&asyncinfo"},
		{"GET", "//subscriptions/../%00", "api-version=%zz"}, {"HEAD", "/subscriptions/" + subscription +
			"/resourcegroups/rg", "api-version=2022-09-01&api-version=x"},
		{"PATCH", resources + "/IotHubs/hub-1/eventHubEndpoints/events/ConsumerGroups/a", "$top=-1"},
		{"OPTIONS", "*", ""},
		{"GET", "/subscriptions/" + subscription + "/resources",
			"api-version=2025-04-01&$filter=tagName+eq+'a'+and+(name+ne+'it''s'+or+startswith(tagName,'b'))"},
	} {
		f.Add(seed.method, seed.path, seed.query)
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		target, err := url.Parse("https://arm.example/" + strings.TrimPrefix(path, "/"))
		if err != nil || method == "" || strings.ContainsAny(method, " \t\r\n") {
			return // the HTTP server refuses it
		}
		target.RawQuery = query
		s.send(t, method, target, []byte(`{"name":"a","tags":{}}`))
	})
}

// FuzzBody: every body of a creation or a change is answered.
func FuzzBody(f *testing.F) {
	s := newSurface(f).withResources(f)
	targets := []string{
		"/IotHubs/hub-1?api-version=2023-06-30", "/IotHubs/hub-2?api-version=2022-04-30-preview",
		"/provisioningServices/dps-1?api-version=2022-12-12",
		"/provisioningServices/dps-2?api-version=2021-10-15", "/IotHubs/hub-1/certificates/c?api-version=2023-06-30",
		"/IotHubs/hub-1/eventHubEndpoints/events/ConsumerGroups/g?api-version=2023-06-30",
	}
	for i, seed := range []string{
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"authorizationPolicies":[{"keyName":"a","rights":"RegistryRead","primaryKey":"YQ=="}]}}`,
		`{"location":"West Europe","sku":{"name":"F1","capacity":-1},"tags":{"a":null},"properties":{"cloudToDevice":{"maxDeliveryCount":1e9,"defaultTtlAsIso8601":"P1Y"}}}`,
		`{"location":"westeurope","sku":{"name":"S1"},"properties":{"iotHubs":[{"connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=a;SharedAccessKey=****","location":"x","allocationWeight":-1}]}}`,
		`{"properties":{"ipFilterRules":[{"ipMask":"999.0.0.0/99"}],"allocationPolicy":"Hashed"}}`,
		`{"properties":{"certificate":"YQ==","isVerified":true}}`, `[[[[`,
	} {
		f.Add(byte(i), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		target, err := url.Parse("https://arm.example" + resources + targets[int(which)%len(targets)])
		if err != nil {
			t.Fatal(err)
		}
		method := http.MethodPut
		if which > 127 {
			method = http.MethodPatch
		}
		s.send(t, method, target, body)
	})
}

// FuzzCertificate: every certificate, or proof of possession, that is uploaded is stored or refused.
func FuzzCertificate(f *testing.F) {
	s := newSurface(f).withResources(f)
	block, _ := pem.Decode([]byte(seedCertificate))
	f.Add(block.Bytes, byte(0))
	f.Add([]byte(seedCertificate), byte(1))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"), byte(2))
	f.Add(block.Bytes[:100], byte(3))
	f.Fuzz(func(t *testing.T, certificate []byte, form byte) {
		text := string(certificate)
		if form%2 == 0 {
			text = base64.StdEncoding.EncodeToString(certificate)
		}
		body, err := json.Marshal(map[string]any{"properties": map[string]any{"certificate": text,
			"isVerified": form%4 < 2}})
		if err != nil {
			t.Fatal(err)
		}
		for _, parent := range []string{"/IotHubs/hub-1", "/provisioningServices/dps-1"} {
			version := map[bool]string{true: "?api-version=2023-06-30",
				false: "?api-version=2022-12-12"}[strings.HasPrefix(parent, "/IotHubs")]
			for _, call := range []struct{ method, path string }{{"PUT", ""}, {"GET", ""},
				{"POST", "/generateVerificationCode"}, {"POST", "/verify"}, {"DELETE", ""}} {
				target, err := url.Parse("https://arm.example" + resources + parent + "/certificates/c" + call.path +
					version)
				if err != nil {
					t.Fatal(err)
				}
				s.send(t, call.method, target, body)
			}
		}
	})
}

// seedCertificate is a self-signed authority with the common name "seed", of an EC key that was discarded.
const seedCertificate = `-----BEGIN CERTIFICATE-----
MIIBUDCB96ADAgECAgEBMAoGCCqGSM49BAMCMA8xDTALBgNVBAMTBHNlZWQwIBcN
MjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMA8xDTALBgNVBAMTBHNlZWQw
WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATgtEuBHWfcpUBt1FnlNcjR5KKDDnsf
hDbUjBkiHYDcIMxGZ8o17czT/sJ1xqYjKSpm610ctl+EOb19H+0WA36So0IwQDAO
BgNVHQ8BAf8EBAMCAgQwDwYDVR0TAQH/BAUwAwEB/zAdBgNVHQ4EFgQU0A6Keljc
pafpQoQKC8hViGjOYWAwCgYIKoZIzj0EAwIDSAAwRQIgOFH09h7An+Ubdnp2NDVA
unJhBnaW6zTc2UYmLg/3Rc4CIQDrEx9cUgCAxKLAyuGafjMV5Ef+jRn7uNWspwMK
YJcWcQ==
-----END CERTIFICATE-----
`
