package registration_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// client is the broker's end of a connection, keeping what is sent.
type client struct {
	mu   sync.Mutex
	sent []broker.Message
}

func (c *client) Send(m broker.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, m)
	return nil
}

func (c *client) Close(error) {}

func (c *client) Remote() string { return "127.0.0.1:1" }

func (c *client) Context() context.Context { return context.Background() }

// take returns what was sent since the last call.
func (c *client) take() []broker.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := c.sent
	c.sent = nil
	return sent
}

const replies = "$dps/registrations/res/#"

func (w world) user(id string) string {
	return w.scope + "/registrations/" + id +
		"/api-version=2019-03-31&ClientVersion=azure-iot-provisioning-device%2F1.9.1"
}

// connect opens the session of a device and subscribes to the replies.
func (w world) connect(t *testing.T, a attempt) (broker.Session, *client) {
	t.Helper()
	c := &client{}
	user := w.user(a.id)
	if a.scope != "" {
		user = strings.Replace(user, w.scope, a.scope, 1)
	}
	session, err := w.api.Accept(broker.Connect{
		ClientID: a.id, UserName: user, Password: a.token, CleanSession: true, Certificates: a.certificates, Client: c,
	})
	if err != nil {
		t.Fatalf("accept: %v", err)
	}
	if granted, err := session.Subscribe(replies, 1); err != nil || granted != 1 {
		t.Fatalf("subscribe: got %d, %v, want 1", granted, err)
	}
	return session, c
}

// ask publishes and returns the one reply.
func ask(t *testing.T, s broker.Session, c *client, topic, body string) broker.Message {
	t.Helper()
	if err := s.Publish(broker.Message{Topic: topic, Payload: []byte(body), QoS: 1}); err != nil {
		t.Fatalf("publish %s: %v", topic, err)
	}
	sent := c.take()
	if len(sent) != 1 {
		t.Fatalf("publish %s: got %d replies, want 1", topic, len(sent))
	}
	return sent[0]
}

