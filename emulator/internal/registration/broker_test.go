package registration_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
)

// serve serves the device API with a broker and returns its address.
func serve(t *testing.T, api *registration.API) string {
	t.Helper()
	b, err := broker.New(broker.Options{Fronts: []broker.Front{api}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("make the broker: %v", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- b.Serve(listener) }()
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close the broker: %v", err)
		}
		_ = listener.Close()
		await.Next(t, served, "the end of Serve")
	})
	return listener.Addr().String()
}

func dial(address, id, user, password string) (mqtt.Client, error) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" +
		address).SetClientID(id).SetUsername(user).SetPassword(password).
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(await.Limit))
	connecting := c.Connect()
	if !connecting.WaitTimeout(await.Limit) {
		return nil, errors.New("no answer to CONNECT")
	}
	return c, connecting.Error()
}

// TestAnMQTTClientRegisters uses a client that contains no code of this project.
func TestAnMQTTClientRegisters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, registration.Options{})
	w.enroll(t, state.Enrollment{RegistrationID: "a", Settings: keys(key1, key2)})
	address := serve(t, w.api)

	if _, err := dial(address, "a", w.user("a"), ""); !errors.Is(err, packets.ErrorRefusedNotAuthorised) {
		t.Errorf("no key: got %v, want %v", err, packets.ErrorRefusedNotAuthorised)
	}
	client, err := dial(address, "a", w.user("a"), w.token(t, "a", key1))
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer client.Disconnect(0)
	second, err := dial(address, "a", w.user("a"), w.token(t, "a", key2))
	if err != nil {
		t.Fatalf("connect again: %v", err)
	}
	defer second.Disconnect(0)
	answers := make(chan mqtt.Message, 4)
	wait := func(what string, token mqtt.Token) {
		t.Helper()
		if !token.WaitTimeout(await.Limit) || token.Error() != nil {
			t.Fatalf("%s: no acknowledgement, %v", what, token.Error())
		}
	}
	ask := func(topic string, payload string) string {
		t.Helper()
		wait("publish", client.Publish(topic, 1, false, payload))
		select {
		case m := <-answers:
			return m.Topic() + " " + string(m.Payload())
		case <-time.After(await.Limit):
			t.Fatalf("%s: no reply", topic)
			return ""
		}
	}
	wait("subscribe", client.Subscribe(replies, 1, func(_ mqtt.Client, m mqtt.Message) { answers <- m }))
	topic, body, _ := strings.Cut(ask("$dps/registrations/PUT/iotdps-register/?$rid=1", ""), " ")
	if want := "$dps/registrations/res/202/?$rid=1&retry-after=0"; topic != want {
		t.Errorf("got topic %q, want %q", topic, want)
	}
	id, _ := tree(t, body).(map[string]any)["operationId"].(string)
	got := ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="+id, " ")
	if !strings.HasPrefix(got, "$dps/registrations/res/200/?$rid=2 {") ||
		!strings.Contains(got, `"status":"assigned"`) {
		t.Errorf("got %s, want the assignment", got)
	}
	if !client.IsConnectionOpen() || !second.IsConnectionOpen() {
		t.Error("a second connection of the device ended one of them")
	}
}
