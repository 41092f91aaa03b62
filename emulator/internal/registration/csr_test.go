package registration_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/issuer"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// csrVersion is the stable api-version with certificate signing requests.
const csrVersion = "2026-11-01"

var policyNamed = state.Issuance{Namespace: "ns-1", Authority: "issuing", Policy: "leaves"}

// issuing returns the options of an API that issues certificates.
func issuing(t *testing.T) registration.Options {
	t.Helper()
	a, err := issuer.New(func() time.Time { return start })
	if err != nil {
		t.Fatalf("make an issuer: %v", err)
	}
	return registration.Options{Certificates: registration.Certificates{
		Issue: func(key crypto.PublicKey, device string) ([][]byte, error) {
			return a.Issue(key, device, issuer.DefaultLifetime)
		},
	}}
}

// ecKey makes a key on a curve.
func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return key
}

// request makes a certificate signing request.
func csr(t *testing.T, subject pkix.Name, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatalf("make a request: %v", err)
	}
	return der
}

// asking is the body of a registration with a request.
func asking(text string) string { return fmt.Sprintf(`{"csr":%q}`, text) }

// issued returns the certificates in the result of an operation.
func issued(t *testing.T, got response) []*x509.Certificate {
	t.Helper()
	body, _ := tree(t, got.body).(map[string]any)
	result, _ := body["registrationState"].(map[string]any)
	texts, _ := result["issuedCertificateChain"].([]any)
	var chain []*x509.Certificate
	for _, text := range texts {
		der, err := base64.StdEncoding.DecodeString(text.(string))
		if err != nil {
			t.Fatalf("the chain holds %v, want base64", text)
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatalf("parse a certificate of the chain: %v", err)
		}
		chain = append(chain, certificate)
	}
	return chain
}

func (w world) registerOver(t *testing.T, protocol string, a attempt) response {
	t.Helper()
	if protocol == "MQTT" {
		return w.registerMQTT(t, a)
	}
	return w.register(t, a)
}

func TestACertificateIsIssuedOverBothProtocols(t *testing.T) {
	t.Parallel()
	w := newWorld(t, issuing(t))
	settings := keys(key1, key2)
	settings.Issuance, settings.Hubs, settings.Allocation = policyNamed, []string{hub1}, state.Static
	w.enroll(t, state.Enrollment{RegistrationID: "Device-1", DeviceID: "Device-One", Settings: settings})
	for _, protocol := range []string{"HTTPS", "MQTT"} {
		for _, version := range []string{"2025-07-01-preview", "2026-11-01", "2026-11-02-preview"} {
			for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384()} {
				t.Run(protocol+" "+version+" "+curve.Params().Name, func(t *testing.T) {
					key := ecKey(t, curve)
					text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "Device-1"}, key))
					device := attempt{id: "Device-1", token: w.token(t, "Device-1", key1), version: version,
						body: asking(text)}
					got := w.registerOver(t, protocol, device)
					chain := issued(t, got)
					if got.status != 200 || len(chain) != 3 {
						t.Fatalf("got %d %s, want a chain of 3", got.status, got.body)
					}
					// The hub's device is what the certificate has to name.
					if chain[0].Subject.CommonName != "Device-One" || !key.PublicKey.Equal(chain[0].PublicKey) {
						t.Errorf("got a leaf for %s", chain[0].Subject)
					}
					for i, parent := range chain[1:] {
						if err := chain[i].CheckSignatureFrom(parent); err != nil {
							t.Errorf("certificate %d: %v", i, err)
						}
					}
					if want := start.Add(issuer.DefaultLifetime).Truncate(time.Second); !chain[0].NotAfter.Equal(want) {
						t.Errorf("got a leaf until %s, want %s", chain[0].NotAfter, want)
					}
				})
			}
		}
	}
	device, err := w.st.Device(hub1, "Device-One")
	if err != nil || device.Auth != state.AuthCA || device.Key != (state.SymmetricKey{}) ||
		device.PrimaryThumbprint != "" {
		t.Errorf("got the hub's device %+v, %v, want one with a certificate authority", device, err)
	}
}

