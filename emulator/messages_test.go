package emulator_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

const (
	hubHost    = "hub-1.azure-devices.net"
	apiVersion = "?api-version=2021-04-12"
	knownKey   = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
)

// withHub makes hub-1 with the properties given in JSON, and device-1 with knownKey; it returns a token with every
// right.
func withHub(t *testing.T, w *wire, properties string) (owner string) {
	t.Helper()
	w.must("PUT", groupPath+groupVersion, groupJSON)
	w.must("PUT", hubPath+hubVersion, `{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{`+
		properties+`}}`)
	owner = token(t, hubHost, "iothubowner", w.firstKey(hubPath+"/IotHubKeys/iothubowner", hubVersion))
	status, body := w.on(hubHost, "PUT", "/devices/device-1"+apiVersion,
		`{"deviceId":"device-1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"`+knownKey+
			`","secondaryKey":"`+knownKey+`"}}}`, owner)
	if status != http.StatusOK {
		t.Fatalf("put the device: got %d %v", status, body)
	}
	return owner
}

// control calls the control port.
func (w *wire) control(method, path, body string) (int, string) {
	w.t.Helper()
	response, err := await.Client.Do(controlRequest(w.t, w.e, method, path, body))
	check(w.t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	check(w.t, err)
	return response.StatusCode, strings.TrimSpace(string(answer))
}

func TestMessagesAreSentThroughTheControlPort(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	withHub(t, w, `"cloudToDevice":{"maxDeliveryCount":1}`)
	device := token(t, hubHost+"/devices/device-1", "", knownKey)
	const target = `"hub":"` + hubHost + `","device":"device-1"`
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/messages", `{` + target + `,"body":"hello","messageId":"m1"}`, 201, `"sequence":1`},
		{"POST", "/messages", `{` + target + `,"body":{"on":true}}`, 201, `"sequence":2`},
		{"POST", "/messages", `{` + target + `,"bodyBase64":"AAE="}`, 201, `"sequence":3`},
		{"POST", "/messages", `{` + target + `,"body":"a","bodyBase64":"AAE="}`, 400, "mutually exclusive"},
		{"POST", "/messages", `{` + target + `,"bdoy":"a"}`, 400, "bdoy"},
		{"POST", "/messages", `{"hub":"hub-1","device":"device-1","bodyBase64":"AAE="}`, 201, `"sequence":4`},
		{"POST", "/messages", `{"body":"a"}`, 400, "hub and device are required"},
		{"POST", "/messages", `{"hub":"` + hubHost + `","device":"device-9"}`, 404, "not registered"},
		{"DELETE", "/messages", ``, 400, "hub and device are required"},
		{"DELETE", "/messages?hub=hub-9.azure-devices.net&device=device-1", ``, 404, "hub-9"},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body, func(t *testing.T) {
			if status, answer := w.control(tc.method, tc.path, tc.body); status != tc.status ||
				!strings.Contains(answer, tc.want) {
				t.Errorf("got %d %s, want %d %s", status, answer, tc.status, tc.want)
			}
		})
	}
	for _, want := range []string{"hello", `{"on":true}`, "\x00\x01"} {
		if got := receive(w, device); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(t, w.e.Send(hubHost, "device-1", emulator.CloudMessage{Body: []byte("x")}))
	if status, answer := w.control("DELETE", "/messages?hub="+hubHost+"&device=device-1", ""); status != 200 ||
		answer != `{"dropped":5}` {
		t.Errorf("purge: got %d %s, want 5 dropped, locked ones included", status, answer)
	}
}

// receive takes device-1's next message.
func receive(w *wire, authorization string) string {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", w.e.Endpoints().Data+
		"/devices/device-1/messages/devicebound"+apiVersion, nil)
	check(w.t, err)
	r.Host = hubHost
	r.Header.Set("Authorization", authorization)
	response, err := w.http.Do(r)
	check(w.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	check(w.t, err)
	return string(body)
}

func TestTelemetryCanBeFollowed(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	withHub(t, w, "")
	device := token(t, hubHost+"/devices/device-1", "", knownKey)
	send := func(body string) {
		t.Helper()
		if status, answer := w.on(hubHost, "POST", "/devices/device-1/messages/events"+apiVersion, body,
			device); status != http.StatusNoContent {
			t.Fatalf("send: got %d %v", status, answer)
		}
	}
	send("before")
	all, other := w.follow("follow"), w.follow("follow&device=device-2&hub=hub-1")
	fresh := w.follow("follow=true&tail=0&device=device-1&hub=" + strings.ToUpper(hubHost))
	send("after")
	wantLine(t, all, "before")
	wantLine(t, all, "after")
	wantLine(t, fresh, "after")

	// An emulator that ends closes the streams of followers in order, before its grace period is over.
	check(t, w.e.Close())
	other.End()
}

// follow begins to follow telemetry at the control port.
func (w *wire) follow(query string) *await.Lines {
	w.t.Helper()
	response, err := await.Client.Do(controlRequest(w.t, w.e, "GET", "/messages?"+query, ""))
	check(w.t, err)
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/x-ndjson" {
		w.t.Fatalf("follow: got %d %s", response.StatusCode, response.Header.Get("Content-Type"))
	}
	return await.NewLines(w.t, query, response.Body, func() { response.Body.Close() })
}

func wantLine(t *testing.T, lines *await.Lines, want string) {
	t.Helper()
	var m emulator.Message
	line := lines.Next()
	check(t, json.Unmarshal([]byte(line), &m))
	if string(m.Body) != want || m.DeviceID != "device-1" || m.HubHost != hubHost {
		t.Errorf("got %s, want body %q", line, want)
	}
}

// TestFollowersMissNothing: a client that has the response headers gets every message that is sent from then on,
// once, beside what was there before.
func TestFollowersMissNothing(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	withHub(t, w, "")
	device := token(t, hubHost+"/devices/device-1", "", knownKey)
	send := func(body string) {
		t.Helper()
		if status, answer := w.on(hubHost, "POST", "/devices/device-1/messages/events"+apiVersion, body,
			device); status != http.StatusNoContent {
			t.Fatalf("send: got %d %v", status, answer)
		}
	}
	send("before")
	for i, begun := 0, time.Now(); i < 3000 && time.Since(begun) < 3*time.Second; i++ {
		query, tail := "follow&tail=0", i%10 == 9
		if tail {
			query = "follow"
			check(t, w.e.Reset())
			withHub(t, w, "")
			send("before")
		}
		response, err := await.Client.Do(controlRequest(t, w.e, "GET", "/messages?"+query, ""))
		check(t, err)
		body := fmt.Sprint("message ", i)
		send(body)
		lines := bufio.NewScanner(response.Body) // the client's deadline is the reader's
		for _, want := range []string{"before", body} {
			if want == "before" && !tail {
				continue
			}
			var m emulator.Message
			if !lines.Scan() {
				t.Fatalf("follower %d: got no line, want %q: %v", i, want, lines.Err())
			}
			check(t, json.Unmarshal(lines.Bytes(), &m))
			if string(m.Body) != want {
				t.Fatalf("follower %d: got %q, want %q", i, m.Body, want)
			}
		}
		response.Body.Close()
	}
}
