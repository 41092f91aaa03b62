package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/reprovision"
)

// server starts a TLS server and returns it with the pool that trusts it.
func server(t *testing.T, serve http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(serve)
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return s, roots
}

// testKey is a key of a policy.
const testKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

func TestEachAnswerOfAHubIsAKindOfReaction(t *testing.T) {
	t.Parallel()
	s, roots := server(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Method  string          `json:"methodName"`
			Payload json.RawMessage `json:"payload"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Method != "reprovision" ||
			string(body.Payload) != `{"run":"r1"}` {
			t.Errorf("got %+v, %v, want the method and the run", body, err)
		}
		for device, answer := range map[string]struct {
			status int
			body   string
		}{
			"yes": {200, `{"status":202}`}, "no": {200, `{"status":501}`}, "offline": {404, `{"errorCode":404103}`},
			"silent": {504, `{"errorCode":504101}`}, "unknown": {404, `{"errorCode":404001}`},
			"basic": {403, `{"Message":"ErrorCode:OperationNotAvailableInCurrentTier"}`},
		} {
			if r.URL.Path == "/twins/"+device+"/methods" {
				w.WriteHeader(answer.status)
				fmt.Fprint(w, answer.body)
			}
		}
	})
	client, err := hub.New(hub.Options{Host: "example.com", PolicyName: "p", Key: testKey, Endpoint: s.URL,
		Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	m := &mover{hubs: map[string]*hub.Client{"one": client}, journal: &reprovision.Journal{Run: "r1"}}
	for device, want := range map[string]reprovision.Answer{
		"yes": {Kind: reprovision.Answered}, "no": {Kind: reprovision.Refused, Reason: "status 501"},
		"offline": {Kind: reprovision.Offline}, "silent": {Kind: reprovision.Silent},
		"unknown": {Kind: reprovision.Unknown},
	} {
		t.Run(device, func(t *testing.T) {
			// The id at the hub counts, not the registration id.
			got := m.ask(t.Context(), assignment.Device{ID: "registration", DeviceID: device, Hub: "one"})
			if got != want {
				t.Errorf("%s: got %+v, want %+v", device, got, want)
			}
		})
	}
	basic := m.ask(t.Context(), assignment.Device{ID: "basic", Hub: "one"})
	if basic.Kind != reprovision.Failed || !strings.Contains(basic.Reason, "OperationNotAvailableInCurrentTier") ||
		strings.Contains(basic.Reason, testKey) {
		t.Errorf("got %+v, want the hub's refusal", basic)
	}
	if got := m.ask(t.Context(), assignment.Device{ID: "x", Hub: "removed"}); got.Kind != reprovision.Failed {
		t.Errorf("a hub that is gone: got %+v, want an error", got)
	}
}

func TestTheReportListsWhatNeedsAttentionFirst(t *testing.T) {
	t.Parallel()
	var stdout bytes.Buffer
	m := &mover{
		app: &app{stdout: &stdout}, options: reprovisionOptions{from: "hub-1"}, stack: stackOf(t),
		skipped: []reprovision.Skipped{{Key: assignment.Key{ID: "locked"}, Obstacle: reprovision.Never, Devices: 2}},
	}
	result := func(id, now, result string) reprovision.Result {
		before := assignment.Device{ID: id, Hub: "a.azure-devices.net"}
		return reprovision.Result{Device: before, Now: now, Result: result}
	}
	results := []reprovision.Result{
		result("moved", "b.azure-devices.net", reprovision.Moved),
		result("kept", "a.azure-devices.net", reprovision.Kept),
		result("elsewhere", "z.azure-devices.net", reprovision.Moved),
		result("late", "a.azure-devices.net", string(reprovision.Answered)),
		result("silent", "a.azure-devices.net", string(reprovision.Silent)),
		result("failed", "a.azure-devices.net", reprovision.NotAssigned),
	}
	results[5].Reason = "400208 no hub"
	if err := m.finish(results, 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	want := `6 devices of hub-1, in 1.5 s: 2 moved, 1 kept their hub, 1 failed to register, 1 answered only, 1 did not answer
  hub-1 to hub-2                1 device
  hub-1 to z.azure-devices.net  1 device
  failed     failed to register: 400208 no hub, on hub-1
  silent     did not answer in time, on hub-1
  late       answered, has not registered again, on hub-1
  kept       kept hub-1
  elsewhere  hub-1 to z.azure-devices.net
  moved      hub-1 to hub-2
`
	if stdout.String() != want {
		t.Errorf("got\n%swant\n%s", stdout.String(), want)
	}
	m.options.wait = true
	if err := m.finish(results, 0); err == nil ||
		!strings.Contains(err.Error(), "3 of 6 devices are not assigned again") {
		t.Errorf("got %v, want an error for the three devices that are not assigned", err)
	}
	if err := m.finish(results[:3], 0); err != nil {
		t.Errorf("got %v, want none when all have registered", err)
	}
	m.app.json = true
	stdout.Reset()
	if err := m.finish(results[:1], 0); err != nil {
		t.Fatal(err)
	}
	var got reprovisionResult
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil || len(got.Skipped) != 1 ||
		got.Skipped[0].Devices != 2 || len(got.Moves) != 1 || got.Moves[0] != (hubMove{"hub-1", "hub-2", 1}) {
		t.Errorf("got %+v, %v, want the move and the skipped enrollment", got, err)
	}
}

// TestMissingRightsAreNamed: the policy of a stack that uses the service of another one may write enrollments only.
func TestMissingRightsAreNamed(t *testing.T) {
	t.Parallel()
	s, roots := server(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errorCode":401002,"message":"Unauthorized"}`)
	})
	client, err := dpsservice.New(dpsservice.Options{Host: "example.com", PolicyName: "p", Key: testKey,
		Endpoint: s.URL, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	_, err = readCensus(t.Context(), client, assignment.Select{})
	if !errors.Is(err, dpsservice.ErrUnauthorized) || !strings.Contains(hint.Of(err), "RegistrationStatusRead") {
		t.Errorf("got %v, hint %q, want the rights", err, hint.Of(err))
	}
}
