package dpsservice_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
)

const (
	host = "dps-1.azure-devices-provisioning.net"
	key  = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// serve runs handle with a certificate for host only, and returns a client whose endpoint it is.
func serve(t *testing.T, handle http.HandlerFunc, change ...func(*dpsservice.Options)) *dpsservice.Client {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handle)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	options := dpsservice.Options{
		Host: host, PolicyName: "enrollments", Key: key, Endpoint: server.URL, Roots: x509.NewCertPool(),
		FirstPause: time.Millisecond,
	}
	options.Roots.AddCert(certificate)
	for _, c := range change {
		c(&options)
	}
	client, err := dpsservice.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestRequestsNameTheHostAndAreSigned(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token, err := sas.Parse(r.Header.Get("Authorization"))
		if err != nil {
			t.Errorf("token: %v", err)
		}
		if err := token.Verify(time.Now(), key); err != nil || token.Resource != host ||
			token.KeyName != "enrollments" {
			t.Errorf("token: got %v, resource %q, key name %q", err, token.Resource, token.KeyName)
		}
		if r.Host != host || r.TLS.ServerName != host {
			t.Errorf("got host %q, server name %q, want %q twice", r.Host, r.TLS.ServerName, host)
		}
		if got, want := r.Method+" "+r.RequestURI, "GET /enrollments/a%20b:c?api-version=2021-10-01"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		_, _ = io.WriteString(
			w, `{"registrationId":"a b:c","etag":"e1","attestation":{"type":"symmetricKey"},"provisioningStatus":null}`)
	})
	entry, err := client.Individuals().Get(t.Context(), "a b:c")
	if err != nil {
		t.Fatal(err)
	}
	if entry.ID != "a b:c" || entry.Etag != "e1" || entry.Attestation.Type != "symmetricKey" ||
		entry.ProvisioningStatus != nil {
		t.Errorf("got %+v", entry)
	}
}

func TestCallsMatchTheAPIDescription(t *testing.T) {
	t.Parallel()
	group := dpsservice.Enrollment{ID: "g", Attestation: &dpsservice.Attestation{
		Type: dpsservice.SymmetricKeyAttestation, SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: "cA==",
			SecondaryKey: "cw=="},
	}}
	const groupJSON = `{"enrollmentGroupId":"g","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"cA==","secondaryKey":"cw=="}}}`
	tests := []struct {
		name          string
		call          func(context.Context, *dpsservice.Client) error
		want, ifMatch string
		body          string
		status        int
	}{
		{
			name: "put", want: "PUT /enrollmentGroups/g", ifMatch: "e1", body: groupJSON, status: 200,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				_, err := c.Groups().Put(ctx, "g", group, "e1")
				return err
			},
		}, {
			name: "create", want: "PUT /enrollmentGroups/g", body: groupJSON, status: 200,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				_, err := c.Groups().Put(ctx, "g", group, "")
				return err
			},
		}, {
			name: "delete", want: "DELETE /enrollments/d", ifMatch: "*", status: 204,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				return c.Individuals().Delete(ctx, "d", "*")
			},
		}, {
			name: "attestation mechanism", want: "POST /enrollments/d/attestationmechanism", status: 200,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				_, err := c.Individuals().AttestationMechanism(ctx, "d")
				return err
			},
		}, {
			name: "bulk", want: "POST /enrollmentGroups", body: `{"enrollmentGroups":[` + groupJSON +
				`],"mode":"updateIfMatchETag"}`, status: 200,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				_, err := c.Groups().Bulk(ctx, dpsservice.BulkUpdateIfMatches, []dpsservice.Enrollment{group})
				return err
			},
		}, {
			name: "registration", want: "GET /registrations/d", status: 200,
			call: func(ctx context.Context, c *dpsservice.Client) error {
				_, err := c.Registration(ctx, "d")
				return err
			},
		}, {
			name: "delete registration", want: "DELETE /registrations/d", status: 204,
			call: func(ctx context.Context, c *dpsservice.Client) error { return c.DeleteRegistration(ctx, "d", "") },
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if got := r.Method + " " + r.URL.Path; got != test.want || r.Header.Get("If-Match") != test.ifMatch ||
					string(body) != test.body {
					t.Errorf("got %s, If-Match %q, body %s; want %s, %q, %s", got, r.Header.Get("If-Match"), body,
						test.want, test.ifMatch, test.body)
				}
				w.WriteHeader(test.status)
				if test.status == http.StatusOK {
					_, _ = io.WriteString(w, "{}")
				}
			})
			if err := test.call(t.Context(), client); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestQueriesFollowTheContinuation(t *testing.T) {
	t.Parallel()
	var bodies []string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body)+" "+r.Header.Get("x-ms-max-item-count"))
		page := r.Header.Get("x-ms-continuation")
		if next := map[string]string{"": "p2", "p2": "p3"}[page]; next != "" {
			w.Header().Set("x-ms-continuation", next)
		}
		fmt.Fprintf(w, `[{"registrationId":"%s-1"},{"registrationId":"%s-2"}]`, page, page)
	})
	var got []string
	for entry, err := range client.Individuals().Query(t.Context(), "SELECT *", 2) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, entry.ID)
	}
	if want := []string{"-1", "-2", "p2-1", "p2-2", "p3-1", "p3-2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := slices.Repeat([]string{`{"query":"SELECT *"} 2`}, 3); !slices.Equal(bodies, want) {
		t.Errorf("requests: got %v, want %v", bodies, want)
	}
	for range client.Registrations(t.Context(), "g", 0) {
		break // the caller may end the iteration
	}
}

