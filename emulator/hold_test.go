package emulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

func TestHeldRequestIsCarriedOutAfterItsClientDisconnected(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	h := e.Hold(emulator.Match{Surface: "arm", Mutating: true})
	ctx, kill := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		response, err := w.do(ctx, "PUT", groupPath+groupVersion, groupJSON)
		if err == nil {
			response.Body.Close()
		}
		gone <- err
	}()
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, h.Held(wait))
	if counts, err := e.Counts(); err != nil || counts.Groups != 0 {
		t.Errorf("got %d groups, %v while the request was held, want 0", counts.Groups, err)
	}
	kill()
	if err := await.Next(t, gone, "the client's end"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the client disconnected", err)
	}
	h.Release()
	check(t, h.Done(wait))
	if counts, err := e.Counts(); err != nil || counts.Groups != 1 {
		t.Errorf("got %d groups, %v after the release, want 1", counts.Groups, err)
	}
	last := e.Requests("arm", "PUT")
	if len(last) != 1 || last[0].Status != http.StatusCreated || last[0].APIVersion != "2022-09-01" {
		t.Errorf("got %+v in the log, want one PUT with 201", last)
	}
}

func TestHoldChoosesByMethodPathAndNumber(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	h := e.Hold(emulator.Match{Method: "put", Path: regexp.MustCompile(`(?i)/resourcegroups/rg-\d$`), Nth: 2})
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("GET", groupPath+groupVersion, "")
	done := make(chan int, 1)
	go func() {
		status, _ := w.call("PUT", groupPath+groupVersion, groupJSON)
		done <- status
	}()
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, h.Held(wait))
	h.Release()
	if status := await.Next(t, done, "the answer to the held PUT"); status != http.StatusOK {
		t.Errorf("got %d for the second PUT, want 200", status)
	}
}

func TestCloseDropsHeldRequests(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e, err := emulator.New(emulator.Options{Dir: dir})
	check(t, err)
	check(t, emulator.StartOnFreePorts(e))
	w := plain(t, e)
	h := e.Hold(emulator.Match{Mutating: true})
	gone := make(chan error, 1)
	go func() {
		_, err := w.do(t.Context(), "PUT", groupPath+groupVersion, groupJSON)
		gone <- err
	}()
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	check(t, h.Held(wait))
	check(t, e.Close())
	if err := await.Next(t, gone, "the end of the dropped request"); err == nil {
		t.Error("got an answer to a dropped request, want none")
	}
	counts, err := emulator.RunT(t, emulator.Options{Dir: dir}).Counts()
	check(t, err)
	if counts.Groups != 0 {
		t.Errorf("got %d groups, want no effect of the dropped request", counts.Groups)
	}
}

// controlRequest is a request to the management surface, with its token.
func controlRequest(t *testing.T, e *emulator.Emulator, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.Endpoints().Control+path, strings.NewReader(body))
	check(t, err)
	r.Header.Set("Authorization", "Bearer "+e.Endpoints().ControlToken)
	return r
}

// controlCall calls the management surface.
func controlCall(t *testing.T, e *emulator.Emulator, method, path, body string) (int, map[string]any) {
	t.Helper()
	response, err := await.Client.Do(controlRequest(t, e, method, path, body))
	check(t, err)
	return answer(t, response)
}

func TestHoldsOverTheControlPort(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	status, hold := controlCall(t, e, "POST", "/holds", `{"surface":"arm","mutating":true}`)
	if status != http.StatusCreated || hold["state"] != "armed" {
		t.Fatalf("got %d %v, want 201 and an armed hold", status, hold)
	}
	id := hold["id"].(string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.call("PUT", groupPath+groupVersion, groupJSON)
	}()
	if _, hold := controlCall(t, e, "GET", "/holds/"+id+"?await=held&timeout=1m", ""); hold["state"] != "held" ||
		hold["request"].(map[string]any)["path"] != groupPath {
		t.Errorf("got %v, want the PUT held", hold)
	}
	controlCall(t, e, "POST", "/holds/"+id+"/release", "")
	await.Closed(t, done, "the answer to the held PUT")
	if _, hold := controlCall(t, e, "GET", "/holds/"+id+"?await=done&timeout=1m", ""); hold["state"] != "done" {
		t.Errorf("got %v, want done", hold)
	}
	for path, want := range map[string]int{"/holds/99": 404, "/holds/" + id + "?await=x": 400, "/holds/" + id +
		"?timeout=x": 400} {
		t.Run(path, func(t *testing.T) {
			if status, _ := controlCall(t, e, "GET", path, ""); status != want {
				t.Errorf("GET %s: got %d, want %d", path, status, want)
			}
		})
	}
	if status, body := controlCall(t, e, "POST", "/holds", `{"path":"("}`); status != http.StatusBadRequest {
		t.Errorf("got %d %v for a bad expression, want 400", status, body)
	}
}

func TestRequestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	w.must("PUT", groupPath+groupVersion, groupJSON)
	data, err := json.Marshal(e.Requests("", ""))
	check(t, err)
	for _, secret := range []string{w.token, e.Endpoints().ClientSecret} {
		if bytes.Contains(data, []byte(secret)) {
			t.Error("got a token or the client secret in the request log")
		}
	}
	if got := e.Requests("", ""); len(got) != 2 || got[0].Surface != "entra" || got[1].Surface != "arm" {
		t.Errorf("got %+v, want the token request and the PUT", got)
	}
}

func TestResetForgetsEverything(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	w.must("PUT", groupPath+groupVersion, groupJSON)
	if status, _ := controlCall(t, e, "POST", "/reset", ""); status != http.StatusNoContent {
		t.Fatalf("got %d, want 204", status)
	}
	counts, err := e.Counts()
	check(t, err)
	if counts != (emulator.Counts{}) || len(e.Requests("", "")) != 0 {
		t.Errorf("got %+v and %d requests, want nothing", counts, len(e.Requests("", "")))
	}
	if status, _ := w.call("GET", groupPath+groupVersion, ""); status != http.StatusNotFound {
		t.Errorf("got %d, want 404 with the token of before", status)
	}
}

func TestControlPortRefusesWebPages(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	for name, change := range map[string]func(*http.Request){
		"a page's request":     func(r *http.Request) { r.Header.Set("Origin", "https://example.com") },
		"a name of a web page": func(r *http.Request) { r.Host = "evil.example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			r := controlRequest(t, e, "POST", "/reset", "")
			change(r)
			response, err := await.Client.Do(r)
			check(t, err)
			response.Body.Close()
			if response.StatusCode != http.StatusForbidden {
				t.Errorf("%s: got %d, want 403", name, response.StatusCode)
			}
		})
	}
}

func TestTokensAndOperationsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := emulator.Options{Dir: dir, LRODelay: time.Hour}
	first, err := emulator.New(options)
	check(t, err)
	check(t, emulator.StartOnFreePorts(first))
	w := plain(t, first)
	w.must("PUT", groupPath+groupVersion, groupJSON)
	response, err := w.do(t.Context(), "PUT", hubPath+hubVersion, hubJSON)
	check(t, err)
	operation := response.Header.Get("Azure-AsyncOperation")
	response.Body.Close()
	check(t, first.Close())

	w.e = emulator.RunT(t, options)
	if body := w.must("GET", operation[len(first.Endpoints().ARM):], ""); body["status"] != "Running" {
		t.Errorf("got %v after the restart, want Running", body)
	}
	if body := w.must("GET", hubPath+hubVersion, ""); body["properties"].(map[string]any)["state"] != "Activating" {
		t.Errorf("got %v after the restart, want the hub still Activating", body)
	}
}
