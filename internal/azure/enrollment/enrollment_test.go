package enrollment_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"evenkeel/internal/azure/enrollment"
)

func TestIDs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		id   string
		want string // part of the only error; empty for none
	}{
		{"device-1", ""},
		{"A.b_c:d-", ""},
		{"-starts-oddly", ""}, // the concepts page restricts the last character only
		{strings.Repeat("a", 128), ""},
		{strings.Repeat("a", 129), "129 characters"},
		{"", "is empty"},
		{"a b", `contains ' '`},
		{"grün", `contains 'ü'`},
		{"a/b", `contains '/'`},
		{"a.", `ends in '.'`},
		{"a_", `ends in '_'`},
		{"a:", `ends in ':'`},
		{"query", "reserved by the service"},
		{"QUERY", "reserved by the service"},
	}
	for _, test := range tests {
		for _, check := range []func(path, id string) []enrollment.Fault{
			enrollment.CheckRegistrationID, enrollment.CheckGroupID} {
			expect(t, test.id, check("devices", test.id), test.want)
		}
	}
}

func TestDeviceIDs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"Press_1@line-2": "", "-:.+%_#*?!(),=@$'": "", strings.Repeat("a", 128): "",
		strings.Repeat("a", 129): "129 characters", "": "leave it out", "a b": `contains ' '`, "a/b": `contains '/'`,
		"grün": `contains 'ü'`,
	} {
		expect(t, id, enrollment.CheckDeviceID("deviceId", id), want)
	}
}

func TestPrefixesOfIDs(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{
		"": "", "stack-": "", "a.": "", "query": "", strings.Repeat("a", 127): "",
		"my stack-": `contains ' '`, "a/": `contains '/'`, strings.Repeat("a", 128): "leaves no room",
	} {
		expect(t, prefix, enrollment.CheckIDPrefix("idPrefix", prefix), want)
	}
}

func TestAFaultNamesItsPath(t *testing.T) {
	t.Parallel()
	faults := enrollment.CheckRegistrationID("devices[2]", strings.Repeat("a", 130)+"/.")
	if len(faults) != 3 {
		t.Fatalf("got %v, want three faults at once", faults)
	}
	for _, fault := range faults {
		if !strings.HasPrefix(fault.Error(), "devices[2]: the registration id ") {
			t.Errorf("got %q, want the place and the thing named", fault.Error())
		}
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	of := func(length int) string { return base64.StdEncoding.EncodeToString(make([]byte, length)) }
	for key, want := range map[string]string{
		of(16): "", of(64): "", of(15): "15 bytes", of(65): "65 bytes", "": "0 bytes", "top secret": "not valid base64",
	} {
		expect(t, key, enrollment.CheckKey("key", key), want)
	}
	for key, want := range map[string]string{
		"AAEA": "", of(4): "TPM2B_PUBLIC", "AAIA": "TPM2B_PUBLIC", "": "TPM2B_PUBLIC", "!": "not valid base64",
	} {
		expect(t, key, enrollment.CheckTPMKey("key", key), want)
	}
}

func TestPoliciesHaveNoCase(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"Hashed": "hashed", "GEOLATENCY": "geoLatency", "static": "static",
		"Custom": "custom", "weighted": ""} {
		t.Run(text, func(t *testing.T) {
			got, ok := enrollment.CanonicalPolicy(text)
			if ok != (want != "") || ok && got != want {
				t.Errorf("%s: got %q, %t, want %q", text, got, ok, want)
			}
			if faults := enrollment.CheckPolicy("p", text); (len(faults) == 0) != ok {
				t.Errorf("%s: got %v", text, faults)
			}
		})
	}
	expect(t, "Enabled", enrollment.CheckStatus("s", "Enabled"), "")
	expect(t, "on", enrollment.CheckStatus("s", "on"), "unknown provisioning status")
}