func TestPagesAreReadOneByOneAndCounted(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("x-ms-max-item-count"); got != "2" {
			t.Errorf("got page size %q, want 2", got)
		}
		body := `[{"registrationId":"c"}]`
		if r.Header.Get("x-ms-continuation") == "" {
			w.Header().Set("x-ms-continuation", "next")
			body = `[{"registrationId":"a"},{"registrationId":"b"}]`
		}
		fmt.Fprint(w, body)
	})
	var ids []string
	records, next, err := client.RegistrationsPage(t.Context(), "group", 2, "")
	if err != nil || next != "next" || len(records) != 2 {
		t.Fatalf("got %v, %q, %v, want two records and where to continue", records, next, err)
	}
	entries, end, err := client.Individuals().Page(t.Context(), "SELECT *", 2, next)
	if err != nil || end != "" {
		t.Fatalf("got %v, %q, %v, want the last page", entries, end, err)
	}
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	if !slices.Equal(ids, []string{"c"}) || client.Requests() != 2 {
		t.Errorf("got %v after %d requests, want c after two", ids, client.Requests())
	}
}

func TestBulkReturnsTheFailuresOfSingleEntries(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w,
			`{"isSuccessful":false,"errors":[{"registrationId":"a","errorCode":409201,"errorStatus":"Enrollment already exists."}]}`)
	})
	result, err := client.Individuals().Bulk(t.Context(), dpsservice.BulkCreate, []dpsservice.Enrollment{{ID: "a"}})
	want := []dpsservice.BulkFailure{{ID: "a", Code: 409201, Message: "Enrollment already exists."}}
	if err != nil || !slices.Equal(result.Failures, want) || result.Repeated {
		t.Errorf("got %v, %v, want %v at the first try", result, err, want)
	}
}

