package arm_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/await"
	"evenkeel/internal/azure/arm"
)

// tenantsOf is a credential whose tokens contain the tenants that the request named.
type tenantsOf struct{}

func (tenantsOf) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "of-" + o.TenantID, ExpiresOn: time.Now().Add(time.Hour)}, nil
}

var thing = arm.Target{ID: "/subscriptions/s/providers/P/things/t", APIVersion: "2020-01-01"}

func newClient(t *testing.T, handler http.HandlerFunc, tenants ...string) *arm.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	client, err := arm.New(arm.Options{
		Endpoint: server.URL + "/", Credential: tenantsOf{}, AuxiliaryTenants: tenants, Transport: server.Client(),
		Retry: policy.RetryOptions{MaxRetries: 4, RetryDelay: time.Hour, MaxRetryDelay: time.Hour}, Name: "test",
		Version: "0",
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestThrottledRequestsWaitForRetryAfter: without the header, the client of this test would wait for an hour.
func TestThrottledRequestsWaitForRetryAfter(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	left := []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}
	client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if len(left) > 0 {
			w.Header().Set("retry-after-ms", "1")
			w.WriteHeader(left[0])
			left = left[1:]
			return
		}
		_, _ = io.WriteString(w, `{"name":"t"}`)
	})
	var got map[string]any
	if err := client.Get(t.Context(), thing, &got); err != nil || got["name"] != "t" {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestRequestsCarryTheEtagAndTheTenants(t *testing.T) {
	t.Parallel()
	var header http.Header
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		_, _ = io.WriteString(w, `{}`)
	}, "tenant-2")
	to := thing
	to.IfMatch = "AAAA="
	if _, accepted, err := client.Put(t.Context(), to, map[string]any{}, false); err != nil || !accepted {
		t.Fatalf("got accepted %t, %v", accepted, err)
	}
	if got := header.Get("If-Match"); got != "AAAA=" {
		t.Errorf("If-Match: got %q", got)
	}
	if got := header.Get("x-ms-authorization-auxiliary"); got != "Bearer of-tenant-2" {
		t.Errorf("auxiliary authorization: got %q", got)
	}
}

func TestRefusalsAreReadInEveryFormat(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ body, code, message string }{
		"of Resource Manager": {`{"error":{"code":"Conflict","message":"m","details":[{"code":"D","message":"n"}]}}`,
			"Conflict", "m (D: n)"},
		"of Microsoft.Devices": {`{"code":409002,"httpStatusCode":"Conflict","message":"m"}`, "409002", "m"},
		"an HTML page":         {"<html>\n no </html>", "", "<html> no </html>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusConflict)
				_, _ = io.WriteString(w, test.body)
			})
			_, accepted, err := client.Put(t.Context(), thing,
				map[string]any{"properties": map[string]any{"key": "secret-text"}}, false)
			var refused *arm.Error
			if accepted || !errors.As(err, &refused) || refused.Status != http.StatusConflict ||
				refused.Code != test.code || refused.Message != test.message {
				t.Fatalf("got accepted %t, %#v", accepted, refused)
			}
			if strings.Contains(err.Error(), "secret-text") || !strings.Contains(err.Error(), thing.ID) {
				t.Errorf("got %q, want the resource and nothing of the body", err)
			}
		})
	}
}

func TestARequestWithoutAnAnswerHasItsOwnError(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := newClient(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, accepted, err := client.Put(ctx, thing, map[string]any{}, true)
	var unanswered *arm.UnansweredError
	if accepted || !errors.As(err, &unanswered) || !errors.Is(err, context.Canceled) ||
		arm.HasStatus(err, http.StatusConflict) {
		t.Errorf("got accepted %t, %v", accepted, err)
	}
}

// TestTheCallersContextEndsAWaitForRetryAfter: the wait would take an hour.
func TestTheCallersContextEndsAWaitForRetryAfter(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			answered := make(chan struct{}, 1)
			client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(status)
				answered <- struct{}{}
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- client.Get(ctx, thing, &map[string]any{}) }()
			await.Next(t, answered, "an answer")
			cancel()
			if err := await.Next(t, ended, "the end of the request"); !errors.Is(err, context.Canceled) {
				t.Errorf("%d: got %v, want the cancellation", status, err)
			}
		})
	}
}

func TestOnlyHTTPSCarriesTokens(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://127.0.0.1:1", "127.0.0.1:1", "https://"} {
		t.Run(endpoint, func(t *testing.T) {
			if _, err := arm.New(arm.Options{Endpoint: endpoint, Credential: tenantsOf{}}); err == nil {
				t.Errorf("%q: got no error", endpoint)
			}
		})
	}
}
