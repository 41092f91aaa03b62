package iothub_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/state"
)

// authority is a certificate with its key.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue creates a certificate that is valid for a day around from, signed by issuer, or self-signed if issuer is nil.
func issue(t *testing.T, issuer *authority, name string, ca bool, from time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: ca,
		NotBefore: from.Add(-12 * time.Hour), NotAfter: from.Add(12 * time.Hour),
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{parsed, key}
}

// upload uploads a certificate to hub-1.
func (f *fixture) upload(name string, a *authority, verified bool) {
	f.Helper()
	child := state.Child{Parent: host, Kind: state.CertificateKind, Name: name}
	if err := child.SetCertificate(state.Certificate{DER: a.Raw, Verified: verified}); err != nil {
		f.Fatal(err)
	}
	if _, _, err := f.state.PutChild(child, state.Unconditional); err != nil {
		f.Fatal(err)
	}
}

func TestCertificatesAuthenticateByTheirCA(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	now := f.clock.Now()
	root, unproven, unknown := issue(t, nil, "root", true, now), issue(t, nil, "unproven", true, now),
		issue(t, nil, "root", true, now)
	f.upload("root", root, true)
	f.upload("unproven", unproven, false)
	middle := issue(t, root, "middle", true, now)
	for _, id := range []string{"ca", "CA", "off"} {
		f.owner("PUT", "/devices/"+id, `{"authentication":{"type":"certificateAuthority"}}`).want(t, "create", 200)
	}
	f.owner("PUT", "/devices/off", `{"status":"disabled"}`, "If-Match", "*").want(t, "disable", 200)
	f.device("key")
	chain := func(all ...*authority) (out []*x509.Certificate) {
		for _, a := range all {
			out = append(out, a.Certificate)
		}
		return out
	}
	leaf := issue(t, middle, "ca", false, now)
	for name, tc := range map[string]struct {
		id    string
		chain []*x509.Certificate
		ok    bool
	}{
		"direct":                      {"ca", chain(issue(t, root, "ca", false, now)), true},
		"through another certificate": {"ca", chain(leaf, middle), true},
		"with the root":               {"ca", chain(leaf, middle, root), true},
		"a link is missing":           {"ca", chain(leaf), false},
		"authority without a proof":   {"ca", chain(issue(t, unproven, "ca", false, now), unproven), false},
		"unknown authority":           {"ca", chain(issue(t, unknown, "ca", false, now), unknown), false},
		"self-signed":                 {"ca", chain(issue(t, nil, "ca", false, now)), false},
		"signed by another leaf":      {"ca", chain(issue(t, leaf, "ca", false, now), leaf, middle), false},
		"another name":                {"ca", chain(issue(t, root, "key", false, now)), false},
		"another case of the name":    {"CA", chain(issue(t, root, "ca", false, now)), false},
		"expired":                     {"ca", chain(issue(t, root, "ca", false, now.Add(-24*time.Hour))), false},
		"not yet valid":               {"ca", chain(issue(t, root, "ca", false, now.Add(24*time.Hour))), false},
		"disabled":                    {"off", chain(issue(t, root, "off", false, now)), false},
		"device with a key":           {"key", chain(issue(t, root, "key", false, now)), false},
		"not there":                   {"none", chain(issue(t, root, "none", false, now)), false},
		"no certificate":              {"ca", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			session, err := f.hubs.Accept(broker.Connect{ClientID: tc.id, UserName: user(tc.id), Certificates: tc.chain,
				Client: &fakeClient{}})
			if tc.ok != (err == nil) {
				t.Errorf("%s over MQTT: got %v", name, err)
			}
			if session != nil {
				session.Closed()
			}
			r := httptest.NewRequest("POST", "https://"+host+"/devices/"+tc.id+"/messages/events"+version, nil)
			r.TLS = &tls.ConnectionState{PeerCertificates: tc.chain}
			w := httptest.NewRecorder()
			f.hubs.ServeHTTP(w, r)
			want := http.StatusUnauthorized
			if tc.ok {
				want = http.StatusNoContent
			}
			if w.Code != want {
				t.Errorf("%s over HTTPS: got %d, want %d", name, w.Code, want)
			}
		})
	}
}

func TestSharedAccessSignaturesCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	for properties, want := range map[string]struct{ deviceKey, devicePolicy, servicePolicy bool }{
		`{}`:                        {true, true, true},
		`{"disableLocalAuth":true}`: {true, false, false},
		`{"disableDeviceSAS":true}`: {false, true, true},
		`{"disableLocalAuth":true,"disableDeviceSAS":true}`: {false, false, false},
	} {
		t.Run(properties, func(t *testing.T) {
			f := newFixture(t)
			key := f.device("d1")
			hub, err := f.state.HubByHost(host)
			if err != nil {
				t.Fatal(err)
			}
			hub.Properties = []byte(properties)
			if _, _, err := f.state.PutHub(hub, state.Unconditional, 0); err != nil {
				t.Fatal(err)
			}
			status := func(c call) bool { return f.do(c).status < 300 }
			event := call{method: "POST", path: "/devices/d1/messages/events" + version,
				token: f.deviceToken("d1", key)}
			if got := status(event); got != want.deviceKey {
				t.Errorf("%s: device key over HTTPS: got %v", properties, got)
			}
			_, err = f.hubs.Accept(broker.Connect{ClientID: "d1", UserName: user("d1"),
				Password: f.deviceToken("d1", key), Client: &fakeClient{}})
			if got := err == nil; got != want.deviceKey {
				t.Errorf("%s: device key over MQTT: got %v", properties, err)
			}
			event.token = f.policy("device")
			if got := status(event); got != want.devicePolicy {
				t.Errorf("%s: policy of devices: got %v", properties, got)
			}
			if got := status(call{method: "GET", path: "/twins/d1" + version,
				token: f.policy("service")}); got != want.servicePolicy {
				t.Errorf("%s: policy of services: got %v", properties, got)
			}
		})
	}
}
