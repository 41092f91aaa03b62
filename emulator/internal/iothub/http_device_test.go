package iothub_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestTelemetryOverHTTPS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	const path = "/devices/d1/messages/events" + version
	one := call{method: "POST", path: path, body: "hello", token: f.deviceToken("d1", key), header: map[string]string{
		"iothub-messageid": "m1", "iothub-contenttype": "text/plain", "iothub-app-Room": "boiler",
		"iothub-to": "/devices/d1/messages/events",
	}}
	f.do(one).want(t, "send", http.StatusNoContent)
	batch := call{method: "POST", path: path, token: f.policy("device"),
		header: map[string]string{"Content-Type": "application/vnd.microsoft.iothub.json"},
		body:   `[{"body":"aGk=","properties":{"a":"b"}},{"body":"plain","base64Encoded":false}]`}
	f.do(batch).want(t, "send a batch", http.StatusNoContent)
	batch.body = `[{"body":"aGk="},{"body":"%"}]`
	f.do(batch).want(t, "send a bad batch", http.StatusBadRequest)
	one.body = strings.Repeat("x", 256<<10-len("m1"+"text/plain"+"room"+"boiler"))
	f.do(one).want(t, "send as much as may be", http.StatusNoContent)
	one.header["iothub-app-Room"] = "boilers"
	f.do(one).want(t, "send one byte more in a property", http.StatusRequestEntityTooLarge)
	one.body = strings.Repeat("x", 256<<10+1)
	f.do(one).want(t, "send too much", http.StatusRequestEntityTooLarge).wantField(t, "Message",
		"ErrorCode:MessageTooLarge;Message is larger than 262144 bytes")
	for name, token := range map[string]string{"no token": "", "wrong key": f.deviceToken("d1", newKey(t)),
		"service policy": f.policy("service")} {
		one.token = token
		f.do(one).want(t, name, http.StatusUnauthorized)
	}
	var got []string
	for _, m := range f.hubs.Messages(host, "d1") {
		got = append(got, fmt.Sprintf("%s %.5s %v %v", m.Protocol, m.Body, m.System, m.Properties))
	}
	want := "https hello map[ct:text/plain mid:m1 to:/devices/d1/messages/events] map[room:boiler]|https hi map[] " +
		"map[a:b]|https plain map[] map[]|https xxxxx map[ct:text/plain mid:m1 to:/devices/d1/messages/events] " +
		"map[room:boiler]"
	if strings.Join(got, "|") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, "|"), want)
	}
	f.do(call{method: "GET", path: "/devices/d1/messages/devicebound" + version,
		token: f.deviceToken("d1", key)}).want(t, "ask for a message", http.StatusNoContent)
	// messages over HTTP do not count
	f.owner("GET", "/devices/d1", "").wantField(t, "lastActivityTime", "0001-01-01T00:00:00Z")
}

func TestOnlyTheLastMessagesAreRemembered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.deviceToken("d1", f.device("d1"))
	for i := range 1010 {
		f.do(call{method: "POST", path: "/devices/d1/messages/events" + version, body: fmt.Sprint(i),
			token: token}).want(t, "send", http.StatusNoContent)
	}
	kept := f.hubs.Messages("", "")
	if len(kept) != 1000 || string(kept[0].Body) != "10" || f.hubs.Received(host) != 1010 {
		t.Errorf("got %d messages from %q on, of %d", len(kept), kept[0].Body, f.hubs.Received(host))
	}
	f.hubs.Reset()
	if len(f.hubs.Messages("", "")) != 0 || f.hubs.Received(host) != 0 {
		t.Error("a reset leaves messages")
	}
}
