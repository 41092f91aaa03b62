package dpsservice_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/dpsservice"
)

// A client that sends a bulk operation has to know whether its own earlier attempt can have caused a conflict, and
// whether a failed attempt may have taken effect.
func TestALostAnswerIsReported(t *testing.T) {
	t.Parallel()
	drop := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	reset := func(w http.ResponseWriter) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = connection.(*tls.Conn).NetConn().(*net.TCPConn).SetLinger(0)
		_ = connection.(*tls.Conn).NetConn().Close()
	}
	answer := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{}`)
		}
	}
	for name, test := range map[string]struct {
		// answers are returned in order, the last one repeatedly.
		answers             []func(http.ResponseWriter)
		repeated, uncertain bool
	}{
		"answered at once":         {answers: []func(http.ResponseWriter){answer(200)}},
		"throttled, then answered": {answers: []func(http.ResponseWriter){answer(429), answer(200)}},
		"dropped, then answered":   {answers: []func(http.ResponseWriter){drop, answer(200)}, repeated: true},
		"reset, then answered":     {answers: []func(http.ResponseWriter){reset, answer(200)}, repeated: true},
		"a fault, then answered":   {answers: []func(http.ResponseWriter){answer(502), answer(200)}, repeated: true},
		"answered without reason": {answers: []func(http.ResponseWriter){
			func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>") }}, uncertain: true},
		"refused": {answers: []func(http.ResponseWriter){answer(400)}},
		"dropped, then refused": {answers: []func(http.ResponseWriter){drop, answer(401)}, repeated: true,
			uncertain: true},
		"dropped again and again": {answers: []func(http.ResponseWriter){drop}, repeated: true, uncertain: true},
		"a fault that does not pass": {answers: []func(http.ResponseWriter){answer(500)}, repeated: true,
			uncertain: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				test.answers[min(int(calls.Add(1)), len(test.answers))-1](w)
			})
			result, err := client.Individuals().Bulk(t.Context(), dpsservice.BulkCreate,
				[]dpsservice.Enrollment{{ID: "a"}})
			if result.Repeated != test.repeated || errors.Is(err, dpsservice.ErrUncertain) != test.uncertain {
				t.Errorf("got repeated %t, %v; want repeated %t, uncertain %t", result.Repeated, err, test.repeated,
					test.uncertain)
			}
		})
	}
}

func TestUnsentRequestsAreNotUncertain(t *testing.T) {
	t.Parallel()
	client := serve(t, func(http.ResponseWriter, *http.Request) {},
		func(o *dpsservice.Options) { o.Endpoint = "https://127.0.0.1:1" })
	_, err := client.Individuals().Bulk(t.Context(), dpsservice.BulkCreate, nil)
	if !errors.Is(err, dpsservice.ErrUnreachable) || errors.Is(err, dpsservice.ErrUncertain) {
		t.Errorf("got %v, want an error that is certain, of a host that is not reachable", err)
	}
}

// nameless is a login that fails because a host name has no address.
type nameless string

func (n nameless) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, &net.DNSError{Err: "no such host", Name: string(n), IsNotFound: true}
}

func TestOnlyTheServicesOwnNameCountsAsAnUnknownHost(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{host: true, "login.microsoftonline.com": false} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(http.ResponseWriter, *http.Request) {}, func(o *dpsservice.Options) {
				o.Credential, o.FirstPause = nameless(name), time.Hour
			})
			if _, err := client.Individuals().Get(t.Context(), "d"); err == nil ||
				errors.Is(err, dpsservice.ErrNoHost) != want {
				t.Errorf("%s without an address: got %v, want that the service's host is unknown: %t", name, err, want)
			}
		})
	}
}
