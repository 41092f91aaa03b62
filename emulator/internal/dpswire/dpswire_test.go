package dpswire_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
)

var table = func() *routes.Table[string] {
	t := dpswire.NewTable[string]()
	t.Add("POST /things/query", "query")
	t.Add("GET /things/{id}", "get")
	t.Add("PUT /things/{id}", "put")
	t.Add("POST /things", "bulk")
	t.Add("PUT /{scope}/devices/{id}/register", "register")
	return t
}()

func TestFindingAnOperation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, path, want string
		values             map[string]string
		status             int
		allow              string
	}{
		{method: "GET", path: "/things/a", want: "get", values: map[string]string{"id": "a"}},
		{method: "PUT", path: "/Things/a%2Fb/", want: "put", values: map[string]string{"id": "a/b"}},
		{method: "POST", path: "/things/", want: "bulk", values: map[string]string{}},
		{method: "POST", path: "//THINGS//Query", want: "query", values: map[string]string{}},
		{method: "PUT", path: "/s/devices/d/REGISTER", want: "register", values: map[string]string{"scope": "s",
			"id": "d"}},
		{method: "DELETE", path: "/things/a", status: 405, allow: "GET, PUT"},
		{method: "GET", path: "/things/query", status: 405, allow: "POST"},
		{method: "GET", path: "/things", status: 405, allow: "POST"},
		{method: "PUT", path: "/s/devices", status: 405},
		{method: "PUT", path: "/s/devices/d", status: 404},
		{method: "GET", path: "/", status: 404},
		{method: "GET", path: "/things/a/b", status: 404},
	} {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			t.Parallel()
			got, values, err := dpswire.Find(table, httptest.NewRequest(test.method, test.path, nil))
			var refused *dpswire.Error
			if errors.As(err, &refused) {
				if refused.Status != test.status || refused.Allow != test.allow {
					t.Fatalf("got %v and %q, want %d and %q", refused, refused.Allow, test.status, test.allow)
				}
				return
			}
			if diff := cmp.Diff(test.values, values); got != test.want || diff != "" {
				t.Errorf("got %q, want %q; values differ (-want +got):\n%s", got, test.want, diff)
			}
		})
	}
}

var now = time.Date(2026, 5, 4, 3, 2, 1, 7, time.UTC)

// serve answers with the result of run, and returns the value that it panicked with.
func serve(run func() (dpswire.Reply, error)) (answer *http.Response, body dpswire.ErrorBody, fault any) {
	recorder := httptest.NewRecorder()
	func() {
		defer func() { fault = recover() }()
		dpswire.Serve(recorder, func() time.Time { return now }, run)
	}()
	answer = recorder.Result()
	_ = json.NewDecoder(answer.Body).Decode(&body) // a body that is not an error leaves it empty
	return answer, body, fault
}

func TestRefusalsOfTheState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err          error
		status, code int
	}{
		{&state.Error{Kind: state.NotFound, Object: "enrollment a"}, 404, 404201},
		{&state.Error{Kind: state.ParentNotFound, Object: "service s"}, 404, 404202},
		{&state.Error{Kind: state.Exists}, 409, 409201},
		{&state.Error{Kind: state.Busy}, 409, 409203},
		{&state.Error{Kind: state.Precondition}, 412, 412001},
		{&state.Error{Kind: state.Quota, Reason: "full"}, 429, 429001},
		{errors.New("a fault with a secret"), 500, 500001},
		{dpswire.Refuse(413, 413001, "more than %d", 7), 413, 413001},
	} {
		t.Run(fmt.Sprint(test.code), func(t *testing.T) {
			answer, body, fault := serve(func() (dpswire.Reply, error) { return dpswire.Reply{}, test.err })
			if answer.StatusCode != test.status || body.ErrorCode != test.code || fault != nil {
				t.Errorf("got %d %+v %v, want %d %d", answer.StatusCode, body, fault, test.status, test.code)
			}
			if body.Timestamp != "2026-05-04T03:02:01.0000000Z" || body.TrackingID == "" ||
				body.Message == "a fault with a secret" {
				t.Errorf("%v: got %+v", test.err, body)
			}
			if wait := answer.Header.Get("Retry-After"); (wait != "") != (test.status == 429) {
				t.Errorf("%v: got Retry-After %q", test.err, wait)
			}
		})
	}
}

// TestPanicIsAnsweredAndRaisedAgain: the client gets the API's error, and the HTTP server gets the panic.
func TestPanicIsAnsweredAndRaisedAgain(t *testing.T) {
	t.Parallel()
	answer, body, fault := serve(func() (dpswire.Reply, error) { panic("a fault") })
	if answer.StatusCode != 500 || body.ErrorCode != 500001 || fault != "a fault" {
		t.Errorf("got %d %+v and the panic %v", answer.StatusCode, body, fault)
	}
	if _, body, fault = serve(func() (dpswire.Reply, error) { panic(http.ErrAbortHandler) }); body.ErrorCode != 0 ||
		fault != http.ErrAbortHandler {
		t.Errorf("got %+v and the panic %v, want an aborted request without an answer", body, fault)
	}
}