// TestOnlyTheOperationHasTheChain: neither the lookup nor the record of the service API shows it, nor does an operation
// under an api-version that does not know it.
func TestOnlyTheOperationHasTheChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, issuing(t))
	settings := keys(key1, key2)
	settings.Issuance = policyNamed
	w.enroll(t, state.Enrollment{RegistrationID: "device-1", Settings: settings})
	text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P256())))
	device := attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion, body: asking(text)}
	started := w.request(t, http.MethodPut, "register", device)
	id, _ := tree(t, started.body).(map[string]any)["operationId"].(string)

	device.body = ""
	for version, want := range map[string]int{"2021-10-01": 0, "2025-07-01": 0, csrVersion: 3} {
		t.Run(version, func(t *testing.T) {
			device.version = version
			got := w.request(t, http.MethodGet, "operations/"+id, device)
			if chain := issued(t, got); len(chain) != want {
				t.Errorf("%s: got %d certificates, want %d", version, len(chain), want)
			}
		})
	}
	device.version = csrVersion
	if got := w.request(t, http.MethodPost, "", device); got.status != 200 ||
		strings.Contains(got.body, "issuedCertificateChain") {
		t.Errorf("lookup: got %d %s, want no chain", got.status, got.body)
	}
	device.body = asking(text)
	w.request(t, http.MethodPost, "", device).want(t, 400,
		errorJSON(400004, "csr is only for registrations, not for the lookup of one."))
	device.version = "2021-10-01"
	if got := w.request(t, http.MethodPost, "", device); got.status != 200 {
		t.Errorf("lookup with csr of an earlier version: got %d %s, want it ignored", got.status, got.body)
	}

	// An earlier version asks for nothing, whatever the member holds, and gets a key again.
	device.body = `{"csr":{"not":"a string"}}`
	got := w.register(t, device)
	if got.status != 200 || len(issued(t, got)) != 0 {
		t.Errorf("an earlier version: got %d %s, want it registered without a certificate", got.status, got.body)
	}
	record, err := w.st.Registration(w.scope, "device-1")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.st.Device(record.AssignedHub, "device-1"); err != nil || got.Auth != state.AuthSAS {
		t.Errorf("got the hub's device %+v, %v, want one with keys", got, err)
	}
}

// refusedCSR is a request that is not signed, and the refusal.
type refusedCSR struct {
	text    string
	message string
}

func refusedCSRs(t *testing.T) map[string]refusedCSR {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	text := func(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
	good := csr(t, pkix.Name{CommonName: "device-1"}, key)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	commonName := func(value string) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: value}
	}
	const name = `csr must have the registration id "device-1" as its only common name.`
	return map[string]refusedCSR{
		"empty":         {"", "csr is not a PKCS #10 certificate signing request in DER."},
		"not base64":    {"%%%", "csr is not valid base64."},
		"not a request": {text([]byte("hello")), "csr is not a PKCS #10 certificate signing request in DER."},
		"bytes after it": {text(append(bytes.Clone(good), 0)),
			"csr is not a PKCS #10 certificate signing request in DER."},
		"PEM": {string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: good})),
			"csr must be base64 of DER, without the lines that begin and end a PEM block."},
		"too long":          {strings.Repeat("A", 8<<10+1), "csr is longer than 8192 characters."},
		"a wrong signature": {text(forged), "csr has an invalid signature: sign it with the key that it contains."},
		"another name":      {text(csr(t, pkix.Name{CommonName: "device-2"}, key)), name},
		"no name":           {text(csr(t, pkix.Name{Organization: []string{"device-1"}}, key)), name},
		"another letter case": {
			text(csr(t, pkix.Name{CommonName: "Device-1"}, key)), name},
		"two names": {text(csr(t, pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{commonName("device-2"),
			commonName("device-1")}}, key)), name},
		"RSA": {text(csr(t, pkix.Name{CommonName: "device-1"}, rsaKey)), "csr must have an EC key on P-384 or P-256."},
		"P-521": {text(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P521()))),
			"csr must have an EC key on P-384 or P-256."},
		"P-224": {text(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P224()))),
			"csr must have an EC key on P-384 or P-256."},
		"Ed25519": {text(csr(t, pkix.Name{CommonName: "device-1"}, edKey)),
			"csr must have an EC key on P-384 or P-256."},
	}
}

func TestRefusedCertificateSigningRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, issuing(t))
	settings := keys(key1, key2)
	settings.Issuance = policyNamed
	w.enroll(t, state.Enrollment{RegistrationID: "device-1", Settings: settings})
	for name, test := range refusedCSRs(t) {
		for _, protocol := range []string{"HTTPS", "MQTT"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				w.registerOver(t, protocol, attempt{id: "device-1", token: w.token(t, "device-1", key1),
					version: csrVersion, body: asking(test.text)}).want(t, 400, errorJSON(400004, test.message))
			})
		}
	}
	w.register(t, attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion,
		body: `{"csr":7}`}).want(t, 400, errorJSON(400004, "csr must be a string."))
	if _, err := w.st.Registration(w.scope, "device-1"); err == nil {
		t.Error("got a registration, want none after refusals alone")
	}
}

