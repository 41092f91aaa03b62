package emulator_test

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/internal/await"
)

// TestChainIsVerifiedAgainstUploadedCertificates uploads a CA over ARM and lets devices come with chains of every
// length.
func TestChainIsVerifiedAgainstUploadedCertificates(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	root := issue(t, nil, "root", true)
	middle := issue(t, root, "middle", true)
	low := issue(t, middle, "low", true)
	y.service("PUT", "/enrollmentGroups/line",
		`{"enrollmentGroupId":"line","attestation":{"type":"x509","x509":{"signingCertificates":{"primary":{"certificate":"`+
			low.base64()+`"}}}}}`)
	upload := func(verified string) {
		path := servicePath + "/certificates/root" + serviceVersion
		y.call("DELETE", path, "")
		y.must("PUT", path, `{"properties":{"certificate":"`+root.base64()+`","isVerified":`+verified+`}}`)
	}
	for name, register := range fronts {
		id := "sn-" + strings.ReplaceAll(name, " ", "-")
		leaf := issue(t, low, id, false)
		try := func(n int) result {
			return register(y, device{scope: y.scope, id: id, certificate: leaf.presented(n)})
		}
		upload("false")
		if got := try(3); got.status != 401 || got.code() != "401002" || got.body["message"] != "Invalid certificate." {
			t.Errorf("%s, unverified root: got %v, want 401002", name, got)
		}
		upload("true")
		for n, want := range []string{"", "", "assigned", "assigned"} {
			got := try(n)
			if got.state("status") != want || want == "" && got.code() != "401002" {
				t.Errorf("%s, %d certificates above the leaf: got %v, want %q", name, n, got, want)
			}
		}
	}
}

// TestAHubIsReachedOverWebSocket connects where the registration has sent the device, over the data port.
func TestAHubIsReachedOverWebSocket(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.enroll("ws-1", keyed)
	hub := y.overWebSocket(y.holding("ws-1", primary)).state("assignedHub")
	connect := func(key string) error {
		o := mqtt.NewClientOptions().AddBroker(strings.Replace(y.e.Endpoints().Data, "https://", "wss://", 1) +
			"/$iothub/websocket").
			SetHTTPHeaders(http.Header{"Host": {hub}}).SetTLSConfig(&tls.Config{RootCAs: y.roots, ServerName: hub}).
			SetClientID("ws-1").SetUsername(hub + "/ws-1/?api-version=2021-04-12").SetPassword(token(t, hub+
			"/devices/ws-1", "", key)).
			SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(await.Limit)
		c := mqtt.NewClient(o)
		if connecting := c.Connect(); !connecting.WaitTimeout(await.Limit) || connecting.Error() != nil {
			return connecting.Error()
		}
		defer c.Disconnect(0)
		y.wait(c.Publish("devices/ws-1/messages/events/", 1, false, "hello over a socket"))
		return nil
	}
	check(t, connect(primary))
	if got := fmt.Sprint(y.e.Messages(hub, "ws-1")); !strings.Contains(got, "ws-1") {
		t.Errorf("got %s, want the device's message", got)
	}
	if err := connect(base64.StdEncoding.EncodeToString([]byte("another key of some length"))); !errors.Is(err,
		packets.ErrorRefusedNotAuthorised) {
		t.Errorf("got %v, want the connection refused", err)
	}
}
