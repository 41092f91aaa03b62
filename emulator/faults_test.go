package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// refusedAs asks and returns what came: status, Retry-After and body; a lost connection is status 0.
func (w *wire) refusedAs(q question) (status int, retryAfter, code, body string) {
	w.t.Helper()
	base := w.e.Endpoints().Data
	if q.host == "" {
		base = w.e.Endpoints().ARM
	}
	r, err := http.NewRequestWithContext(w.t.Context(), q.method, base+q.path, strings.NewReader(q.body))
	check(w.t, err)
	r.Host = q.host
	r.Header.Set("Authorization", q.authorization)
	response, err := w.http.Do(r)
	if err != nil {
		return 0, "", "", ""
	}
	_, answered := answer(w.t, response)
	return response.StatusCode, response.Header.Get("Retry-After"), response.Header.Get("iothub-errorcode"),
		fmt.Sprint(answered)
}

func TestFaultsHaveTheErrorFormatOfEachSurface(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for surface, tc := range map[string]struct {
		question
		want string
	}{
		"arm": {question{"", "GET", groupPath + groupVersion, "", "Bearer " + y.token},
			"map[error:map[code:ServiceUnavailable message:out of order]]"},
		"entra": {question{"", "GET", "/common/v2.0/.well-known/openid-configuration", "", ""},
			"error:temporarily_unavailable error_description:ServiceUnavailable: out of order"},
		"dps-service": {question{serviceHost, "GET", "/enrollments/a?api-version=2021-10-01", "", y.owner},
			"errorCode:503001"},
		"dps-device": {question{globalHost, "PUT", "/" + y.scope + "/registrations/a/register?api-version=2021-10-01",
			"{}", ""}, "errorCode:503001"},
		"hub": {question{hub1, "GET", "/devices/a?api-version=2021-04-12", "", ""},
			"Message:ErrorCode:ServiceUnavailable;out of order"},
	} {
		t.Run(surface, func(t *testing.T) {
			remove, err := y.e.Inject(emulator.Fault{
				Match: emulator.Match{Surface: surface, Method: tc.method}, Count: 1, Status: 503,
				Message: "out of order", RetryAfter: 7 * time.Second, Delay: time.Millisecond,
			})
			check(t, err)
			status, wait, name, body := y.refusedAs(tc.question)
			if status != 503 || wait != "7" || !strings.Contains(body, tc.want) {
				t.Errorf("%s: got %d, Retry-After %q, %s, want 503, 7 and %s", surface, status, wait, body, tc.want)
			}
			if surface == "hub" && name != "ServiceUnavailable" {
				t.Errorf("got iothub-errorcode %q", name)
			}
			if status, _, _, _ := y.refusedAs(tc.question); status == 503 {
				t.Errorf("%s: got the fault twice, want it once", surface)
			}
			remove()

			remove, err = y.e.Inject(emulator.Fault{Match: emulator.Match{Surface: surface}, Drop: true})
			check(t, err)
			if status, _, _, _ := y.refusedAs(tc.question); status != 0 {
				t.Errorf("%s: got status %d, want a lost connection", surface, status)
			}
			remove()
		})
	}
	log := y.e.Requests("hub", "")
	if len(log) == 0 || log[0].Status != 503 {
		t.Errorf("got %+v in the request log, want the refusal", log)
	}
}

func TestFaultsAffectDevicesThatRegisterOverMQTT(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("device-1", keyed)
	d := y.holding("device-1", primary)
	for name, tc := range map[string]struct {
		fault emulator.Fault
		want  int
	}{
		"a refused connection": {emulator.Fault{Match: emulator.Match{Method: "CONNECT"}, Status: 503}, 3},
		"a refused request": {emulator.Fault{Match: emulator.Match{Method: "PUBLISH"}, Status: 429,
			RetryAfter: time.Second}, 429},
		"a delay": {emulator.Fault{Match: emulator.Match{Method: "SUBSCRIBE"}, Delay: time.Millisecond},
			200},
	} {
		t.Run(name, func(t *testing.T) {
			tc.fault.Surface, tc.fault.Count = "mqtt-dps", 1
			remove, err := y.e.Inject(tc.fault)
			check(t, err)
			if got := y.overMQTT(d); got.status != tc.want {
				t.Errorf("%s: got %+v, want %d", name, got, tc.want)
			}
			remove()
		})
	}
}