func TestErrorsOfTheServiceHaveKinds(t *testing.T) {
	t.Parallel()
	kinds := []error{dpsservice.ErrNotFound, dpsservice.ErrConflict, dpsservice.ErrPrecondition,
		dpsservice.ErrThrottled, dpsservice.ErrUnauthorized}
	tests := []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"an absent entry", 404, `{"errorCode":404201,"message":"gone","trackingId":"t"}`, dpsservice.ErrNotFound},
		{"a proxy's 404", 404, `<html>`, nil},
		{"a 404 without a code", 404, `{"message":"no route"}`, nil},
		{"a conflict", 409, `{"errorCode":409201}`, dpsservice.ErrConflict},
		{"another version", 412, `{"errorCode":412001}`, dpsservice.ErrPrecondition},
		{"a bad key", 401, `{"errorCode":401002}`, dpsservice.ErrUnauthorized},
		{"a missing right", 403, `{"errorCode":403000}`, dpsservice.ErrUnauthorized},
		{"a bad request", 400, `{"errorCode":400004,"message":"no"}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			_, err := client.Groups().Get(t.Context(), "g")
			for _, kind := range kinds {
				if got := errors.Is(err, kind); got != (kind == test.want) {
					t.Errorf("%v: is %q: got %t", err, kind, got)
				}
			}
			var refusal *dpsservice.Error
			if !errors.As(err, &refusal) || refusal.Status != test.status {
				t.Errorf("got %v, want a refusal of status %d", err, test.status)
			}
		})
	}
}

func TestRetriesWaitForRetryAfterAndEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		failures int // before success
		status   int
		header   string
		requests int64
		fails    bool
	}{
		{name: "throttled for long", failures: 10, status: 429, header: "1", requests: 11},
		{name: "unavailable for long", failures: 10, status: 503, header: "1", requests: 11},
		{name: "throttled without end", failures: 1000, status: 429, header: "1", requests: 13, fails: true},
		{name: "a transient server error", failures: 2, status: 500, requests: 3},
		{name: "a permanent server error", failures: 1000, status: 502, requests: 3, fails: true},
		{name: "a bad request", failures: 1000, status: 400, requests: 1, fails: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				var sent struct{ RegistrationID string }
				if err := json.NewDecoder(r.Body).Decode(&sent); err != nil || sent.RegistrationID != "d" {
					t.Errorf("body of a retry: got %+v, %v", sent, err)
				}
				if requests.Add(1) <= int64(test.failures) {
					if test.header != "" {
						w.Header().Set("retry-after-ms", test.header)
					}
					w.WriteHeader(test.status)
					return
				}
				_, _ = io.WriteString(w, `{"registrationId":"d"}`)
			})
			_, err := client.Individuals().Put(t.Context(), "d", dpsservice.Enrollment{ID: "d"}, "")
			if (err != nil) != test.fails || requests.Load() != test.requests {
				t.Errorf("got %d requests, error %v, want %d, failure %t", requests.Load(), err, test.requests,
					test.fails)
			}
		})
	}
}

func TestRetryAfterIsHonouredInBothForms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		header func() string
	}{
		"seconds, throttled":   {http.StatusTooManyRequests, func() string { return "1" }},
		"a date, throttled":    {http.StatusTooManyRequests, secondsFromNow},
		"seconds, unavailable": {http.StatusServiceUnavailable, func() string { return "1" }},
		"a date, unavailable":  {http.StatusServiceUnavailable, secondsFromNow},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first time.Time
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if first.IsZero() {
					first = time.Now()
					w.Header().Set("Retry-After", test.header())
					w.WriteHeader(test.status)
					return
				}
				if waited := time.Since(first); waited < 900*time.Millisecond {
					t.Errorf("waited %s, want a second at least", waited)
				}
				_, _ = io.WriteString(w, `{}`)
			})
			if _, err := client.Individuals().Get(t.Context(), "d"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// secondsFromNow returns a time one to two seconds ahead in the format of HTTP, which has whole seconds only.
func secondsFromNow() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) }

// Even a wait of minutes is begun; only the context ends it.
func TestALongWaitIsBegun(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "300")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := client.Individuals().Get(ctx, "d"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestTheContextEndsAWait(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "100")
		w.WriteHeader(http.StatusTooManyRequests)
		cancel()
	})
	start := time.Now()
	if _, err := client.Individuals().Get(ctx, "d"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
	if waited := time.Since(start); waited > time.Minute {
		t.Errorf("the wait took %s", waited)
	}
}

func TestFailuresWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	t.Run("a connection that breaks is tried again", func(t *testing.T) {
		t.Parallel()
		var requests atomic.Int64
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1) < 3 {
				panic(http.ErrAbortHandler)
			}
			_, _ = io.WriteString(w, `{}`)
		})
		if _, err := client.Individuals().Get(t.Context(), "d"); err != nil {
			t.Error(err)
		}
	})
	t.Run("an untrusted certificate is not", func(t *testing.T) {
		t.Parallel()
		client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("got a request") },
			func(o *dpsservice.Options) { o.Roots = x509.NewCertPool(); o.FirstPause = time.Hour })
		_, err := client.Individuals().Get(t.Context(), "d")
		var untrusted *tls.CertificateVerificationError
		if !errors.As(err, &untrusted) || !errors.Is(err, dpsservice.ErrUntrusted) {
			t.Errorf("got %v, want an untrusted certificate", err)
		}
		if strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "SharedAccessSignature") {
			t.Error("the error contains a credential")
		}
	})
	t.Run("another host's certificate is not trusted", func(t *testing.T) {
		t.Parallel()
		client := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("got a request") },
			func(o *dpsservice.Options) { o.Host = "dps-2.azure-devices-provisioning.net" })
		if _, err := client.Individuals().Get(t.Context(), "d"); err == nil {
			t.Error("got no error, want one")
		}
	})
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/enrollments/d" {
			t.Errorf("got a request to %s: the token went along", r.URL.Path)
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	var refusal *dpsservice.Error
	if _, err := client.Individuals().Get(t.Context(), "d"); !errors.As(err, &refusal) ||
		refusal.Status != http.StatusTemporaryRedirect {
		t.Errorf("got %v, want the redirect as a refusal", err)
	}
}

func TestTheTokenIsRenewedBeforeItEnds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var seen []string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{}`)
	}, func(o *dpsservice.Options) { o.Now = func() time.Time { return now } })
	for _, step := range []time.Duration{0, 30 * time.Minute, 20 * time.Minute} {
		now = now.Add(step)
		if _, err := client.Individuals().Get(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0] != seen[1] || seen[1] == seen[2] {
		t.Error("want one token for 30 minutes and another after 50")
	}
}

