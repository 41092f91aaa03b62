package emulator_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// hubNames are the host names of hub-1, the classic one first.
var hubNames = []string{hub1, "hub-1.device.azure-devices.net", "hub-1.service.azure-devices.net"}

// connect1 connects a device to the MQTT port with a server name, the name of the user name and the one that it signs.
func (y *yard) connect1(id, server, user, signed string) error {
	y.t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" +
		y.e.Endpoints().MQTT).SetClientID(id).SetProtocolVersion(4).
		SetUsername(user + "/" + id + "/?api-version=2021-04-12").SetPassword(token(y.t, signed+"/devices/"+id, "",
		primary)).
		SetTLSConfig(&tls.Config{RootCAs: y.roots,
			ServerName: server}).SetConnectTimeout(await.Limit).SetAutoReconnect(false))
	connecting := c.Connect()
	if !connecting.WaitTimeout(await.Limit) {
		y.t.Fatalf("%s by %s: no answer to CONNECT", id, user)
	}
	defer c.Disconnect(0)
	return connecting.Error()
}

// Sources: "TLS support in IoT Hub"; the tests of azure-iot-sdk-csharp (pull request 3529) sign the name that they
// dial, and a sample of mongoose connects to the device name with the classic one in its user name.
func TestAHubIsReachedByEachOfItsNames(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	if status, body := y.hubCall(hub1, "PUT", "/devices/d1",
		`{"deviceId":"d1","authentication":{"symmetricKey":{"primaryKey":"`+primary+`","secondaryKey":"`+primary+
			`"}}}`); status != 200 {
		t.Fatalf("got %d %v", status, body)
	}
	for _, dialed := range hubNames {
		for _, signed := range hubNames {
			if err := y.connect1("d1", dialed, signed, signed); err != nil {
				t.Errorf("MQTT to %s as %s: %v", dialed, signed, err)
			}
			if err := y.connect1("d1", dialed, dialed, signed); err != nil {
				t.Errorf("MQTT to %s, signed for %s: %v", dialed, signed, err)
			}
			device := token(t, signed+"/devices/d1", "", primary)
			if status, body := y.on(dialed, "POST", "/devices/d1/messages/events?api-version=2021-04-12", "21.5",
				device); status != http.StatusNoContent {
				t.Errorf("telemetry to %s, signed for %s: got %d %v", dialed, signed, status, body)
			}
			key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/hub-1/IotHubKeys/iothubowner", hubVersion)
			owner := token(t, strings.ToUpper(signed), "iothubowner", key)
			if status, body := y.on(dialed, "GET", "/twins/d1?api-version=2021-04-12", "",
				owner); status != http.StatusOK {
				t.Errorf("a twin by %s, signed for %s: got %d %v", dialed, signed, status, body)
			}
		}
	}
	for _, other := range []string{"hub-2.device.azure-devices.net", "device.azure-devices.net",
		"hub-1.devices.azure-devices.net", "x.hub-1.device.azure-devices.net"} {
		if err := y.connect1("d1", hub1, other, other); err == nil {
			t.Errorf("MQTT as %s: got no error", other)
		}
		if err := y.connect1("d1", hub1, hub1, other); err == nil {
			t.Errorf("MQTT signed for %s: got no error", other)
		}
	}
	if got := len(y.e.Messages("hub-1.device.azure-devices.net", "d1")); got != len(hubNames)*len(hubNames) {
		t.Errorf("got %d messages by the device name, want %d", got, len(hubNames)*len(hubNames))
	}
}

// TestTheCertificateOfAHubHasTheNameThatIsDialed: clients verify the name that they dial.
func TestTheCertificateOfAHubHasTheNameThatIsDialed(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	for _, address := range []string{strings.TrimPrefix(y.e.Endpoints().Data, "https://"), y.e.Endpoints().MQTT} {
		t.Run(address, func(t *testing.T) {
			for _, name := range hubNames {
				config := &tls.Config{RootCAs: y.roots, ServerName: name, MinVersion: tls.VersionTLS12}
				c, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", address)
				if err != nil {
					t.Errorf("%s at %s: %v", name, address, err)
					continue
				}
				check(t, c.Close())
			}
		})
	}
}

