package emulator_test

import (
	"fmt"
	"net/http"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// device1 connects device-1 of hub-1 over MQTT without a clean session; what comes for it goes to arrived.
func (w *wire) device1(arrived chan<- string) mqtt.Client {
	w.t.Helper()
	o := mqtt.NewClientOptions().AddBroker("ssl://" +
		w.e.Endpoints().MQTT).SetClientID("device-1").SetUsername(hubHost + "/device-1/" + apiVersion).
		SetPassword(token(w.t, hubHost+"/devices/device-1", "",
			knownKey)).SetTLSConfig(w.http.Transport.(*http.Transport).TLSClientConfig.Clone()).SetCleanSession(false).
		SetAutoReconnect(false).SetProtocolVersion(4).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { arrived <- string(m.Payload()) })
	c := mqtt.NewClient(o)
	wait(w.t, c.Connect())
	return c
}

func wait(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(await.Limit) {
		t.Fatal("no answer over MQTT")
	}
	check(t, token.Error())
}

func TestASessionSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	arrived := make(chan string, 10)
	want := func(body string) {
		t.Helper()
		if got := await.Next(t, arrived, body); got != body {
			t.Errorf("got %q, want %q", got, body)
		}
	}
	run := func(use func(*wire)) {
		t.Helper()
		e, err := emulator.New(emulator.Options{Dir: dir})
		check(t, err)
		defer func() { check(t, e.Close()) }()
		check(t, emulator.StartOnFreePorts(e))
		use(plain(t, e))
	}
	run(func(w *wire) {
		owner := withHub(t, w, "")
		c := w.device1(arrived)
		wait(t, c.Subscribe("devices/device-1/messages/devicebound/#", 1, nil))
		check(t, w.e.Send(hubHost, "device-1", emulator.CloudMessage{Body: []byte("at once")}))
		want("at once")
		// The client hands a message out before it acknowledges it, and what is not acknowledged comes again.
		await.Until(t, "the acknowledgement", func() error {
			if _, device := w.on(hubHost, "GET", "/devices/device-1"+apiVersion, "",
				owner); device["cloudToDeviceMessageCount"] != 0.0 {
				return fmt.Errorf("got %v, want the first message acknowledged", device)
			}
			return nil
		})
		c.Disconnect(250)
		check(t, w.e.Send(hubHost, "device-1", emulator.CloudMessage{Body: []byte("while it was away")}))
	})
	run(func(w *wire) {
		check(t, w.e.Send(hubHost, "device-1", emulator.CloudMessage{Body: []byte("after the restart")}))
		c := w.device1(arrived)
		want("while it was away")
		want("after the restart")
		c.Disconnect(250)
	})
}
