package dpsdevice_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/internal/azure/sas"
)

var key = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

// serve starts a provisioning service that is reached under the name in httptest's certificate.
func serve(t *testing.T, handler http.HandlerFunc) dpsdevice.Options {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return dpsdevice.Options{
		Host: "example.com", IDScope: "0ne00000001", RegistrationID: "dev-1", Credential: dpsdevice.SymmetricKey(key),
		Transport: dpsdevice.HTTPS,
		Network: dpsdevice.Network{
			Address: dpsdevice.Loopback(server.Listener.Addr().String(), ""),
			TLS:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	}
}

// The bodies are those of "How to use X.509 certificates over HTTPS" and "How to use symmetric keys over HTTPS" of the
// Azure documentation, shortened.
const (
	assigning = `{"operationId":"5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550","status":"assigning"}`
	assigned  = `{"operationId":"5.316aac5bdc130deb.f4f1828c-4dab-4ca9-98b2-dfc63b5835d6","status":"assigned","registrationState":{
 "registrationId":"dev-1","createdDateTimeUtc":"2022-08-31T22:02:50.5163352Z","assignedHub":"MyExampleHub.azure-devices.net",
 "deviceId":"dev-1","status":"assigned","substatus":"initialAssignment","lastUpdatedDateTimeUtc":"2022-08-31T22:02:50.7370676Z",
 "etag":"IjY5MDAzNTUyLTAwMDAtMDMwMC0wMDAwLTYzMGZkYThhMDAwMCI="}}`
)

func TestARegistrationIsPolledUntilItIsAssigned(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	options := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		token, err := sas.Parse(r.Header.Get("Authorization"))
		if err != nil || token.Verify(time.Now(), key) != nil || token.Resource != "0ne00000001/registrations/dev-1" ||
			token.KeyName != sas.Policy {
			t.Errorf("call %d: got token %+v, %v", n, token, err)
		}
		if r.URL.Query().Get("api-version") == "" || r.Host != "example.com" {
			t.Errorf("call %d: got %s at %s, want an api-version and the service's name", n, r.URL, r.Host)
		}
		w.Header().Set("Retry-After", "0")
		path := "/0ne00000001/registrations/dev-1"
		switch {
		case n == 1 && r.Method == http.MethodPut && r.URL.Path == path+"/register":
			var body struct{ RegistrationID string }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.RegistrationID != "dev-1" {
				t.Errorf("got body %+v, %v", body, err)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(assigning))
		case n == 2:
			w.WriteHeader(http.StatusTooManyRequests)
		case n == 3 && r.Method == http.MethodGet && r.URL.Path == path+
			"/operations/5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550":
			w.WriteHeader(http.StatusAccepted)
			_, _ = w.Write([]byte(assigning))
		case n == 4:
			_, _ = w.Write([]byte(assigned))
		default:
			t.Errorf("call %d: got %s %s", n, r.Method, r.URL)
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	got, err := dpsdevice.Register(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	if got.Hub != "MyExampleHub.azure-devices.net" || got.DeviceID != "dev-1" || got.Substatus != "initialAssignment" ||
		got.Created.Year() != 2022 {
		t.Errorf("got %+v", got)
	}
	if calls.Load() != 4 {
		t.Errorf("got %d calls, want 4", calls.Load())
	}
}

func TestRefusalsAreTyped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status int
		body   string
		want   dpsdevice.Error
	}{
		"unauthorized": {401,
			`{"errorCode":401002,"trackingId":"t-1","message":"Unauthorized","timestampUtc":"2020-01-01T00:00:00Z"}`,
			dpsdevice.Error{Status: 401, Code: 401002, TrackingID: "t-1", Message: "Unauthorized"}},
		"no body": {404, "", dpsdevice.Error{Status: 404}},
		"failed": {200,
			`{"operationId":"o","status":"failed","registrationState":{"registrationId":"dev-1","errorCode":400208,"errorMessage":"no hub"}}`,
			dpsdevice.Error{Status: 200, Code: 400208, Message: "no hub"}},
		"disabled": {200, `{"operationId":"o","status":"disabled"}`,
			dpsdevice.Error{Status: 200, Message: "the registration is disabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tc.status)
				_, _ = w.Write([]byte(tc.body))
			})
			_, err := dpsdevice.Register(t.Context(), options)
			var got *dpsdevice.Error
			if !errors.As(err, &got) || *got != tc.want {
				t.Fatalf("got %v, want %+v", err, tc.want)
			}
			if !strings.Contains(err.Error(), "dev-1") || strings.Contains(err.Error(), key) {
				t.Errorf("got %q, want the device's name and no key", err)
			}
		})
	}
}

func TestACertificateSpeaksForItself(t *testing.T) {
	t.Parallel()
	options := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || len(r.TLS.PeerCertificates) != 1 ||
			r.TLS.PeerCertificates[0].Subject.CommonName != "dev-1" {
			t.Errorf("got authorization %q and %d certificates", r.Header.Get("Authorization"),
				len(r.TLS.PeerCertificates))
		}
		_, _ = w.Write([]byte(assigned))
	})
	options.Credential = dpsdevice.X509(certificate(t, "dev-1"))
	if _, err := dpsdevice.Register(t.Context(), options); err != nil {
		t.Fatal(err)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	options := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
		cancel()
	})
	if _, err := dpsdevice.Register(ctx, options); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestMissingSettingsAreReported(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]dpsdevice.Options{
		"credential": {IDScope: "s", RegistrationID: "r"},
		"scope":      {RegistrationID: "r", Credential: dpsdevice.SymmetricKey(key)},
		"key":        {IDScope: "s", RegistrationID: "r", Credential: dpsdevice.SymmetricKey("%%%")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := dpsdevice.Register(t.Context(), options); err == nil {
				t.Errorf("%s: got no error", name)
			}
		})
	}
}

func certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}