// registerMQTT does what a device does over MQTT; a refused connection is the response with status 5, as in the
// CONNACK.
func (w world) registerMQTT(t *testing.T, a attempt) response {
	t.Helper()
	c := &client{}
	user := w.user(a.id)
	if a.scope != "" {
		user = strings.Replace(user, w.scope, a.scope, 1)
	}
	if a.version != "" {
		user = strings.Replace(user, "2019-03-31", a.version, 1)
	}
	session, err := w.api.Accept(broker.Connect{ClientID: a.id, UserName: user, Password: a.token,
		Certificates: a.certificates, Client: c})
	if err != nil {
		return response{status: 5, body: err.Error()}
	}
	defer session.Closed()
	if _, err := session.Subscribe(replies, 1); err != nil {
		t.Fatalf("subscribe: %v", err)
	}
	reply := func(m broker.Message) response {
		status, err := strconv.Atoi(strings.Split(m.Topic, "/")[3])
		if err != nil {
			t.Fatalf("topic %s: %v", m.Topic, err)
		}
		return response{status: status, body: string(m.Payload)}
	}
	got := reply(ask(t, session, c, "$dps/registrations/PUT/iotdps-register/?$rid=1", a.body))
	if got.status != 202 {
		return got
	}
	id, _ := tree(t, got.body).(map[string]any)["operationId"].(string)
	return reply(ask(t, session, c, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="+id, " "))
}

func TestRegisterOverMQTT(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{"no body": "", "an empty object": "{}",
		"a body": `{"registrationId":"sn-1","payload":{"a":1}}`}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := requestlog.New(10)
			w := newWorld(t, registration.Options{Recorder: log})
			settings := keys(key1, key2)
			settings.Hubs = []string{hub1}
			w.enrollGroup(t, state.EnrollmentGroup{ID: "devices", Settings: settings})
			session, c := w.connect(t, attempt{id: "sn-1", token: w.token(t, "sn-1", derived(t, key1, "sn-1"))})

			started := ask(t, session, c, "$dps/registrations/PUT/iotdps-register/?$rid=5b-a", body)
			if want := "$dps/registrations/res/202/?$rid=5b-a&retry-after=0"; started.Topic != want ||
				started.QoS != 1 {
				t.Errorf("got topic %q at QoS %d, want %q at 1", started.Topic, started.QoS, want)
			}
			wantBody(t, string(started.Payload), `{"operationId":"OP","status":"assigning"}`)
			id, _ := tree(t, string(started.Payload)).(map[string]any)["operationId"].(string)

			done := ask(t, session, c, "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=5b-b&operationId="+id,
				" ")
			if want := "$dps/registrations/res/200/?$rid=5b-b"; done.Topic != want {
				t.Errorf("got topic %q, want %q", done.Topic, want)
			}
			wantBody(t, string(
				done.Payload), `{"operationId":"OP","status":"assigned","registrationState":{"registrationId":"sn-1",
				"createdDateTimeUtc":"2026-05-04T03:02:01.1234567Z","assignedHub":"hub-1.azure-devices.net","deviceId":"sn-1",
				"status":"assigned","substatus":"initialAssignment","symmetricKey":{"enrollmentGroupId":"devices"},
				"lastUpdatedDateTimeUtc":"2026-05-04T03:02:01.1234567Z","etag":"ETAG"}}`)
			session.Closed()

			var got []string
			for _, r := range log.Records(requestlog.Filter{Surface: requestlog.MQTTDPS}) {
				path, _, _ := strings.Cut(r.Path, "?")
				got = append(got, r.Method+" "+strings.TrimPrefix(path, w.scope)+" "+r.APIVersion)
			}
			want := []string{
				"CONNECT /registrations/sn-1 2019-03-31",
				"PUBLISH $dps/registrations/PUT/iotdps-register/ 2019-03-31",
				"PUBLISH $dps/registrations/GET/iotdps-get-operationstatus/ 2019-03-31",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request log differs (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	good := w.token(t, "a", key1)
	tests := []struct {
		name, clientID, user, password string
		notMine                        bool
	}{
		{"a hub's user name", "a", hub1 + "/a/?api-version=2021-04-12", good, true},
		{"an empty user name", "a", "", good, true},
		{"no api-version", "a", w.scope + "/registrations/a/", good, false},
		{"an id with a space", "a b", w.user("a b"), good, false},
		{"a client id that is not the registration id", "b", w.user("a"), good, false},
		{"no password", "a", w.user("a"), "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := w.api.Accept(broker.Connect{ClientID: test.clientID, UserName: test.user, Password: test.password,
				Client: &client{}})
			if err == nil || errors.Is(err, broker.ErrNotMine) != test.notMine {
				t.Errorf("got %v, want a refusal (not mine: %v)", err, test.notMine)
			}
			if err != nil && strings.Contains(err.Error(), key1) {
				t.Errorf("the error contains a key: %v", err)
			}
		})
	}
}

func TestRefusalsOverMQTTAreReplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	session, c := w.connect(t, attempt{id: "a", token: w.token(t, "a", key1)})
	const register, poll = "$dps/registrations/PUT/iotdps-register/?$rid=1",
		"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=1&operationId=x"
	want := func(name, topic, body string, status, message string, code int) {
		t.Helper()
		got := ask(t, session, c, topic, body)
		if got.Topic != "$dps/registrations/res/"+status+"/?$rid=1" {
			t.Errorf("%s: got topic %q, want status %s", name, got.Topic, status)
		}
		wantBody(t, string(got.Payload), errorJSON(code, message))
	}
	want("a bad body", register, "{", "400", "The request body is not a valid device registration.", 400004)
	want("an unknown operation", poll, "", "404", "Operation not found.", 404203)
	if err := w.st.DeleteEntry(state.Individuals, w.scope, "a", ""); err != nil {
		t.Fatal(err)
	}
	want("an enrollment deleted meanwhile", register, "", "401", "Unauthorized", 401000)

	// Bad credentials are refused in the reply, not when connecting.
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	for _, bad := range []struct {
		name    string
		device  attempt
		message string
		code    int
	}{
		{"an unknown certificate", attempt{id: "b",
			certificates: chain(issue(t, nil, "b", false, start.Add(time.Hour)))}, "Invalid certificate.", 401002},
		{"a wrong key", attempt{id: "a", token: w.token(t, "a", otherKey)}, "Unauthorized", 401000},
		{"an unknown device", attempt{id: "b", token: w.token(t, "b", key1)}, "Unauthorized", 401000},
		{"an expired token", attempt{id: "a", token: token(t, w.scope+"/registrations/a", sas.Policy, key1, start)},
			"Unauthorized", 401000},
		{"no token", attempt{id: "a", token: "secret"}, "Unauthorized", 401000},
		{"an unknown scope", attempt{id: "a", scope: "0neFFFFFFFF", token: w.token(t, "a", key1)}, "Unauthorized",
			401002},
	} {
		session, c = w.connect(t, bad.device)
		want(bad.name, register, "", "401", bad.message, bad.code)
		want(bad.name+", polling", poll, "", "401", bad.message, bad.code)
	}
}

func TestTopicsOutsideTheContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	session, c := w.connect(t, attempt{id: "a", token: w.token(t, "a", key1)})
	for _, topic := range []string{"", "devices/a/messages/events/", "$dps/registrations/PUT/",
		"$dps/registrations/res/200/?$rid=1"} {
		t.Run(fmt.Sprintf("%q", topic), func(t *testing.T) {
			if err := session.Publish(broker.Message{Topic: topic}); err == nil {
				t.Errorf("publish to %q: got nil, want an error that closes the connection", topic)
			}
		})
	}
	for _, filter := range []string{"#", "$dps/#", "$dps/registrations/res/200/#"} {
		t.Run(filter, func(t *testing.T) {
			if _, err := session.Subscribe(filter, 0); err == nil {
				t.Errorf("subscribe to %q: got nil, want an error that closes the connection", filter)
			}
		})
	}
	session.Unsubscribe(replies)
	if err := session.Publish(broker.Message{Topic: "$dps/registrations/PUT/iotdps-register/?$rid=1"}); err != nil {
		t.Errorf("publish: %v", err)
	}
	if sent := c.take(); len(sent) != 0 {
		t.Errorf("got %d replies without a subscription, want none", len(sent))
	}
}