func TestRSAIsAcceptedByOption(t *testing.T) {
	t.Parallel()
	opts := issuing(t)
	opts.Certificates.AcceptRSA = true
	w := newWorld(t, opts)
	settings := keys(key1, key2)
	settings.Issuance = policyNamed
	w.enroll(t, state.Enrollment{RegistrationID: "device-1", Settings: settings})
	for bits, status := range map[int]int{1024: 400, 2048: 200} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			key, err := rsa.GenerateKey(rand.Reader, bits)
			if err != nil {
				t.Fatal(err)
			}
			text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "device-1"}, key))
			if got := w.register(t, attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion,
				body: asking(text)}); got.status != status {
				t.Errorf("%d bits: got %d %s, want %d", bits, got.status, got.body, status)
			}
		})
	}
}

// TestAnEntryWithoutAPolicyIssuesNothing leaves out each name alone.
func TestAnEntryWithoutAPolicyIssuesNothing(t *testing.T) {
	t.Parallel()
	text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P256())))
	without := policyNamed
	without.Namespace = ""
	noAuthority, noPolicy := policyNamed, policyNamed
	noAuthority.Authority, noPolicy.Policy = "", ""
	for name, named := range map[string]state.Issuance{"no namespace": without, "no authority": noAuthority,
		"no policy": noPolicy, "nothing": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, issuing(t))
			settings := keys(key1, key2)
			settings.Issuance = named
			w.enroll(t, state.Enrollment{RegistrationID: "device-1", Settings: settings})
			device := attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion,
				body: asking(text)}
			w.register(t, device).want(t, 400, errorJSON(400004, "csr asks for a certificate, but the enrollment does "+
				"not name all of namespaceName, certificateAuthorityName and certificatePolicyName."))
			device.body = `{"csr":null}`
			if got := w.register(t, device); got.status != 200 || len(issued(t, got)) != 0 {
				t.Errorf("without a request: got %d %s, want it registered", got.status, got.body)
			}
		})
	}
}

// TestEveryAttestationCanAsk: keys of a group, certificates of an entry and of a group, and a TPM.
func TestEveryAttestationCanAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, issuing(t))
	root := issue(t, nil, "root", true, start.Add(time.Hour))
	leaf := issue(t, root, "x509-group", false, start.Add(time.Hour))
	own := issue(t, nil, "x509-own", false, start.Add(time.Hour))
	w.upload(t, "root", root, true)
	tpm := newTPMDevice(t, "tpm-1")
	named := func(s state.Settings) state.Settings {
		s.Issuance = policyNamed
		return s
	}
	w.enrollGroup(t, state.EnrollmentGroup{ID: "keyed", Settings: named(keys(key1, key2))})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "signed", Settings: named(signing(root))})
	w.enroll(t, state.Enrollment{RegistrationID: "x509-own", Settings: named(leafCertificates(own, own))})
	w.enroll(t, state.Enrollment{RegistrationID: "tpm-1", Settings: named(tpm.attestation())})
	request := func(id string) string {
		return base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: id}, ecKey(t, elliptic.P384())))
	}
	withTPM := tpm.hello()
	withTPM.token = w.token(t, "tpm-1", tpm.challenged(t, w))
	withTPM.body = strings.Replace(withTPM.body, "{", `{"csr":"`+request("tpm-1")+`",`, 1)
	for member, device := range map[string]attempt{
		"symmetricKey": {id: "sn-1", token: w.token(t, "sn-1", derived(t, key1, "sn-1")),
			body: asking(request("sn-1"))},
		"x509":  {id: "x509-group", certificates: chain(leaf, root), body: asking(request("x509-group"))},
		"x509 ": {id: "x509-own", certificates: chain(own), body: asking(request("x509-own"))},
		"":      withTPM,
	} {
		t.Run(device.id, func(t *testing.T) {
			device.version = csrVersion
			got := w.register(t, device)
			if chain := issued(t, got); len(chain) != 3 || chain[0].Subject.CommonName != device.id {
				t.Fatalf("got %d %s, want a chain", got.status, got.body)
			}
			result := tree(t, got.body).(map[string]any)["registrationState"].(map[string]any)
			if member != "" && result[strings.TrimSpace(member)] == nil {
				t.Errorf("got %v, want the member %s of its attestation", result, member)
			}
			// The key that a TPM would get is not one of the hub's device.
			if result["tpm"] != nil {
				t.Errorf("got %v, want no key for the TPM", result["tpm"])
			}
			hub, err := w.st.Device(result["assignedHub"].(string), device.id)
			if err != nil || hub.Auth != state.AuthCA {
				t.Errorf("got the hub's device %+v, %v, want one with a certificate authority", hub, err)
			}
		})
	}
	// The rules of X.509 attestation stay: another device's certificate asks for nothing.
	w.register(t, attempt{id: "x509-own", certificates: chain(leaf, root), version: csrVersion,
		body: asking(request("x509-own"))}).want(t, 401, errorJSON(401002, "Invalid certificate."))
	// Without a request, the hub gets the thumbprint again.
	got := w.register(t, attempt{id: "x509-own", certificates: chain(own), version: csrVersion})
	result := tree(t, got.body).(map[string]any)["registrationState"].(map[string]any)
	if hub, err := w.st.Device(result["assignedHub"].(string), "x509-own"); err != nil ||
		hub.Auth != state.AuthSelfSigned || hub.PrimaryThumbprint == "" {
		t.Errorf("got the hub's device %+v, %v, want one with a thumbprint", hub, err)
	}
}