// TestADeviceGetsTheLinkedNameOfItsHub: assignedHub is the linked name, as the live tests of azure-iot-cli-extension
// show (test_dps_linked_hub_int). Each name of the hub in an enrollment means the same hub, and a change of the name
// moves nothing.
func TestADeviceGetsTheLinkedNameOfItsHub(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/hub-1/IotHubKeys/iothubowner", hubVersion)
	link := func(names ...string) (int, map[string]any) {
		var links []string
		for _, name := range names {
			links = append(links, ownerLinkJSON(name, key))
		}
		return y.call("PUT", servicePath+newVersion, strings.Replace(linkedJSON(strings.Join(links, ",")), `"S1"`,
			`"S1","capacity":1`, 1))
	}
	device := hubNames[1]
	if status, body := link(device); status != http.StatusCreated {
		t.Fatalf("link the device name: got %d %v", status, body)
	}
	properties, _ := y.must("GET", servicePath+newVersion, "")["properties"].(map[string]any)
	links, _ := properties["iotHubs"].([]any)
	if shown, _ := links[0].(map[string]any); shown["name"] != device || shown["hostName"] != device {
		t.Errorf("got the link %v, want its names to be %s", shown, device)
	}
	for name, register := range fronts {
		for i, named := range []string{"", `,"allocationPolicy":"hashed","iotHubs":["` + hub1 + `"]`,
			`,"iotHubHostName":"` + device + `"`} {
			id := strings.ReplaceAll(name, " ", "-") + string(rune('a'+i))
			y.enroll(id, keyed+named)
			if got := register(y, y.holding(id, primary)); got.state("assignedHub") != device ||
				got.state("substatus") != "initialAssignment" {
				t.Errorf("%s%s: got %v, want it on %s", name, named, got, device)
			}
			if err := y.connect1(id, device, device, device); err != nil {
				t.Errorf("%s%s: connect to the assigned hub: %v", name, named, err)
			}
		}
	}
	// The hub is linked under its classic name again: the devices stay where they are, with their twins.
	y.enroll("stays", keyed)
	register := fronts["HTTPS"]
	register(y, y.holding("stays", primary))
	if status, body := y.hubCall(hub1, "PATCH", "/twins/stays", `{"tags":{"own":"tag"}}`); status != 200 {
		t.Fatalf("got %d %v", status, body)
	}
	link(hub1)
	if got := register(y, y.holding("stays", primary)); got.state("assignedHub") != hub1 ||
		got.state("substatus") != "reprovisionedToInitialAssignment" {
		t.Errorf("after the name changed: got %v, want the device kept on the hub", got)
	}
	y.twinOf(hub1, "stays", `{"own":"tag"}`, `{}`)
	// Both names can be linked; the one for the service API cannot, and neither can one name twice.
	if status, body := link(hub1, device); status != http.StatusCreated {
		t.Errorf("both names: got %d %v", status, body)
	}
	for _, names := range [][]string{{hubNames[2]}, {device, device}} {
		if status, body := link(names...); status != http.StatusBadRequest {
			t.Errorf("%v: got %d %v, want 400", names, status, body)
		}
	}
}

// TestAMaskedKeyIsKeptWhenTheLinkedNameChanges: the Azure CLI sends hostName beside the connection string that it read.
func TestAMaskedKeyIsKeptWhenTheLinkedNameChanges(t *testing.T) {
	t.Parallel()
	y := newYard(t, emulator.Options{})
	y.must("PUT", servicePath+newVersion,
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"iotHubs":[{"location":"westeurope",`+
			`"hostName":"hub-1.device.azure-devices.net","connectionString":"HostName=hub-1.azure-devices.net;SharedAccessKeyName=iothubowner;SharedAccessKey=****"}]}}`)
	y.enroll("sn-1", keyed)
	if got := fronts["HTTPS"](y, y.holding("sn-1", primary)); got.state("assignedHub") != hubNames[1] {
		t.Errorf("got %v, want it on %s", got, hubNames[1])
	}
}
