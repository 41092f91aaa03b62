package iothub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"evenkeel/emulator/internal/broker"
	"evenkeel/emulator/internal/iothub"
	"evenkeel/emulator/internal/requestlog"
	"evenkeel/emulator/internal/state"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

// listen serves the hubs with a broker, without TLS, and returns its address.
func (f *fixture) listen() string {
	f.Helper()
	b, err := broker.New(broker.Options{Fronts: []broker.Front{f.hubs}})
	if err != nil {
		f.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	go func() { _ = b.Serve(l) }()
	f.Cleanup(func() { _ = b.Close() })
	return l.Addr().String()
}

// user returns the user name of a device in the format of the SDKs.
func user(id string) string {
	return host + "/" + id + "/?api-version=2021-04-12&DeviceClientType=test"
}

func (f *fixture) deviceToken(id, key string) string { return f.token(host+"/devices/"+id, "", key) }

// options returns those of a device with its own SAS.
func (f *fixture) options(address, id, key string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().AddBroker("tcp://" +
		address).SetClientID(id).SetUsername(user(id)).SetPassword(f.deviceToken(id, key)).
		SetProtocolVersion(4).SetCleanSession(false).SetKeepAlive(180 * time.Second).SetAutoReconnect(false)
}

func (f *fixture) connect(o *mqtt.ClientOptions) mqtt.Client {
	f.Helper()
	c := mqtt.NewClient(o)
	done(f.T, "connect", c.Connect())
	f.Cleanup(func() { c.Disconnect(0) })
	return c
}

func done(t *testing.T, what string, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(await.Limit) {
		t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// subscribe returns the messages that match a filter, as "topic body".
func subscribe(t *testing.T, c mqtt.Client, filter string) <-chan string {
	t.Helper()
	got := make(chan string, 100)
	done(t, "subscribe", c.Subscribe(filter, 0, func(_ mqtt.Client, m mqtt.Message) {
		got <- m.Topic() + " " + string(m.Payload())
	}))
	return got
}

func next(t *testing.T, from <-chan string) string {
	t.Helper()
	return await.Next(t, from, "the next message")
}

func TestTelemetryArrivesWithItsProperties(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.connect(f.options(f.listen(), "d1", f.device("d1")))
	const topic = "devices/d1/messages/events/"
	done(t, "publish", c.Publish(topic+"%24.mid=a%26b&%24.ct=application%2Fjson&room=boiler%2F1&plus=1%2B1&empty", 1,
		false, `{"t":1}`))
	done(t, "publish", c.Publish(topic, 0, true, "kept"))
	done(t, "publish", c.Publish("devices/d1/messages/events", 1, false, "no slash"))
	await.True(t, "the third message", func() bool { return f.hubs.Received(host) == 3 })
	got := f.hubs.Messages(host, "d1")
	if first := fmt.Sprintf("%v %v %s %s", got[0].System, got[0].Properties, got[0].Body, got[0].Protocol); first !=
		`map[ct:application/json mid:a&b] map[empty: plus:1+1 room:boiler/1] {"t":1} mqtt` {
		t.Errorf("got %s", first)
	}
	if second := got[1].Properties["mqtt-retain"]; second != "true" {
		t.Errorf("a retained message: got properties %v", got[1].Properties)
	}
	if len(f.hubs.Messages("hub-2.azure-devices.net", "")) != 0 || len(f.hubs.Messages("", "d2")) != 0 {
		t.Error("messages of another hub or device were found")
	}
}

func TestADeviceReadsAndChangesItsTwin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	f.owner("PATCH", "/twins/d1", `{"tags":{"secret":"of operators"},"properties":{"desired":{"interval":30}}}`).want(t,
		"patch", 200)
	c := f.connect(f.options(f.listen(), "d1", key))
	answers := subscribe(t, c, "$iothub/twin/res/#")
	changes := subscribe(t, c, "$iothub/twin/PATCH/properties/desired/#")

	done(t, "get", c.Publish("$iothub/twin/GET/?$rid=a%20b", 0, false, " "))
	if got, want := next(t, answers),
		`$iothub/twin/res/200/?$rid=a%20b {"desired":{"interval":30,"$version":2},"reported":{"$version":1}}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	done(t, "report", c.Publish("$iothub/twin/PATCH/properties/reported/?$rid=2", 1, false,
		`{"firmware":"1.0","gone":null}`))
	if got, want := next(t, answers), `$iothub/twin/res/204/?$rid=2&$version=2 `; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{"", "{", "[1]"} {
		t.Run(fmt.Sprintf("%.60q", bad), func(t *testing.T) {
			done(t, "report", c.Publish("$iothub/twin/PATCH/properties/reported/?$rid=3", 0, false, bad))
			if got, want := next(
				t, answers), `$iothub/twin/res/400/?$rid=3 {"errorCode":400004,`; !strings.HasPrefix(got, want) {
				t.Errorf("report %q: got %q, want %q", bad, got, want)
			}
		})
	}
	a := f.owner("GET", "/twins/d1", "")
	a.wantField(t, "properties.reported.firmware", "1.0")
	a.wantField(t, "connectionState", "Connected")

	f.owner("PATCH", "/twins/d1", `{"tags":{"x":1}}`).want(t, "patch of tags", 200) // no push
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"interval":60,"mode":null}}}`).want(t, "patch", 200)
	if got, want := next(t, changes),
		`$iothub/twin/PATCH/properties/desired/?$version=3 {"interval":60,"mode":null,"$version":3}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	done(t, "unsubscribe", c.Unsubscribe("$iothub/twin/PATCH/properties/desired/#"))
	f.owner("PATCH", "/twins/d1", `{"properties":{"desired":{"interval":90}}}`).want(t, "patch", 200)
	done(t, "get", c.Publish("$iothub/twin/GET/?$rid=4", 0, false, " "))
	next(t, answers)
	if len(changes) != 0 {
		t.Errorf("a device that unsubscribed got %s", <-changes)
	}
}

func TestConnectionsNeedAValidCredential(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address, key := f.listen(), f.device("d1")
	f.device("other")
	f.owner("PUT", "/devices/off", `{"status":"disabled"}`).want(t, "create", 200)
	off, _ := f.state.Device(host, "off")
	expired, _ := sas.New(host+"/devices/d1", "", key, f.clock.Now())
	for name, tc := range map[string]struct {
		id, user, password string
		ok                 bool
	}{
		"own key":    {"d1", user("d1"), f.deviceToken("d1", key), true},
		"no query":   {"d1", host + "/d1", f.deviceToken("d1", key), true},
		"older form": {"d1", host + "/d1/api-version=2016-11-14", f.deviceToken("d1", key), true},
		"host in capitals": {"d1", strings.ToUpper(host) + "/d1/?api-version=2021-04-12",
			f.deviceToken("d1", key), true},
		"resource with an api-version": {"d1", user("d1"), f.token(host+"/devices/d1/api-version=2016-11-14", "", key),
			true},
		"policy with DeviceConnect": {"d1", user("d1"), f.policy("device"), true},
		"policy without":            {"d1", user("d1"), f.policy("service"), false},
		"wrong key":                 {"d1", user("d1"), f.deviceToken("d1", newKey(t)), false},
		"another device's token":    {"other", user("other"), f.deviceToken("d1", key), false},
		"token for the hub, device key": {"d1", user("d1"), f.token("hub-2.azure-devices.net/devices/d1", "", key),
			false},
		"expired":              {"d1", user("d1"), expired, false},
		"no password":          {"d1", user("d1"), "", false},
		"unknown device":       {"d9", user("d9"), f.deviceToken("d9", key), false},
		"other case of the id": {"D1", user("D1"), f.deviceToken("D1", key), false},
		"disabled":             {"off", user("off"), f.deviceToken("off", off.Key.Primary), false},
		"client id of another": {"other", user("d1"), f.deviceToken("d1", key), false},
		"module":               {"d1/m", user("d1/m"), f.deviceToken("d1", key), false},
		"no such hub": {"d1", "hub-9.azure-devices.net/d1/?api-version=2021-04-12",
			f.deviceToken("d1", key), false},
	} {
		t.Run(name, func(t *testing.T) {
			c := mqtt.NewClient(f.options(address, tc.id, key).SetUsername(tc.user).SetPassword(tc.password))
			token := c.Connect()
			token.WaitTimeout(await.Limit)
			switch err := token.Error(); {
			case tc.ok && err != nil:
				t.Errorf("%s: %v", name, err)
			case !tc.ok && !errors.Is(err, packets.ErrorRefusedNotAuthorised):
				t.Errorf("%s: got %v, want CONNACK 5", name, err)
			}
			c.Disconnect(0)
		})
	}
	var refused, accepted int
	for _, r := range f.log.Records(requestlog.Filter{Surface: requestlog.MQTTHub, Method: "CONNECT"}) {
		if r.Status == 401 {
			refused++
		} else if r.Status == 200 {
			accepted++
		}
	}
	if accepted != 6 || refused != 12 {
		t.Errorf("got %d accepted and %d refused in the request log, want 6 and 12", accepted, refused)
	}
}

// lost makes options report that the connection was lost.
func lost(o *mqtt.ClientOptions) (*mqtt.ClientOptions, <-chan struct{}) {
	gone := make(chan struct{})
	return o.SetConnectionLostHandler(func(mqtt.Client, error) { close(gone) }), gone
}

func TestRevokedConnectionsAreEnded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address := f.listen()
	for name, do := range map[string]func(id, key string, c mqtt.Client){
		"a second connection": func(id, key string, _ mqtt.Client) { f.connect(f.options(address, id, key)) },
		"disabled": func(id, _ string, _ mqtt.Client) {
			f.owner("PUT", "/devices/"+id, `{"status":"disabled"}`, "If-Match", "*").want(t, "disable", 200)
		},
		"deleted": func(id, _ string, _ mqtt.Client) { f.owner("DELETE", "/devices/"+id, "").want(t, "delete", 204) },
		"unknown topic": func(_, _ string, c mqtt.Client) {
			c.Publish("any/topic", 0, false, "x")
		},
		"another device's topic": func(_, _ string, c mqtt.Client) {
			c.Publish("devices/other/messages/events/", 0, false, "x")
		},
		"an answer without a status": func(_, _ string, c mqtt.Client) {
			c.Publish("$iothub/methods/res/ok/?$rid=1", 0, false, "{}")
		},
		"unknown subscription": func(_, _ string, c mqtt.Client) { c.Subscribe("#", 0, nil) },
		"quality of service 2": func(id, _ string, c mqtt.Client) {
			c.Publish("devices/"+id+"/messages/events/", 2, false, "x")
		},
		"properties too large": func(id, _ string, c mqtt.Client) {
			c.Publish("devices/"+id+"/messages/events/a=1", 0, false, make([]byte, 256<<10-1))
		},
		"message too large": func(id, _ string, c mqtt.Client) {
			c.Publish("devices/"+id+"/messages/events/", 0, false, make([]byte, 256<<10+1))
		},
		"deleted at the state, then a message": func(id, _ string, c mqtt.Client) {
			if err := f.state.DeleteDevice(host, id, ""); err != nil {
				t.Error(err)
			}
			c.Publish("devices/"+id+"/messages/events/", 0, false, "x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := strings.NewReplacer(" ", "-", ",", "").Replace(name)
			key := f.device(id)
			o, gone := lost(f.options(address, id, key))
			c := f.connect(o)
			do(id, key, c)
			await.Closed(t, gone, name+": the end of the connection")
		})
	}
	if got := f.hubs.Received(host); got != 0 {
		t.Errorf("got %d messages, want none", got)
	}
}

func TestAConnectionEndsWithItsToken(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	soon, err := sas.New(host+"/devices/d1", "", key, f.clock.Now().Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	// Without the network, over which the second could end before the client has its CONNACK.
	c := &fakeClient{}
	session, err := f.hubs.Accept(broker.Connect{ClientID: "d1", UserName: user("d1"), Password: soon, Client: c})
	if err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the end of the connection with its token", func() error {
		if c.end() == nil {
			return errors.New("the connection outlives its token")
		}
		return nil
	})
	session.Closed()
	if d, err := f.state.Device(host, "d1"); err != nil || d.Connected {
		t.Errorf("got connected %t, %v after the end", d.Connected, err)
	}
}

func TestOneIDAtTwoHubsIsTwoDevices(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	address, key := f.listen(), f.device("d1")
	const second = "hub-2.azure-devices.net"
	if _, err := f.state.PutDevice(second, state.Device{ID: "d1", Key: state.SymmetricKey{Primary: key,
		Secondary: newKey(t)}}, "", true); err != nil {
		t.Fatal(err)
	}
	first := f.connect(f.options(address, "d1", key))
	f.connect(f.options(address, "d1", key).SetUsername(second +
		"/d1/?api-version=2021-04-12").SetPassword(f.token(second+"/devices/d1", "", key)))
	done(t, "publish", first.Publish("devices/d1/messages/events/", 1, false, "x"))
	if f.hubs.Received(host) != 1 || f.hubs.Received(second) != 0 {
		t.Errorf("got %d and %d messages, want 1 and 0", f.hubs.Received(host), f.hubs.Received(second))
	}
	for _, at := range []string{host, second} {
		t.Run(at, func(t *testing.T) {
			if n, err := f.state.Statistics(at); err != nil || n.Connected != 1 {
				t.Errorf("%s: got %+v, %v", at, n, err)
			}
		})
	}
}

// TestPropertiesThatAreNotURLEncodedAreKept: the SDK for C sends them by default, and would reconnect without end if
// the hub closed the connection.
func TestPropertiesThatAreNotURLEncodedAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	c := f.connect(f.options(f.listen(), "d1", key))
	for bag, want := range map[string]string{
		"k=50%":            "map[k:50%]",
		"%=%&a%2=%zz":      "map[%:% a%2:%zz]",
		"k=%C3%B6%":        "map[k:ö%]",
		"k=%F6":            "map[k:%F6]", // not UTF-8
		"k=%C3%B6&l=%41%4": "map[k:ö l:A%4]",
		"%24.ct=100%":      "map[]",
	} {
		t.Run(bag, func(t *testing.T) {
			done(t, bag, c.Publish("devices/d1/messages/events/"+bag, 1, false, "x"))
			kept := f.hubs.Messages(host, "d1")
			if got := fmt.Sprint(kept[len(kept)-1].Properties); got != want {
				t.Errorf("%s: got %s, want %s", bag, got, want)
			}
		})
	}
	if kept := f.hubs.Messages(host, "d1"); len(kept) != 6 {
		t.Errorf("got %d messages, want all 6", len(kept))
	}
}

func TestTheLastWillIsTelemetry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	key := f.device("d1")
	address := f.listen()
	f.connect(f.options(address, "d1", key).SetWill("devices/d1/messages/events/", "gone", 1, false))
	f.connect(f.options(address, "d1", key)) // replaces the first connection, which could not send a DISCONNECT
	await.True(t, "the last will", func() bool {
		return slices.ContainsFunc(f.hubs.Messages(host, "d1"),
			func(m iothub.Message) bool { return string(m.Body) == "gone" })
	})
}

// fakeClient is a client of the broker that records what it receives.
type fakeClient struct {
	sent []broker.Message

	mu     sync.Mutex
	reason error
}

// Send fails after Close, like that of a connection.
func (c *fakeClient) Send(m broker.Message) error {
	if c.end() != nil {
		return broker.ErrClosed
	}
	c.sent = append(c.sent, m)
	return nil
}

func (c *fakeClient) Close(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = reason
}

func (c *fakeClient) Remote() string           { return "test" }
func (c *fakeClient) Context() context.Context { return context.Background() }

// end returns the reason for which the connection was closed, or nil while it is open.
func (c *fakeClient) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

func TestCertificatesAuthenticateByTheirThumbprint(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mine, other := certificate(t, f.clock.Now()), certificate(t, f.clock.Now())
	old := certificate(t, f.clock.Now().Add(-48*time.Hour))
	short, long := sha1.Sum(mine.Raw), sha256.Sum256(mine.Raw)
	oldPrint := sha256.Sum256(old.Raw)
	for id, print := range map[string]string{"short": hex.EncodeToString(short[:]), "long": hex.EncodeToString(long[:]),
		"old": hex.EncodeToString(oldPrint[:])} {
		f.owner("PUT", "/devices/"+id,
			`{"authentication":{"type":"selfSigned","x509Thumbprint":{"secondaryThumbprint":"`+print+`"}}}`).want(t,
			"create", 200)
	}
	key := f.device("key")
	for name, tc := range map[string]struct {
		id, password string
		chain        []*x509.Certificate
		ok           bool
	}{
		"SHA-1":                          {"short", "", []*x509.Certificate{mine}, true},
		"SHA-256":                        {"long", "", []*x509.Certificate{mine, other}, true},
		"other certificate":              {"long", "", []*x509.Certificate{other}, false},
		"other leaf":                     {"long", "", []*x509.Certificate{other, mine}, false},
		"no certificate":                 {"long", "", nil, false},
		"expired":                        {"old", "", []*x509.Certificate{old}, false},
		"certificate for a key device":   {"key", "", []*x509.Certificate{mine}, false},
		"key for a certificate's device": {"long", f.deviceToken("long", key), nil, false},
		"key beside some certificate":    {"key", f.deviceToken("key", key), []*x509.Certificate{mine}, true},
	} {
		t.Run(name, func(t *testing.T) {
			session, err := f.hubs.Accept(broker.Connect{ClientID: tc.id, UserName: user(tc.id), Password: tc.password,
				Certificates: tc.chain, Client: &fakeClient{}})
			if tc.ok != (err == nil) {
				t.Errorf("%s: got %v", name, err)
			}
			if session != nil {
				session.Closed()
			}
		})
	}
}

func TestUnknownUserNamesAreNotAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, name := range []string{"", "0ne00000001/registrations/d1/api-version=2019-03-31", "someone",
		"example.com/d1"} {
		t.Run(fmt.Sprintf("%.60q", name), func(t *testing.T) {
			if _, err := f.hubs.Accept(broker.Connect{ClientID: "d1", UserName: name}); !errors.Is(err,
				broker.ErrNotMine) {
				t.Errorf("%q: got %v, want %v", name, err, broker.ErrNotMine)
			}
		})
	}
}

// certificate returns a self-signed certificate that is valid from the given time for a day.
func certificate(t *testing.T, from time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from.Add(-time.Hour),
		NotAfter: from.Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
