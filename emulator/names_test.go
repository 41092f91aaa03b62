package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// azurePorts are ports that are free now, instead of 443, 8883 and 5671. They are below those that the system
// gives to connections.
func azurePorts(t *testing.T) (ports emulator.AzurePorts) {
	t.Helper()
	for _, port := range []*int{&ports.HTTPS, &ports.MQTT, &ports.AMQP} {
		var held net.Listener
		await.Until(t, "a free port", func() (err error) {
			held, err = net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", 10_000+rand.IntN(10_000)))
			return err
		})
		defer held.Close()
		*port = held.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// runNamed is RunT on these ports, or on others if another process takes one before the start.
func runNamed(t *testing.T, o emulator.Options) (*emulator.Emulator, emulator.AzurePorts) {
	t.Helper()
	var started *emulator.Emulator
	await.Until(t, "an emulator on free ports", func() error {
		o.AzurePorts = azurePorts(t)
		e, err := emulator.New(o)
		check(t, err)
		if err := emulator.StartOnFreePorts(e); err != nil {
			return errors.Join(err, e.Close())
		}
		started = e
		return nil
	})
	t.Cleanup(func() { check(t, started.Close()) })
	return started, o.AzurePorts
}

// withService makes a provisioning service linked to hub-1, with an enrollment of device-1; it returns the ID scope.
func withService(t *testing.T, w *wire) (scope string) {
	t.Helper()
	const host = "dps-1.azure-devices-provisioning.net"
	w.must("PUT", servicePath+serviceVersion, strings.Replace(
		linkedJSON(linkJSON(hubHost, w.firstKey(hubPath+"/IotHubKeys/iothubowner", hubVersion))), "KeyName=p;",
		"KeyName=iothubowner;", 1))
	owner := token(t, host, "provisioningserviceowner", w.firstKey(servicePath+"/keys/provisioningserviceowner",
		serviceVersion))
	status, body := w.on(host, "PUT", "/enrollments/device-1?api-version=2021-10-01",
		`{"registrationId":"device-1","attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"`+knownKey+
			`","secondaryKey":"`+knownKey+`"}}}`, owner)
	if status != http.StatusOK {
		t.Fatalf("put the enrollment: got %d %v", status, body)
	}
	scope, _ = w.must("GET", servicePath+serviceVersion, "")["properties"].(map[string]any)["idScope"].(string)
	return scope
}

// assigned registers device-1 over an address and returns the hub that it gets.
func assigned(w *wire, address, scope string) string {
	w.t.Helper()
	device := token(w.t, scope+"/registrations/device-1", "registration", knownKey)
	path := "/" + scope + "/registrations/device-1"
	status, body := w.at(address, "PUT", path+"/register?api-version=2019-03-31", `{"registrationId":"device-1"}`,
		device)
	if status != http.StatusAccepted {
		w.t.Fatalf("register: got %d %v", status, body)
	}
	_, body = w.at(address, "GET", fmt.Sprintf("%s/operations/%s?api-version=2019-03-31", path, body["operationId"]),
		"", device)
	result, _ := body["registrationState"].(map[string]any)
	hub, _ := result["assignedHub"].(string)
	if hub == "" {
		w.t.Fatalf("register: got %v, want a hub", body)
	}
	return hub
}

// at sends a request to an address, as a client does that knows no other name for it.
func (w *wire) at(address, method, path, body, authorization string) (int, map[string]any) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://"+address+path, strings.NewReader(body))
	check(w.t, err)
	r.Header.Set("Authorization", authorization)
	response, err := w.http.Do(r)
	check(w.t, err)
	return answer(w.t, response)
}

// dial connects device-1 over MQTT under the name of a hub that the client knows.
func dial(w *wire, address, name string) error {
	w.t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.e.Endpoints().CAPEM)
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + address).SetClientID("device-1").SetUsername(name +
		"/device-1/" + apiVersion).
		SetPassword(token(w.t, name+"/devices/device-1", "",
			knownKey)).SetProtocolVersion(4).SetTLSConfig(&tls.Config{RootCAs: pool}).SetAutoReconnect(false))
	connect := c.Connect()
	connect.WaitTimeout(time.Minute)
	c.Disconnect(0)
	return connect.Error()
}