func TestTheRateIsLimited(t *testing.T) {
	t.Parallel()
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) },
		func(o *dpsservice.Options) { o.RateLimit = 600 }) // ten a second after the first sixty
	start := time.Now()
	for range 65 {
		if _, err := client.Individuals().Get(t.Context(), "d"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took < 400*time.Millisecond {
		t.Errorf("65 requests took %s, want at least 0.4 s at ten a second after sixty", took)
	}
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want dpsservice.Access
		ok   bool
	}{
		{"HostName=h.net;SharedAccessKeyName=p;SharedAccessKey=YWJj==",
			dpsservice.Access{Host: "h.net", PolicyName: "p", Key: "YWJj=="}, true},
		{" sharedaccesskey=k;HOSTNAME=h;SharedAccessKeyName=p; ", dpsservice.Access{Host: "h", PolicyName: "p",
			Key: "k"}, true},
		{"HostName=h;SharedAccessKey=secret", dpsservice.Access{}, false},
		{"HostName=h;SharedAccessKeyName=p;SharedAccessKey=secret;DeviceId=d", dpsservice.Access{}, false},
		{"", dpsservice.Access{}, false},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%q", test.text), func(t *testing.T) {
			got, err := dpsservice.ParseConnectionString(test.text)
			if got != test.want || (err == nil) != test.ok {
				t.Errorf("%q: got %+v, %v, want %+v", test.text, got, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: the error contains the key", test.text)
			}
		})
	}
}

func TestInvalidOptionsAreRefused(t *testing.T) {
	t.Parallel()
	good := dpsservice.Options{Host: host, PolicyName: "p", Key: key}
	for name, change := range map[string]func(*dpsservice.Options){
		"a plain endpoint":        func(o *dpsservice.Options) { o.Endpoint = "http://127.0.0.1:1" },
		"an endpoint with a path": func(o *dpsservice.Options) { o.Endpoint = "https://127.0.0.1:1/x" },
		"no policy":               func(o *dpsservice.Options) { o.PolicyName = "" },
		"a key of another form":   func(o *dpsservice.Options) { o.Key = "secret!" },
	} {
		t.Run(name, func(t *testing.T) {
			options := good
			change(&options)
			if _, err := dpsservice.New(options); err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: got %v, want an error without the key", name, err)
			}
		})
	}
}