func TestHubLists(t *testing.T) {
	t.Parallel()
	const a, b = "a.azure-devices.net", "b.azure-devices.net"
	tests := []struct {
		policy string
		hubs   []string
		want   string
	}{
		{"", nil, ""},
		{"hashed", []string{a, b}, ""},
		{"Static", []string{a}, ""},
		{"static", nil, "exactly one hub, got 0"},
		{"STATIC", []string{a, b}, "exactly one hub, got 2"},
		{"", []string{a, strings.ToUpper(a)}, "duplicate hub"},
		{"", []string{"hub-1"}, "not a full host name"},
		{"", []string{"https://" + a}, "not a full host name"},
		{"", []string{a + ":8883"}, "not a full host name"},
	}
	for _, test := range tests {
		expect(t, test.policy+strings.Join(test.hubs, ","), enrollment.CheckHubs("h", test.policy, test.hubs),
			test.want)
	}
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://f.example/a?code=hush": "", "http://f.example": "", "ftp://f.example?code=hush": "https or http",
		"f.example": "https or http", "https://": "https or http",
		"https://f.example/a?****": "is masked", "https://f.example/a?****&code=hush": "",
	} {
		t.Run(address, func(t *testing.T) {
			faults := enrollment.CheckWebhook("w", address)
			expect(t, address, faults, want)
			if len(faults) > 0 && strings.Contains(faults[0].Message, "hush") {
				t.Errorf("%s: the message contains the query", address)
			}
		})
	}
	for version, want := range map[string]string{
		"2021-10-01": "", "2018-09-01-preview": "", "2018-08-31": "or later", "latest": "or later", "": "or later",
	} {
		expect(t, version, enrollment.CheckWebhookVersion("v", version), want)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	leaf, authority := certificate(t, "device-1", false, now.Add(time.Hour)),
		certificate(t, "root", true, now.Add(time.Hour))
	expired := certificate(t, "device-1", false, now.Add(-time.Hour))
	body := strings.Join(strings.Split(strings.TrimSpace(leaf), "\n")[1:], "\n")
	body = strings.TrimSuffix(body, "-----END CERTIFICATE-----")
	tests := []struct {
		name, text string
		use        enrollment.Use
		want       string
	}{
		{"PEM", leaf, enrollment.Client, ""},
		{"base64 of DER in lines", body, enrollment.Client, ""},
		{"a file with something before it", "subject=device-1\n" + leaf, enrollment.Client, ""},
		{"an authority", authority, enrollment.Signing, ""},
		{"no authority", leaf, enrollment.Signing, "not a certificate authority"},
		{"expired", expired, enrollment.Client, "expired on 2026-05-31"},
		{"empty", "", enrollment.Client, "neither PEM"},
		{"nonsense", "nonsense", enrollment.Client, "neither PEM"},
		{"base64 of something else", "bm90aGluZw==", enrollment.Client, "neither PEM"},
		{"a thumbprint", enrollment.ThumbprintMark + "00", enrollment.Client, "got a thumbprint"},
		{"a cut PEM", leaf[:100], enrollment.Client, "no END line"},
		{"a private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", enrollment.Client,
			"a private key"},
	}
	for _, test := range tests {
		expect(t, test.name, enrollment.CheckCertificate("c", test.text, test.use, now), test.want)
	}
	expect(t, "another name", enrollment.CheckClientName("c", leaf, "device-2"), `common name is "device-1"`)
	expect(t, "the same name", enrollment.CheckClientName("c", leaf, "DEVICE-1"), "")

	first, err := enrollment.ParseCertificate(leaf)
	if err != nil {
		t.Fatal(err)
	}
	second, err := enrollment.ParseCertificate(body)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := enrollment.Thumbprint(second), enrollment.Thumbprint(first); got != want || len(got) != 64 {
		t.Errorf("thumbprint: got %s, want %s", got, want)
	}
}

// expect asserts that there is no fault (want empty), or that one of them holds want.
func expect(t *testing.T, input string, faults []enrollment.Fault, want string) {
	t.Helper()
	if want == "" {
		if len(faults) > 0 {
			t.Errorf("%q: got %v, want no fault", input, faults)
		}
		return
	}
	for _, fault := range faults {
		if strings.Contains(fault.Message, want) {
			return
		}
	}
	t.Errorf("%q: got %v, want a fault with %q", input, faults, want)
}

func certificate(t *testing.T, name string, authority bool, end time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: end.Add(-2 * time.Hour),
		NotAfter: end,
		IsCA:     authority, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