func TestEachHostHasALoopbackAddress(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has all of 127.0.0.0/8 without set-up")
	}
	options := emulator.Options{Dir: t.TempDir(), Names: emulator.NamesLoopback}
	e, ports := runNamed(t, options)
	w := plain(t, e)
	owner := withHub(t, w, "")
	scope := withService(t, w)
	https := func(address string) string { return net.JoinHostPort(address, strconv.Itoa(ports.HTTPS)) }
	secure := func(address string) string { return net.JoinHostPort(address, strconv.Itoa(ports.MQTT)) }

	address := assigned(w, https("127.0.0.1"), scope)
	if ip := net.ParseIP(address); ip == nil || !ip.IsLoopback() || address == "127.0.0.1" ||
		address != e.HubAddress(hubHost) {
		t.Fatalf("a device got %q, want the hub's own loopback address", address)
	}
	for _, name := range hubNames {
		if got := e.HubAddress(name); got != address {
			t.Errorf("%s has the address %q, want that of the hub, %s", name, got, address)
		}
	}
	if r, err := e.Registration(scope, "device-1"); err != nil || r.Hub != hubHost {
		t.Errorf("got %+v, %v; want the hub's host name kept", r, err)
	}
	// Both names are good, wherever the client dials.
	for _, name := range []string{address, hubHost} {
		check(t, dial(w, secure(address), name))
		check(t, dial(w, e.Endpoints().MQTT, name))
		status, body := w.at(https(address), "POST", "/devices/device-1/messages/events"+apiVersion, "x",
			token(t, name+"/devices/device-1", "", knownKey))
		if status != http.StatusNoContent {
			t.Errorf("telemetry of %s over HTTPS: got %d %v", name, status, body)
		}
	}
	service := token(t, address, "iothubowner", w.firstKey(hubPath+"/IotHubKeys/iothubowner", hubVersion))
	for _, authorization := range []string{owner, service} {
		if status, body := w.at(https(address), "GET", "/devices/device-1"+apiVersion, "",
			authorization); status != http.StatusOK {
			t.Errorf("the registry: got %d %v", status, body)
		}
	}
	if err := dial(w, secure(address), "127.0.0.99"); err == nil {
		t.Error("the address of no hub is taken for this one's")
	}

	// So has the provisioning service, for its service API and its devices.
	const host = "dps-1.azure-devices-provisioning.net"
	own := e.HubAddress(host)
	if own == address || !strings.HasPrefix(own, "127.0.0.") {
		t.Fatalf("the provisioning service has the address %q, want a separate one", own)
	}
	if got := assigned(w, https(own), scope); got != address {
		t.Errorf("a device that registers at %s got %s, want %s", own, got, address)
	}
	key := w.firstKey(servicePath+"/keys/provisioningserviceowner", serviceVersion)
	for name, want := range map[string]int{host: http.StatusOK, own: http.StatusOK, address: http.StatusUnauthorized} {
		t.Run(name, func(t *testing.T) {
			status, body := w.at(https(own), "GET", "/enrollments/device-1?api-version=2021-10-01", "",
				token(t, name, "provisioningserviceowner", key))
			if status != want {
				t.Errorf("the service API with a token for %s: got %d %v, want %d", name, status, body, want)
			}
		})
	}

	// Hubs come and go, and keep their address.
	second := strings.Replace(hubPath, "hub-1", "hub-2", 1)
	w.must("PUT", second+hubVersion, hubJSON)
	other := e.HubAddress("hub-2.azure-devices.net")
	if other == address {
		t.Error("two hubs have one address")
	}
	w.must("DELETE", second+hubVersion, "")
	await.Until(t, "the end of the deleted hub", func() error {
		if c, err := net.Dial("tcp", https(other)); !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				_ = c.Close()
			}
			return fmt.Errorf("the address of a deleted hub: got %v, want a refused connection", err)
		}
		return nil
	})
	check(t, e.Close())
	e, ports = runNamed(t, options)
	if got := e.HubAddress(hubHost); got != address {
		t.Errorf("got %s after a restart, want %s", got, address)
	}
	check(t, dial(&wire{t: t, e: e}, secure(address), address))
}

func TestAzuresNamesOnAzuresPorts(t *testing.T) {
	t.Parallel()
	e, ports := runNamed(t, emulator.Options{Names: emulator.NamesAzure})
	w := plain(t, e)
	withHub(t, w, "")
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.HTTPS))
	if got := assigned(w, at, withService(t, w)); got != hubHost {
		t.Errorf("a device got %q, want %s", got, hubHost)
	}
	check(t, dial(w, net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.MQTT)), hubHost))

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
	amqp, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(ports.AMQP)),
		&tls.Config{RootCAs: roots, ServerName: hubHost})
	check(t, err)
	defer amqp.Close()
	check(t, amqp.SetDeadline(time.Now().Add(time.Minute)))
	const header = "AMQP\x00\x01\x00\x00"
	_, err = io.WriteString(amqp, header)
	check(t, err)
	answer := make([]byte, len(header))
	if _, err := io.ReadFull(amqp, answer); err != nil || string(answer) != header {
		t.Errorf("got %q, %v on the port of AMQP, want its header before it refuses", answer, err)
	}
}

func TestNamesThatCannotBeServed(t *testing.T) {
	t.Parallel()
	if _, err := emulator.New(emulator.Options{Names: "other"}); err == nil ||
		!strings.Contains(err.Error(), `use map, loopback or azure`) {
		t.Errorf("got %v", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	ports := azurePorts(t)
	ports.MQTT = taken.Addr().(*net.TCPAddr).Port
	e, err := emulator.New(emulator.Options{Names: emulator.NamesLoopback, AzurePorts: ports})
	check(t, err)
	defer e.Close()
	if err := e.Start(); err == nil || !strings.Contains(err.Error(), "the port is in use by another process") {
		t.Errorf("got %v", err)
	}
}
