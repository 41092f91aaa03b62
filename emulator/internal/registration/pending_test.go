package registration_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// TestPanicInAWebhookCallFailsOnlyThatRegistration checks that the process and the device continue.
func TestPanicInAWebhookCallFailsOnlyThatRegistration(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // written before the answer
	var broken atomic.Bool
	broken.Store(true)
	w := newWorld(t, registration.Options{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Webhooks: registration.Webhooks{Entry: func(*state.Enrollment, *state.EnrollmentGroup) (json.RawMessage,
			error) {
			if broken.Load() {
				panic("the sky is falling")
			}
			return json.RawMessage("{}"), nil
		}},
	})
	settings := keys(key1, key2)
	settings.Webhook = &state.Webhook{URL: "http://127.0.0.1:1", APIVersion: "2021-10-01"}
	settings.Allocation = state.Custom
	w.enroll(t, state.Enrollment{RegistrationID: "sn-1", Settings: settings})
	device := attempt{id: "sn-1", token: w.token(t, "sn-1", key1)}
	if got := w.request(t, http.MethodPut, "register", device); got.status != http.StatusInternalServerError {
		t.Errorf("got %d, want an internal error", got.status)
	}
	if !strings.Contains(log.String(), "the sky is falling") ||
		!strings.Contains(log.String(), "registration panicked") {
		t.Errorf("got the log %q, want the panic", log.String())
	}
	broken.Store(false)
	if got := w.request(t, http.MethodPut, "register", device); got.status != http.StatusAccepted {
		t.Errorf("afterwards: got %d, want it taken", got.status)
	}
}
