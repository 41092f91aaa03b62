package iothub_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/iothub"
)

const feedbackPath = "/messages/serviceBound/feedback"

func TestFeedbackOverHTTPS(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	token := f.deviceToken("d1", f.device("d1"))
	for _, id := range []string{"m1", "m2"} {
		if _, err := f.hubs.SendCloudMessage(host, "d1",
			iothub.CloudMessage{MessageID: id, Ack: "full"}); err != nil {
			t.Fatal(err)
		}
	}
	f.owner("GET", feedbackPath, "").want(t, "before the messages ended", http.StatusNoContent)
	for _, how := range []string{"", "&reject"} {
		a := f.do(call{method: "GET", path: "/devices/d1/messages/devicebound" + version, token: token}).want(t,
			"receive", http.StatusOK)
		lock := strings.Trim(a.header.Get("ETag"), `"`)
		f.do(call{method: "DELETE", path: "/devices/d1/messages/devicebound/" + lock + version + how,
			token: token}).want(t, "settle", http.StatusNoContent)
	}
	f.do(call{method: "GET", path: feedbackPath + version, token: f.policy("read")}).want(t, "without ServiceConnect",
		http.StatusUnauthorized)
	a := f.owner("GET", feedbackPath, "").want(t, "receive feedback", http.StatusOK)
	if got, want := a.header.Get("Content-Type"), "application/vnd.microsoft.iothub.feedback.json"; got != want {
		t.Errorf("content type: got %s, want %s", got, want)
	}
	var records []map[string]string
	if err := json.Unmarshal([]byte(a.body), &records); err != nil {
		t.Fatal(err)
	}
	device, err := f.state.Device(host, "d1")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{
		{"originalMessageId": "m1", "statusCode": "Success", "description": "Success"},
		{"originalMessageId": "m2", "statusCode": "Rejected", "description": "Rejected"},
	} {
		want["deviceId"], want["deviceGenerationId"], want["enqueuedTimeUtc"] = "d1", device.GenerationID,
			"2026-03-04T05:06:07.89Z"
		for name, value := range want {
			if len(records) != 2 || records[i][name] != value {
				t.Fatalf("record %d, %s: got %v, want %s", i, name, records, value)
			}
		}
	}
	lock := strings.Trim(a.header.Get("ETag"), `"`)
	f.owner("GET", feedbackPath, "").want(t, "receive what is locked", http.StatusNoContent)
	f.owner("POST", feedbackPath+"/"+lock+"/abandon", "").want(t, "abandon", http.StatusNoContent)
	f.owner("DELETE", feedbackPath+"/"+lock, "").want(t, "complete too late", http.StatusPreconditionFailed)
	lock = strings.Trim(f.owner("GET", feedbackPath, "").want(t, "receive again", http.StatusOK).header.Get("ETag"),
		`"`)
	f.owner("DELETE", feedbackPath+"/"+lock, "").want(t, "complete", http.StatusNoContent)
	f.owner("GET", feedbackPath, "").want(t, "receive after the last one", http.StatusNoContent)
}

func TestADeviceOverMQTTGivesFeedbackByItsAcknowledgement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, c := f.accept(f.device("d1"), true)
	if _, err := s.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := f.hubs.SendCloudMessage(host, "d1", iothub.CloudMessage{MessageID: "m1",
		Ack: "positive"}); err != nil {
		t.Fatal(err)
	}
	f.owner("GET", feedbackPath, "").want(t, "before the acknowledgement", http.StatusNoContent)
	c.sent[0].Acknowledged()
	if a := f.owner("GET", feedbackPath, "").want(t, "after it", http.StatusOK); !strings.Contains(a.body,
		`"originalMessageId":"m1"`) {
		t.Errorf("got %s, want m1", a.body)
	}
}

func TestASessionIsResumedAfterARestart(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	present := func(s broker.Session) bool { return s.(broker.Resumer).Resumed() }
	s, _ := f.accept(key, false)
	if present(s) {
		t.Error("the first session is resumed")
	}
	if _, err := s.Subscribe("devices/d1/messages/devicebound/#", 1); err != nil {
		t.Fatal(err)
	}
	s.Closed()
	f.hubs.Close()
	f.hubs = iothub.New(iothub.Options{State: f.state})
	f.send("while it was away")
	s, c := f.accept(key, false)
	if !present(s) || c.bodies() != "while it was away" || c.sent[0].QoS != 1 {
		t.Errorf("got %q, resumed %t; want the message with QoS 1", c.bodies(), present(s))
	}
	s.Closed()
	s, _ = f.accept(key, true)
	s.Closed()
	if s, _ = f.accept(key, false); present(s) {
		t.Error("a clean session leaves one to be resumed")
	}
}

func TestAWillIsTelemetryOrNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	s, _ := f.accept(f.device("d1"), true)
	if err := s.Publish(broker.Message{Topic: "devices/d1/messages/events/a=b", Payload: []byte("gone"),
		Will: true}); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(broker.Message{Topic: "$iothub/twin/PATCH/properties/reported/?$rid=1",
		Payload: []byte(`{"a":1}`), Will: true}); err == nil {
		t.Error("a will changed the twin")
	}
	got := f.hubs.Messages(host, "d1")
	if len(got) != 1 || string(got[0].Body) != "gone" || got[0].Properties["a"] != "b" ||
		got[0].Properties["iothub-MessageType"] != "Will" {
		t.Errorf("got %+v, want the will, marked as one", got)
	}
}

func TestConnectionsEndWithTheirDeviceOrHub(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	_, first := f.accept(key, true)
	if err := f.state.DeleteDevice(host, "d1", ""); err != nil { // as a service does to move it
		t.Fatal(err)
	}
	if first.end() == nil {
		t.Error("the connection of a deleted device is open")
	}
	_, second := f.accept(f.device("d1"), true)
	hub, err := f.state.HubByHost(host)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.state.DeleteHub(hub.ID, 0); err != nil {
		t.Fatal(err)
	}
	if second.end() == nil {
		t.Error("the connection to a deleted hub is open")
	}
}
