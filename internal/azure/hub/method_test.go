package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/internal/azure/hub"
)

// method is a call whose timeouts are short enough for a test.
var method = hub.Method{Name: "reprovision", Payload: map[string]string{"run": "r1"}, Connect: 2 * time.Second,
	Respond: 5 * time.Second}

func TestACallSendsTheMethodAndReturnsTheDevicesAnswer(t *testing.T) {
	t.Parallel()
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		got := fmt.Sprint(r.Method, r.URL.EscapedPath(), body)
		want := "POST/twins/a%2Fb/methods" + "map[connectTimeoutInSeconds:2 methodName:reprovision " +
			"payload:map[run:r1] responseTimeoutInSeconds:5]"
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		fmt.Fprint(w, `{"status":409,"payload":{"busy":true}}`)
	})
	answer, err := client.Invoke(t.Context(), "a/b", method)
	if err != nil || answer.Status != 409 || string(answer.Payload) != `{"busy":true}` {
		t.Errorf("got %+v, %v, want the device's own status and payload", answer, err)
	}
}

// TestFailedCallsAreOfAKindAndNotRepeated: the bodies are those of recorded answers (Azure/azure-iot-sdk-java issue
// 640, Azure/azure-iot-sdk-csharp issue 317). A call that ran into a timeout may have reached the device.
func TestFailedCallsAreOfAKindAndNotRepeated(t *testing.T) {
	t.Parallel()
	body := func(code int) string {
		return fmt.Sprintf(`{"Message":"{\"errorCode\":%d,\"trackingId\":\"x\",\"message\":\"m\"}"}`, code)
	}
	for name, tc := range map[string]struct {
		status int
		code   string
		body   string
		want   error
	}{
		"a device that is not connected, by number": {404, "", body(404103), hub.ErrOffline},
		"a device that is not connected, by name":   {404, "DeviceNotOnline", `{}`, hub.ErrOffline},
		"a device that does not answer":             {504, "", body(504101), hub.ErrNoAnswer},
		"an unknown device":                         {404, "DeviceNotFound", body(404001), hub.ErrNotFound},
		"a proxy's timeout":                         {504, "", "<html>", nil},
		"a proxy's 404":                             {404, "", "<html>", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				w.Header().Set("iothub-errorcode", tc.code)
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			_, err := client.Invoke(t.Context(), "d", method)
			kinds := []error{hub.ErrOffline, hub.ErrNoAnswer, hub.ErrNotFound}
			is := slices.IndexFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) || tc.want == nil && is >= 0 ||
				calls.Load() != 1 {
				t.Errorf("got %v after %d calls, want %v after one", err, calls.Load(), tc.want)
			}
		})
	}
}

func TestAThrottledCallIsRepeated(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	client := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) < 3 {
			w.Header().Set("retry-after-ms", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, `{"status":200}`)
	})
	if answer, err := client.Invoke(t.Context(), "d", method); err != nil || answer.Status != 200 ||
		calls.Load() != 3 {
		t.Errorf("got %+v, %v after %d calls, want the third answer", answer, err, calls.Load())
	}
}

func TestDevicesAreCounted(t *testing.T) {
	t.Parallel()
	client := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/statistics/devices" {
			t.Errorf("got %s", r.URL.Path)
		}
		fmt.Fprint(w, `{"totalDeviceCount":12,"enabledDeviceCount":11,"disabledDeviceCount":1}`)
	})
	if n, err := client.Count(t.Context()); err != nil || n != 12 {
		t.Errorf("got %d, %v, want 12", n, err)
	}
}