func TestFaultsAffectDevicesOfAHub(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	hub := l.overHTTPS(l.holding("device-1", primary)).state("assignedHub")
	password := token(t, hub+"/devices/device-1", "", primary)
	inject := func(f emulator.Fault) func() {
		f.Surface = "mqtt-hub"
		remove, err := l.e.Inject(f)
		check(t, err)
		return remove
	}
	c := l.connect(hub, "device-1", password)
	replies := make(chan string, 4)
	l.wait(c.Subscribe("$iothub/twin/res/#", 1, func(_ mqtt.Client, m mqtt.Message) {
		replies <- m.Topic() + string(m.Payload())
	}))
	remove := inject(emulator.Fault{Match: emulator.Match{Method: "PUBLISH"}, Status: 429})
	l.wait(c.Publish("$iothub/twin/GET/?$rid=9", 1, false, ""))
	if got := await.Next(t, replies, "the answer to a refused request"); !strings.HasPrefix(got,
		"$iothub/twin/res/429/?$rid=9") || !strings.Contains(got, "429001") {
		t.Errorf("got %s, want 429 for the request", got)
	}
	remove()

	inject(emulator.Fault{Match: emulator.Match{Method: "SUBSCRIBE"}, Count: 1, Status: 503})
	subscribing := c.Subscribe("$iothub/methods/POST/#", 0, nil)
	subscribing.WaitTimeout(await.Limit)
	if granted := subscribing.(*mqtt.SubscribeToken).Result()["$iothub/methods/POST/#"]; granted != 0x80 {
		t.Errorf("got %d for a refused subscription, want 128", granted)
	}
	inject(emulator.Fault{Match: emulator.Match{Method: "PUBLISH"}, Count: 1, Drop: true})
	c.Publish("devices/device-1/messages/events/", 1, false, "lost")
	await.Until(t, "the end of the connection", func() error {
		if c.IsConnectionOpen() {
			return fmt.Errorf("the device is still connected")
		}
		return nil
	})
	if got := l.e.Messages(hub, "device-1"); len(got) != 0 {
		t.Errorf("got %d messages, want that none came in", len(got))
	}
}

func TestFaultsOverTheControlPort(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/faults", "", 200, "[]"},
		{"POST", "/faults", `{"surface":"hub","path":"^/twins/","status":429,"retryAfter":"10s","count":3}`, 201,
			`"id":"1"`},
		{"POST", "/faults", `{"delay":"1.5s","probability":0.5,"seed":7}`, 201, `"delay":"1.5s"`},
		{"GET", "/faults", "", 200, `"code":429001`},
		{"POST", "/faults", `{}`, 400, "needs a delay, drop or a status"},
		{"POST", "/faults", `{"status":200}`, 400, "400 to 599"},
		{"POST", "/faults", `{"message":"x","drop":true}`, 400, "need a status"},
		{"POST", "/faults", `{"surface":"hubs","drop":true}`, 400, "mqtt-hub"},
		{"POST", "/faults", `{"path":"(","drop":true}`, 400, "path"},
		{"POST", "/faults", `{"delay":"long"}`, 400, "long"},
		{"POST", "/faults", `{"drop":true,"latency":"1s"}`, 400, "latency"},
		{"POST", "/holds", `{"surface":"hubs"}`, 400, "mqtt-hub"},
		{"DELETE", "/faults/1", "", 204, ""},
		{"DELETE", "/faults/1", "", 404, "no fault"},
		{"DELETE", "/faults", "", 204, ""},
		{"GET", "/faults", "", 200, "[]"},
		{"GET", "/limits", "", 200, `"azure":false`},
		{"PUT", "/limits", `{"azure":true}`, 200, `"device registrations"`},
		{"PUT", "/limits", `{}`, 400, "azure must be"},
		{"PUT", "/limits", `{"azure":false}`, 200, `"azure":false`},
	} {
		t.Run(tc.method+" "+tc.path+" "+tc.body, func(t *testing.T) {
			if status, answer := w.control(tc.method, tc.path, tc.body); status != tc.status ||
				!strings.Contains(answer, tc.want) {
				t.Errorf("got %d %s, want %d %s", status, answer, tc.status, tc.want)
			}
		})
	}
}

func TestAzureLimitsRefuseOverTheWire(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{AzureLimits: true})
	y.enroll("device-1", keyed)
	d := y.holding("device-1", primary)
	poll := question{globalHost, "GET", "/" + y.scope + "/registrations/device-1/operations/5?api-version=2021-10-01",
		"", d.token}
	query := question{hub1, "POST", "/devices/query?api-version=2021-04-12", `{"query":"SELECT * FROM devices"}`, ""}
	for name, tc := range map[string]struct {
		question
		limit int
		wait  string
		want  string
	}{
		"polls": {poll, 5, "10", "errorCode:429001"},
		"queries": {query, 20, "60",
			"ErrorCode:ThrottlingBacklogTimeout;The request has been throttled. Wait 60 seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			for range tc.limit {
				if status, _, _, body := y.refusedAs(tc.question); status == 429 {
					t.Fatalf("%s: got 429 %s within the limit", name, body)
				}
			}
			if status, wait, _, body := y.refusedAs(tc.question); status != 429 || wait != tc.wait ||
				!strings.Contains(body, tc.want) {
				t.Errorf("got %d, Retry-After %q, %s beyond the limit, want 429, %s and %s", status, wait, body,
					tc.wait, tc.want)
			}
		})
	}
	y.e.MoveClock(time.Minute)
	if status, _, _, _ := y.refusedAs(query); status == 429 {
		t.Error("got 429 a minute later, want it to pass")
	}
	if status, body := y.control("GET", "/limits", ""); status != 200 || !strings.Contains(body, `"refused":2`) {
		t.Errorf("got %d %s, want two refused operations", status, body)
	}
}
