package emulator_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// unreadable are JSON values that some clients cannot read, or read as a different value.
var unreadable = map[string]string{
	"not UTF-8":               "\"K\xf6ln\"",
	"half a character":        `"\ud800"`,
	"the other half":          `"\udc00x"`,
	"beyond a double":         `1e400`,
	"far beyond a double":     `-1e999999`,
	"not UTF-8 in a name":     "{\"K\xf6ln\":1}",
	"beyond a double, nested": `{"a":[{"b":1e309}]}`,
}

// TestUnreadableJSONIsRefusedEverywhere sends the values to every surface that takes JSON. Each one answers 400 and
// stores nothing, and a connected device stays connected.
func TestUnreadableJSONIsRefusedEverywhere(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("there", keyed)
	if got := y.overHTTPS(y.holding("there", primary)); got.state("status") != "assigned" {
		t.Fatalf("register: got %v", got)
	}
	hub := hub1
	if status, _ := y.hubCall(hub1, "GET", "/devices/there", ""); status != 200 {
		hub = hub2
	}
	name, _, _ := strings.Cut(hub, ".")
	owner := token(t, hub, "iothubowner", y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/"+name+
		"/IotHubKeys/iothubowner", hubVersion))
	deviceToken := token(t, hub+"/devices/there", "", primary)
	device := y.connect(hub, "there", deviceToken)
	defer device.Disconnect(0)
	answers := make(chan string, 8)
	y.wait(device.Subscribe("$iothub/twin/res/#", 1, func(_ mqtt.Client, m mqtt.Message) { answers <- m.Topic() }))
	for name, value := range unreadable {
		for what, call := range map[string]func() (int, any){
			"a hub's tags": func() (int, any) {
				return two(y.on(hub, "PATCH", "/twins/there"+apiVersion, `{"tags":{"a":`+value+`}}`, owner))
			},
			"tags, replaced": func() (int, any) {
				return two(y.on(hub, "PUT", "/twins/there"+apiVersion, `{"tags":{"a":`+value+`}}`, owner))
			},
			"desired properties": func() (int, any) {
				return two(y.on(hub, "PATCH", "/twins/there"+apiVersion, `{"properties":{"desired":{"a":`+value+`}}}`,
					owner))
			},
			"a method's payload": func() (int, any) {
				return two(y.on(hub, "POST", "/twins/there/methods"+apiVersion, `{"methodName":"m","payload":`+value+
					`}`, owner))
			},
			"an enrollment's tags": func() (int, any) {
				return two(y.on(serviceHost, "PUT", "/enrollments/new?api-version=2021-10-01",
					`{"registrationId":"new",`+keyed+`,"initialTwin":{"tags":{"a":`+value+`}}}`, y.owner))
			},
			"device information": func() (int, any) {
				return two(y.on(serviceHost, "PUT", "/enrollments/new?api-version=2021-10-01",
					`{"registrationId":"new",`+keyed+`,"optionalDeviceInformation":{"a":`+value+`}}`, y.owner))
			},
			"a group's tags": func() (int, any) {
				return two(y.on(serviceHost, "PUT", "/enrollmentGroups/new?api-version=2021-10-01",
					`{"enrollmentGroupId":"new",`+keyed+`,"initialTwin":{"properties":{"desired":{"a":`+value+`}}}}`,
					y.owner))
			},
			"the tags of a group": func() (int, any) {
				return two(y.call("PUT", "/subscriptions/"+emulator.SubscriptionID+"/resourceGroups/new"+groupVersion,
					`{"location":"westeurope","tags":{"a":`+value+`}}`))
			},
			"the tags of a hub": func() (int, any) {
				return two(y.call("PATCH", hubPath+hubVersion, `{"tags":{"a":`+value+`}}`))
			},
			"the tags of a service": func() (int, any) {
				return two(y.call("PATCH", servicePath+serviceVersion, `{"tags":{"a":`+value+`}}`))
			},
			"a registration": func() (int, any) {
				d := y.holding("there", primary)
				d.body = `{"registrationId":"there","payload":` + value + `}`
				got := y.overHTTPS(d)
				return got.status, got
			},
			"a registration over MQTT": func() (int, any) {
				d := y.holding("there", primary)
				d.body = `{"registrationId":"there","payload":` + value + `}`
				got := y.overMQTT(d)
				return got.status, got
			},
			"reported properties": func() (int, any) {
				y.wait(device.Publish("$iothub/twin/PATCH/properties/reported/?$rid=1", 1, false, `{"a":`+value+`}`))
				topic := await.Next(t, answers, "the answer to reported properties")
				status, err := strconv.Atoi(strings.Split(topic, "/")[3])
				check(t, err)
				return status, topic
			},
			"enrollments in bulk": func() (int, any) {
				return two(y.on(serviceHost, "POST", "/enrollments?api-version=2021-10-01",
					`{"mode":"create","enrollments":[{"registrationId":"new",`+
						keyed+`,"initialTwin":{"tags":{"a":`+value+`}}}]}`, y.owner))
			},
			"devices in bulk": func() (int, any) {
				return two(y.on(hub, "POST", "/devices"+apiVersion, `[{"id":"new","importMode":"create","tags":{"a":`+
					value+`}}]`, owner))
			},
			"a batch of telemetry": func() (int, any) {
				return two(y.on(hub, "POST", "/devices/there/messages/events"+apiVersion,
					`[{"body":"","properties":{"a":`+value+`}}]`,
					deviceToken, "Content-Type", "application/vnd.microsoft.iothub.json"))
			},
			"a message to a device": func() (int, any) {
				status, body := y.control("POST", "/messages", `{"hub":"`+hub+`","device":"there","body":`+value+`}`)
				return status, body
			},
		} {
			t.Run(what+", "+name, func(t *testing.T) {
				if status, body := call(); status != 400 {
					t.Errorf("%s, %s: got %d %v, want 400", what, name, status, body)
				} else if text := fmt.Sprint(body); !utf8.ValidString(text) || strings.Contains(text, "ln") &&
					strings.Contains(name, "UTF-8") && strings.Contains(text, "\ufffd") {
					t.Errorf("%s, %s: got %q, want a text without the value", what, name, text)
				}
			})
		}
	}
	if !device.IsConnectionOpen() {
		t.Error("the device lost its connection, want it open after each refusal")
	}
	y.wait(device.Publish("$iothub/twin/PATCH/properties/reported/?$rid=2", 1, false, `{"b":1e308}`))
	if topic, want := await.Next(t, answers, "the answer to the last patch"),
		"$iothub/twin/res/204/?$rid=2&$version=2"; topic != want {
		t.Errorf("got %s, want %s: earlier patches changed nothing", topic, want)
	}
	if status, _ := y.on(hub, "GET", "/devices/new"+apiVersion, "", owner); status != 404 {
		t.Errorf("got %d for a device whose bulk request was refused, want 404", status)
	}
	if _, body := y.on(hub, "GET", "/twins/there"+apiVersion, "", owner); body["tags"] != nil {
		t.Errorf("got the tags %v, want none", body["tags"])
	}
	if status, _ := y.on(serviceHost, "GET", "/enrollments/new?api-version=2021-10-01", "", y.owner); status != 404 {
		t.Errorf("got %d for an enrollment that was refused, want 404", status)
	}
}

