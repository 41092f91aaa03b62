package hub_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/azure/hub"
	"evenkeel/internal/azure/sas"
)

const key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// newClient returns a client of a hub that serve implements, under the name in the test server's certificate.
func newClient(t *testing.T, serve http.HandlerFunc) *hub.Client {
	t.Helper()
	server := httptest.NewTLSServer(serve)
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := hub.New(hub.Options{Host: "hub.example.com", PolicyName: "operator", Key: key, Endpoint: server.URL,
		Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestDevicesAreListedPageByPageWithASignature(t *testing.T) {
	t.Parallel()
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		token, err := sas.Parse(r.Header.Get("Authorization"))
		if err != nil || token.KeyName != "operator" || r.Host != "hub.example.com" ||
			r.URL.RawQuery != "api-version=2021-04-12" {
			t.Errorf("got token %v, %v, host %s, query %s", token, err, r.Host, r.URL.RawQuery)
		}
		if r.Header.Get("x-ms-continuation") == "" {
			w.Header().Set("x-ms-continuation", "next")
			fmt.Fprint(w, `[{"deviceId":"a"},{"deviceId":"b"}]`)
			return
		}
		fmt.Fprint(w, `[{"deviceId":"c"}]`)
	})
	var got []string
	for id, err := range client.IDs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, id)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// entra gives one token, and keeps the scopes that were asked for.
type entra struct{ scopes []string }

func (e *entra) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	e.scopes = o.Scopes
	return azcore.AccessToken{Token: "entra", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestACredentialIsUsedInPlaceOfAKey(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer entra" {
			t.Errorf("got the authorization %q, want the token of Entra", got)
		}
		fmt.Fprint(w, `{"deviceId":"a"}`)
	}))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	credential := &entra{}
	client, err := hub.New(hub.Options{Host: "hub.example.com", Credential: credential, Endpoint: server.URL,
		Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if device, err := client.Device(t.Context(), "a"); err != nil || device.DeviceID != "a" {
		t.Errorf("got %+v, %v, want the device", device, err)
	}
	if _, err := client.Twin(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if want := []string{"https://iothubs.azure.net/.default"}; !slices.Equal(credential.scopes, want) {
		t.Errorf("got scopes %v, want %v", credential.scopes, want)
	}
	if _, err := hub.New(hub.Options{Host: "hub.example.com"}); err == nil {
		t.Error("got a client without a key and without a credential")
	}
}

func TestOnlyTheHubsOwnAnswerMeansThatADeviceIsAbsent(t *testing.T) {
	t.Parallel()
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/gone") {
			w.Header().Set("iothub-errorcode", "DeviceNotFound")
		}
		w.WriteHeader(http.StatusNotFound)
	})
	if _, err := client.Device(t.Context(), "gone"); !errors.Is(err, hub.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := client.Device(t.Context(), "other"); err == nil || errors.Is(err, hub.ErrNotFound) ||
		!strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want a 404 of something else", err)
	}
}

func TestRemovalAsksForDeletesAndReportsARefusal(t *testing.T) {
	t.Parallel()
	var body string
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		body = string(text)
		if strings.Contains(body, "bad") {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"isSuccessful":false}`)
			return
		}
		fmt.Fprintf(w, `{"isSuccessful":%t,"errors":[{"deviceId":"b","errorCode":"DeviceNotFound"}]}`,
			!strings.Contains(body, "half"))
	})
	if err := client.Remove(t.Context(), []string{"half", "b"}); err == nil ||
		!strings.Contains(err.Error(), "1 of 2 failed, the first with DeviceNotFound") {
		t.Errorf("got %v, want the entry that failed in an answer with status 200", err)
	}
	if err := client.Remove(t.Context(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if want := `[{"id":"a","importMode":"delete"},{"id":"b","importMode":"delete"}]`; body != want {
		t.Errorf("got %s, want %s", body, want)
	}
	if err := client.Remove(t.Context(), []string{"bad"}); err == nil ||
		!strings.Contains(err.Error(), "isSuccessful") || strings.Contains(err.Error(), key) {
		t.Errorf("got %v, want the refusal, without the key", err)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]hub.Options{
		"no base64":      {Host: "h", PolicyName: "p", Key: "%%%"},
		"plain endpoint": {Host: "h", PolicyName: "p", Key: key, Endpoint: "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := hub.New(o); err == nil || strings.Contains(err.Error(), o.Key) {
				t.Errorf("%s: got %v, want an error without the key", name, err)
			}
		})
	}
}

func TestDevicesThatDoNotExistAreNoErrorOfRemoveAny(t *testing.T) {
	t.Parallel()
	answer, status := "", 0
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	})
	answer = `{"isSuccessful":false,"errors":[{"deviceId":"b","errorCode":"DeviceNotFound","errorStatus":"x"},
 {"deviceId":"c","errorCode":404001}]}`
	for _, status = range []int{http.StatusOK, http.StatusBadRequest} {
		if removed, err := client.RemoveAny(t.Context(), []string{"a", "b", "c"}); err != nil || removed != 1 {
			t.Errorf("status %d: got %d, %v, want 1 removed", status, removed, err)
		}
	}
	status = http.StatusOK
	answer = `{"isSuccessful":true,"errors":[]}`
	if removed, err := client.RemoveAny(t.Context(), []string{"a", "b"}); err != nil || removed != 2 {
		t.Errorf("got %d, %v, want 2 removed", removed, err)
	}
	status = http.StatusBadRequest
	for _, answer = range []string{
		`{"isSuccessful":false,"errors":[{"errorCode":"DeviceNotFound"},{"errorCode":"PreconditionFailed"}]}`,
		`{"isSuccessful":false,"errors":[]}`, `no JSON`,
	} {
		if removed, err := client.RemoveAny(t.Context(), []string{"a", "b"}); err == nil || removed != 0 {
			t.Errorf("%s: got %d, %v, want an error", answer, removed, err)
		}
	}
}

func TestATwinIsReadAndRequestsAreCounted(t *testing.T) {
	t.Parallel()
	tries := 0
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if tries++; tries == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path != "/twins/a b" {
			t.Errorf("got path %s", r.URL.Path)
		}
		fmt.Fprint(w, `{"deviceId":"a b","version":7,"status":"enabled","connectionState":"Connected",
 "lastActivityTime":"2026-01-02T03:04:05Z","tags":{}}`)
	})
	twin, err := client.Twin(t.Context(), "a b")
	if err != nil || twin.Version != 7 || twin.ConnectionState != "Connected" || client.Requests() != 2 {
		t.Errorf("got %+v, %v after %d requests, want the twin after a retry", twin, err, client.Requests())
	}
}
