package dpsdevice_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
)

// enrollIssuing makes an individual enrollment whose devices may ask for certificates.
func (f *field) enrollIssuing(id string) {
	f.t.Helper()
	namespace, name := "ns-1", "issuing"
	must(f.service.Individuals().Put(f.t.Context(), id, dpsservice.Enrollment{
		ID: id, NamespaceName: &namespace, CertificateAuthorityName: &name, CertificatePolicyName: &name,
		Attestation: &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
			SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}},
	}, ""))(f.t)
}

func TestADeviceAsksForACertificateAndConnectsWithIt(t *testing.T) {
	t.Parallel()
	f := newField(t)
	for name, transport := range map[string]dpsdevice.Transport{"HTTPS": dpsdevice.HTTPS, "MQTT": dpsdevice.MQTT} {
		t.Run(name, func(t *testing.T) {
			id := "asks-over-" + strings.ToLower(name)
			f.enrollIssuing(id)
			csr, own, err := dpsdevice.NewCSR(id)
			if err != nil {
				t.Fatal(err)
			}
			options := f.options(id, dpsdevice.SymmetricKey(key), transport)
			options.CSR = csr
			registration := must(dpsdevice.Register(t.Context(), options))(t)
			if len(registration.IssuedChain) != 3 {
				t.Fatalf("got %d certificates, want 3", len(registration.IssuedChain))
			}
			certificate := must(registration.Certificate(own))(t)
			f.useHub(t, registration, dpsdevice.X509(certificate))

			// The key with which it registered does not open the hub.
			_, err = dpsdevice.Connect(t.Context(), dpsdevice.HubOptions{Host: registration.Hub, DeviceID: id,
				Credential: dpsdevice.SymmetricKey(key), Network: f.network()})
			var refused *dpsdevice.Error
			if !errors.As(err, &refused) || refused.Status != http.StatusUnauthorized {
				t.Errorf("with the key: got %v, want status 401", err)
			}
			// Without a request there is no certificate, and the key is good again.
			options.CSR = nil
			registration = must(dpsdevice.Register(t.Context(), options))(t)
			if registration.IssuedChain != nil {
				t.Errorf("got %d certificates without a request, want none", len(registration.IssuedChain))
			}
			f.useHub(t, registration, dpsdevice.SymmetricKey(key))
			if _, err := registration.Certificate(own); err == nil {
				t.Error("got a certificate of a registration without one, want an error")
			}
		})
	}
}

func TestARefusedRequestIsAnError(t *testing.T) {
	t.Parallel()
	f := newField(t)
	f.enroll("unnamed", &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: key, SecondaryKey: key}})
	f.enrollIssuing("named")
	csr, _, err := dpsdevice.NewCSR("named")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{"unnamed": "common name", "named": ""} {
		t.Run(id, func(t *testing.T) {
			for name, transport := range map[string]dpsdevice.Transport{
				"HTTPS": dpsdevice.HTTPS, "MQTT": dpsdevice.MQTT,
			} {
				t.Run(name, func(t *testing.T) {
					options := f.options(id, dpsdevice.SymmetricKey(key), transport)
					options.CSR = csr
					_, err := dpsdevice.Register(t.Context(), options)
					var refused *dpsdevice.Error
					if (err != nil) != (want != "") || err != nil && (!errors.As(err, &refused) ||
						refused.Status != 400 || !strings.Contains(refused.Message, want)) {
						t.Errorf("got %v, want a refusal with %q", err, want)
					}
				})
			}
		})
	}
}

// TestAnIssuedChainIsRead in the forms that a service may send, and refused in others.
func TestAnIssuedChainIsRead(t *testing.T) {
	t.Parallel()
	own := certificate(t, "dev-1")
	der := own.Certificate[0]
	text := base64.StdEncoding.EncodeToString
	inPEM := text(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for name, test := range map[string]struct {
		chain  string
		length int
		want   string
	}{
		"DER":             {fmt.Sprintf(`[%q,%q]`, text(der), text(der)), 2, ""},
		"PEM":             {fmt.Sprintf(`[%q]`, inPEM), 1, ""},
		"none":            {`null`, 0, "issued no certificate"},
		"an empty chain":  {`[]`, 0, "issued no certificate"},
		"not base64":      {fmt.Sprintf(`[%q,"%%"]`, text(der)), 0, "certificate 2 of the issued chain: it is not base64"},
		"no certificate":  {`["aGVsbG8="]`, 0, "certificate 1 of the issued chain"},
		"an empty string": {`[""]`, 0, "certificate 1 of the issued chain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.Query().Get("api-version"); got != "2026-11-01" {
					t.Errorf("got the api-version %s, want 2026-11-01", got)
				}
				var body struct{ CSR []byte }
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil || string(body.CSR) != "a request" {
					t.Errorf("got %q, %v, want the request in base64", body.CSR, err)
				}
				answer := strings.Replace(assigned, `"deviceId"`, `"issuedCertificateChain":`+test.chain+`,"deviceId"`, 1)
				_, _ = w.Write([]byte(answer)) // the client tells
			})
			options.CSR = []byte("a request")
			got, err := dpsdevice.Register(t.Context(), options)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil || len(got.IssuedChain) != test.length || string(got.IssuedChain[0]) != string(der) {
				t.Errorf("got %d certificates, %v, want %d", len(got.IssuedChain), err, test.length)
			}
			if _, err := got.Certificate(own.PrivateKey.(*ecdsa.PrivateKey)); err != nil {
				t.Errorf("with its key: %v", err)
			}
			other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := got.Certificate(other); err == nil {
				t.Error("with another key: got a certificate, want an error")
			}
		})
	}
}