func two(status int, body map[string]any) (int, any) { return status, body }

// TestAggregatesThatOverflow checks that a query is answered even if its sum exceeds a double.
func TestAggregatesThatOverflow(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	owner := withHub(t, w, "")
	for _, id := range []string{"device-1", "device-2"} {
		if id != "device-1" {
			w.on(hubHost, "PUT", "/devices/"+id+apiVersion, `{"deviceId":"`+id+`"}`, owner)
		}
		if status, body := w.on(hubHost, "PATCH", "/twins/"+id+apiVersion, `{"tags":{"a":1.7e308,"b":-1.7e308,"c":2}}`,
			owner); status != 200 {
			t.Fatalf("got %d %v", status, body)
		}
	}
	for query, want := range map[string]string{
		"select sum(tags.a) as s from devices":                         `[{}]`,
		"select avg(tags.a) as s from devices":                         `[{"s":1.7e+308}]`,
		"select avg(tags.b) as s from devices":                         `[{"s":-1.7e+308}]`,
		"select sum(tags.c) as s, avg(tags.c) as m from devices":       `[{"m":2,"s":4}]`,
		"select count() as n, sum(tags.a + tags.a) as s from devices":  `n`,
		"select deviceId from devices where tags.a + tags.a > 1":       `[]`,
		"select max(tags.a) as a, min(tags.b) as b from devices":       `1.7e`,
		"select deviceId from devices where tags.a * 10 = tags.a * 10": `[]`,
	} {
		t.Run(query, func(t *testing.T) {
			status, text := w.query(query, owner)
			if status != 200 && status != 400 || status == 200 && !strings.Contains(text, want) {
				t.Errorf("%s: got %d %s, want %s", query, status, text, want)
			}
		})
	}
}

func (w *wire) query(query, owner string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", w.e.Endpoints().Data+"/devices/query"+apiVersion,
		strings.NewReader(`{"query":"`+query+`"}`))
	check(w.t, err)
	r.Host = hubHost
	r.Header.Set("Authorization", owner)
	response, err := w.http.Do(r)
	check(w.t, err)
	return response.StatusCode, readAll(w.t, response)
}

// TestEmptyHoldsAndFaultsAreRefused checks that an empty body creates no hold and no fault.
func TestEmptyHoldsAndFaultsAreRefused(t *testing.T) {
	t.Parallel()
	w := plain(t, emulator.RunT(t))
	for _, path := range []string{"/holds", "/faults"} {
		t.Run(path, func(t *testing.T) {
			for _, body := range []string{"", "null", `{"nth":-1,"delay":"1s"}`, `{"nth":-1}`} {
				t.Run(fmt.Sprintf("%q", body), func(t *testing.T) {
					if status, text := w.control("POST", path, body); status != 400 {
						t.Errorf("%s with %q: got %d %s, want 400", path, body, status, text)
					}
				})
			}
		})
	}
	if status, text := w.control("POST", "/holds", "{}"); status != 201 {
		t.Errorf("a hold of anything: got %d %s, want 201", status, text)
	}
}
