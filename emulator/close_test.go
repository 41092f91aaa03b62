package emulator_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// met waits until so many operations have met the only fault.
func (w *wire) met(n int) {
	w.t.Helper()
	await.Until(w.t, "the delayed operation", func() error {
		if _, faults := w.control("GET", "/faults", ""); !strings.Contains(faults, fmt.Sprintf(`"met":%d}`, n)) {
			return errors.New(faults)
		}
		return nil
	})
}

// TestDelayedOperationBlocksNoOther: an injected delay of two minutes ends with the client that it meets, and with
// the emulator, whatever operation it is.
func TestDelayedOperationBlocksNoOther(t *testing.T) {
	t.Parallel()
	request := func(base, method, path, body string) func(*yard, string) {
		return func(y *yard, _ string) {
			bases := map[string]string{"arm": y.e.Endpoints().ARM, "data": y.e.Endpoints().Data}
			url := bases[base] + strings.ReplaceAll(path, "SCOPE", y.scope)
			r, err := http.NewRequestWithContext(y.t.Context(), method, url, strings.NewReader(body))
			check(y.t, err)
			r.Host = map[string]string{"data": globalHost}[base]
			r.Header.Set("Authorization", "Bearer "+y.token)
			go func() {
				if response, err := y.http.Do(r); err == nil { // an error is what it gets
					_ = response.Body.Close()
				}
			}()
		}
	}
	// Over MQTT an operation is begun by the first that is delayed; those before it are answered.
	type login func(*yard, string) (name, password string)
	over := func(address func(*yard) string, user login, filter, topic string) func(*yard, string) {
		return func(y *yard, host string) {
			name, password := user(y, host)
			o := mqtt.NewClientOptions().AddBroker(address(y)).SetClientID("device-1").SetUsername(name).
				SetPassword(password).SetProtocolVersion(4).SetAutoReconnect(false).SetConnectRetry(false).
				SetTLSConfig(y.tls(device{})).SetHTTPHeaders(http.Header{"Host": {globalHost}})
			c := mqtt.NewClient(o)
			y.t.Cleanup(func() { c.Disconnect(0) })
			connecting := c.Connect()
			if filter == "" && topic == "" {
				return
			}
			y.wait(connecting)
			if filter != "" {
				c.Subscribe(filter, 0, nil)
				return
			}
			c.Publish(topic, 1, false, "{}")
		}
	}
	port := func(y *yard) string { return "ssl://" + y.e.Endpoints().MQTT }
	socket := func(y *yard) string {
		return strings.Replace(y.e.Endpoints().Data, "https://", "wss://", 1) + "/$iothub/websocket"
	}
	dps := func(y *yard, _ string) (string, string) {
		return y.scope + "/registrations/device-1/api-version=2019-03-31", y.holding("device-1", primary).token
	}
	hub := func(y *yard, host string) (string, string) {
		return host + "/device-1/?api-version=2021-04-12", token(y.t, host+"/devices/device-1", "", primary)
	}
	const register, twin = "$dps/registrations/PUT/iotdps-register/?$rid=1", "$iothub/twin/GET/?$rid=1"
	const registering = "/SCOPE/registrations/device-1/register?api-version=2019-03-31"
	on := func(surface, method string) emulator.Match { return emulator.Match{Surface: surface, Method: method} }
	for name, tc := range map[string]struct {
		match emulator.Match
		begin func(y *yard, host string)
	}{
		"ARM":                  {on("arm", "PATCH"), request("arm", "PATCH", groupPath+groupVersion, `{"tags":{}}`)},
		"registration":         {on("dps-device", ""), request("data", "PUT", registering, "{}")},
		"DPS, connecting":      {on("mqtt-dps", "CONNECT"), over(port, dps, "", "")},
		"DPS, subscribing":     {on("mqtt-dps", "SUBSCRIBE"), over(port, dps, "$dps/registrations/res/#", "")},
		"DPS, by WebSocket":    {on("mqtt-dps", "PUBLISH"), over(socket, dps, "", register)},
		"a hub, connecting":    {on("mqtt-hub", "CONNECT"), over(port, hub, "", "")},
		"a hub, subscribing":   {on("mqtt-hub", "SUBSCRIBE"), over(port, hub, "$iothub/twin/res/#", "")},
		"a hub, by WebSocket":  {on("mqtt-hub", "PUBLISH"), over(socket, hub, "", twin)},
		"a hub, over the port": {on("mqtt-hub", "PUBLISH"), over(port, hub, "", twin)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			y := newYard(t)
			y.enroll("device-1", keyed)
			host := y.overHTTPS(y.holding("device-1", primary)).state("assignedHub")
			_, err := y.e.Inject(emulator.Fault{Match: tc.match, Delay: 2 * time.Minute})
			check(t, err)
			tc.begin(y, host)
			y.met(1)
			closed := make(chan error, 1)
			go func() { closed <- y.e.Close() }()
			check(t, await.Next(t, closed, "the end of Close beside a delayed operation"))
		})
	}
}

// TestInjectedDelayEndsWithItsClient checks that a hub notices the disconnect before the delay ends.
func TestInjectedDelayEndsWithItsClient(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	withHub(t, w, "")
	c := w.device1(make(chan string, 1))
	publishing := emulator.Match{Surface: "mqtt-hub", Method: "PUBLISH"}
	_, err := w.e.Inject(emulator.Fault{Match: publishing, Delay: 2 * time.Minute})
	check(t, err)
	c.Publish("devices/device-1/messages/events/", 1, false, "x")
	w.met(1)
	c.Disconnect(0)
	await.Until(t, "the end of the session", func() error {
		if n := emulator.Connections(w.e); n != 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
	if got := w.e.Messages("", ""); len(got) != 0 {
		t.Errorf("got %d messages of a client that disconnected, want none", len(got))
	}
}

// TestStalledBodyDoesNotBlockOtherRequests checks ARM, which serializes changes.
func TestStalledBodyDoesNotBlockOtherRequests(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t, emulator.Options{Bounds: emulator.Bounds{Request: time.Hour}}))
	w.must("PUT", groupPath+groupVersion, groupJSON)
	for _, path := range []string{groupPath + groupVersion, hubPath + hubVersion, servicePath + serviceVersion} {
		conn := secure(t, w.e, "arm", listenersOf(w.e)["arm"])
		const begun = "PUT %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n" +
			"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
		_, err := fmt.Fprintf(conn, begun, path, w.token)
		check(t, err)
	}
	for range 20 {
		w.must("PUT", groupPath+groupVersion, groupJSON)
		w.must("PUT", hubPath+hubVersion, hubJSON)
		w.must("PUT", servicePath+serviceVersion, serviceJSON)
	}
}

// TestRequestIsLoggedBeforeItsResponseIsSent, even a large one, of which a client has every byte while the handler
// still runs.
func TestRequestIsLoggedBeforeItsResponseIsSent(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	read := make(chan struct{})
	large := strings.Repeat("x", 1<<20)
	address := serveOn(t, emulator.On(e, "arm", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, large)
		_ = http.NewResponseController(w).Flush()
		await.Held(t, read)
	})))
	defer close(read)
	status, body := get(t, await.Client, address+"/large")
	if status != http.StatusAccepted || len(body) != len(large) {
		t.Fatalf("got %d and %d bytes", status, len(body))
	}
	if got := e.Requests("arm", ""); len(got) != 1 || got[0].Path != "/large" || got[0].Status != http.StatusAccepted {
		t.Errorf("got %+v in the log, want the request", got)
	}
}
