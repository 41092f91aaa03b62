package emulator_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// written is the snapshot of everything.
func (w *wire) written() string {
	w.t.Helper()
	var b bytes.Buffer
	check(w.t, w.e.WriteSnapshot(&b))
	return b.String()
}

// TestASnapshotEqualsItselfAfterARestoreWithConnectedDevices: devices lose their connections, and what these do in
// their end leaves no trace.
func TestASnapshotEqualsItselfAfterARestoreWithConnectedDevices(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	hub := l.overHTTPS(l.holding("device-1", primary)).state("assignedHub")
	password := token(t, hub+"/devices/device-1", "", primary)
	for _, restored := range []func() error{
		func() error { return l.e.RestoreSnapshot("before") },
		func() error {
			var b bytes.Buffer
			return errors.Join(l.e.WriteSnapshot(&b), l.e.Seed(&b))
		},
	} {
		device := l.connect(hub, "device-1", password)
		l.wait(device.Subscribe("devices/device-1/messages/devicebound/#", 0, nil))
		l.wait(device.Publish("devices/device-1/messages/events/", 1, false, "x"))
		check(t, l.e.SaveSnapshot("before"))
		want := l.written()
		check(t, restored())
		if got := l.written(); got != want {
			t.Fatalf("the snapshot of the restored differs from the one restored:\n%s\nwant\n%s", got, want)
		}
		await.Until(t, "the end of the connection", func() error {
			if device.IsConnectionOpen() {
				return errors.New("the device is still connected")
			}
			return nil
		})
		device.Disconnect(0)
		await.Until(t, "the end of every session", func() error {
			if n := emulator.Connections(l.e); n != 0 {
				return fmt.Errorf("%d are open", n)
			}
			return nil
		})
		if got := l.written(); got != want {
			t.Fatalf("the end of the connection left something:\n%s\nwant\n%s", got, want)
		}
	}
}

func TestAResetLeavesNothingOfAConnectedDevice(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("device-1", keyed)
	hub := y.overHTTPS(y.holding("device-1", primary)).state("assignedHub")
	y.connect(hub, "device-1", token(t, hub+"/devices/device-1", "", primary))
	check(t, y.e.Reset())
	await.Until(t, "the end of every session", func() error {
		if n := emulator.Connections(y.e); n != 0 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})
	if got := y.written(); strings.Contains(got, "device") {
		t.Errorf("got %s after a reset, want no trace of the device", got)
	}
}

// TestARotationOfACertificateEndsTheConnectionWithTheOldOne in each way to rotate it; the device connects with the new
// one.
func TestARotationOfACertificateEndsTheConnectionWithTheOldOne(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	owner := withHub(t, w, "")
	print := func(leaf tls.Certificate) string {
		sum := sha256.Sum256(leaf.Certificate[0])
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	entry := func(leaf tls.Certificate) string {
		return `{"id":"x","deviceId":"x","importMode":"update","authentication":{"type":"selfSigned",` +
			`"x509Thumbprint":{"primaryThumbprint":"` + print(leaf) + `"}}}`
	}
	connect := func(leaf tls.Certificate) (mqtt.Client, error) {
		config := w.http.Transport.(*http.Transport).TLSClientConfig.Clone()
		config.Certificates = []tls.Certificate{leaf}
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + e.Endpoints().MQTT).SetClientID("x").
			SetUsername(hubHost + "/x/" + apiVersion).SetProtocolVersion(
			4).SetTLSConfig(config).SetAutoReconnect(false))
		connecting := c.Connect()
		if !connecting.WaitTimeout(await.Limit) {
			t.Fatal("no answer to CONNECT")
		}
		t.Cleanup(func() { c.Disconnect(0) })
		return c, connecting.Error()
	}
	_, present := newChain(t, "x")
	if status, body := w.on(hubHost, "PUT", "/devices/x"+apiVersion, entry(present), owner); status != http.StatusOK {
		t.Fatalf("put the device: got %d %v", status, body)
	}
	for name, rotate := range map[string]func(leaf tls.Certificate) (int, map[string]any){
		"the registry": func(leaf tls.Certificate) (int, map[string]any) {
			return w.on(hubHost, "PUT", "/devices/x"+apiVersion, entry(leaf), owner, "If-Match", "*")
		},
		"a bulk operation": func(leaf tls.Certificate) (int, map[string]any) {
			return w.on(hubHost, "POST", "/devices"+apiVersion, "["+entry(leaf)+"]", owner)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := connect(present)
			check(t, err)
			old := present
			_, present = newChain(t, "x")
			if status, body := rotate(present); status != http.StatusOK {
				t.Fatalf("%s: got %d %v", name, status, body)
			}
			await.Until(t, name+": the end of the connection", func() error {
				if c.IsConnectionOpen() {
					return errors.New("the connection with the revoked certificate is open")
				}
				return nil
			})
			if _, err := connect(old); err == nil {
				t.Errorf("%s: the old certificate connects again", name)
			}
		})
	}
	if _, err := connect(present); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
}
