package emulator_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// client trusts the emulator's CA and sends every request to its data port, whatever the host.
func client(t *testing.T, e *emulator.Emulator) *http.Client {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(e.Endpoints().CAPEM) {
		t.Fatal("got no CA certificate")
	}
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: await.Limit}
}

func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	response, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestControlPortReportsReady(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	status, body := get(t, await.Client, e.Endpoints().Control+"/readyz")
	var ready struct{ Status, ARM, Data, MQTT string }
	if err := json.Unmarshal([]byte(body), &ready); err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK || ready.Status != "ready" || ready.ARM != e.Endpoints().ARM {
		t.Errorf("got %d %s, want 200, ready and the ARM address %s", status, body, e.Endpoints().ARM)
	}
	if status, _ := get(t, await.Client, e.Endpoints().Control+"/healthz"); status != http.StatusOK {
		t.Errorf("got %d from /healthz, want 200", status)
	}
}

func TestListenersAreTrustedByTheCA(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	status, body := get(t, client(t, e), e.Endpoints().ARM+"/metadata/endpoints?api-version=2022-09-01")
	if status != http.StatusOK {
		t.Errorf("got %d %s, want 200", status, body)
	}
}

func TestPortsAreRemembered(t *testing.T) {
	t.Parallel()
	start := func(dir string) (emulator.Endpoints, error) {
		e, err := emulator.New(emulator.Options{Dir: dir})
		check(t, err)
		defer func() { check(t, e.Close()) }()
		err = e.Start()
		return e.Endpoints(), err
	}
	// The ports are free meanwhile. If another process takes one, the test tries other ports.
	await.Until(t, "two starts on the same ports", func() error {
		dir := t.TempDir()
		want, err := start(dir)
		check(t, err)
		got, err := start(dir)
		if taken := (*emulator.PortTakenError)(nil); errors.As(err, &taken) {
			return err
		}
		check(t, err)
		if got.ARM != want.ARM || got.Data != want.Data || got.MQTT != want.MQTT || got.Control != want.Control {
			t.Errorf("got %+v, want the ports of the first start, %+v", got, want)
		}
		if got.ClientSecret != want.ClientSecret || string(got.CAPEM) != string(want.CAPEM) {
			t.Error("got another secret or CA than at the first start")
		}
		return nil
	})
}

func TestTakenPortNamesSurfaceAndAddress(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, text, _ := net.SplitHostPort(taken.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	e, err := emulator.New(emulator.Options{Ports: emulator.Ports{MQTT: port}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var portTaken *emulator.PortTakenError
	if err := e.Start(); !errors.As(err, &portTaken) {
		t.Fatalf("got %v, want a PortTakenError", err)
	}
	if portTaken.Surface != "mqtt" || portTaken.Address != taken.Addr().String() {
		t.Errorf("got %s on %s, want mqtt on %s", portTaken.Surface, portTaken.Address, taken.Addr())
	}
}

func TestRefusesToListenOffLoopback(t *testing.T) {
	t.Parallel()
	if e, err := emulator.New(emulator.Options{Host: "0.0.0.0"}); err == nil {
		_ = e.Close()
		t.Error("got an emulator on 0.0.0.0, want an error")
	}
}