func TestADisabledEntryIssuesNothing(t *testing.T) {
	t.Parallel()
	opts := issuing(t)
	opts.Certificates.Issue = func(crypto.PublicKey, string) ([][]byte, error) {
		t.Error("a certificate was issued, want none")
		return nil, errors.New("unexpected")
	}
	w := newWorld(t, opts)
	settings := keys(key1, key2)
	settings.Disabled = true
	w.enroll(t, state.Enrollment{RegistrationID: "device-1", Settings: settings})
	text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P256())))
	got := w.register(t, attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion,
		body: asking(text)})
	if body, _ := tree(t, got.body).(map[string]any); got.status != 200 || body["status"] != "disabled" {
		t.Errorf("got %d %s, want the status disabled", got.status, got.body)
	}
}

// TestAFailedIssuanceFailsTheRegistration, and leaves hub and record as they were.
func TestAFailedIssuanceFailsTheRegistration(t *testing.T) {
	t.Parallel()
	opts := issuing(t)
	issues := opts.Certificates.Issue
	broken := false
	opts.Certificates.Issue = func(key crypto.PublicKey, device string) ([][]byte, error) {
		if broken {
			return nil, errors.New("the CA is gone")
		}
		return issues(key, device)
	}
	w := newWorld(t, opts)
	settings := keys(key1, key2)
	settings.Issuance, settings.Hubs, settings.Allocation = policyNamed, []string{hub1}, state.Static
	e := state.Enrollment{RegistrationID: "device-1", Settings: settings}
	w.enroll(t, e)
	text := base64.StdEncoding.EncodeToString(csr(t, pkix.Name{CommonName: "device-1"}, ecKey(t, elliptic.P256())))
	device := attempt{id: "device-1", token: w.token(t, "device-1", key1), version: csrVersion, body: asking(text)}
	if got := w.register(t, device); len(issued(t, got)) != 3 {
		t.Fatalf("got %d %s, want a chain", got.status, got.body)
	}
	before, err := w.st.Device(hub1, "device-1")
	if err != nil {
		t.Fatal(err)
	}
	e.Hubs, broken = []string{hub2}, true
	w.enroll(t, e)
	got := w.register(t, device)
	result, _ := tree(t, got.body).(map[string]any)["registrationState"].(map[string]any)
	if result["status"] != "failed" || result["errorCode"] != 400040.0 ||
		result["errorMessage"] != "The certificate was not issued: the CA is gone" {
		t.Errorf("got %d %s, want a failure with the cause", got.status, got.body)
	}
	if after, err := w.st.Device(hub1, "device-1"); err != nil || !cmp.Equal(before, after) {
		t.Errorf("got the hub's device %+v, %v, want it as it was: %+v", after, err, before)
	}
	if _, err := w.st.Device(hub2, "device-1"); err == nil {
		t.Error("got a device on the other hub, want none")
	}
	broken = false
	got = w.register(t, device)
	result, _ = tree(t, got.body).(map[string]any)["registrationState"].(map[string]any)
	if result["assignedHub"] != hub2 || result["substatus"] != "deviceDataMigrated" || len(issued(t, got)) != 3 {
		t.Errorf("got %d %s, want it moved with a certificate", got.status, got.body)
	}
}
