package emulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// newChain makes an authority and a device's certificate that it signed.
func newChain(t *testing.T, device string) (authority []byte, leaf tls.Certificate) {
	t.Helper()
	template := func(serial int64, name string, ca bool) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
			IsCA:      ca,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	root := template(1, "devices", true)
	authority, err = x509.CreateCertificate(rand.Reader, root, root, &rootKey.PublicKey, rootKey)
	check(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template(2, device, false), root, &leafKey.PublicKey, rootKey)
	check(t, err)
	return authority, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: leafKey}
}

// TestDevicesAuthenticateByTheHubsCAs uses ARM and TLS: a certificate is accepted only once it is verified, and keys
// are rejected once the hub disables them.
func TestDevicesAuthenticateByTheHubsCAs(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	w := plain(t, e)
	owner := withHub(t, w, `"disableDeviceSAS":true`)
	if status, body := w.on(hubHost, "PUT", "/devices/device-2"+apiVersion,
		`{"deviceId":"device-2","authentication":{"type":"certificateAuthority"}}`, owner); status != http.StatusOK {
		t.Fatalf("put the device: got %d %v", status, body)
	}
	authority, leaf := newChain(t, "device-2")
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(e.Endpoints().CAPEM)
	config := &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{leaf}, ServerName: hubHost}

	connect := func() error {
		c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + e.Endpoints().MQTT).SetClientID("device-2").
			SetUsername(hubHost + "/device-2/" + apiVersion).SetProtocolVersion(
			4).SetTLSConfig(config).SetAutoReconnect(false))
		token := c.Connect()
		token.WaitTimeout(time.Minute)
		c.Disconnect(0)
		return token.Error()
	}
	device := &wire{t: t, e: e, http: &http.Client{Transport: &http.Transport{TLSClientConfig: config},
		Timeout: await.Limit}}
	t.Cleanup(device.http.CloseIdleConnections)
	send := func() int {
		r, err := http.NewRequestWithContext(t.Context(), "POST", e.Endpoints().Data+
			"/devices/device-2/messages/events"+apiVersion, strings.NewReader("x"))
		check(t, err)
		r.Host = hubHost
		response, err := device.http.Do(r)
		check(t, err)
		check(t, response.Body.Close())
		return response.StatusCode
	}
	for _, verified := range []bool{false, true} {
		if verified {
			w.must("DELETE", hubPath+"/certificates/devices"+hubVersion, "")
		}
		body := `{"properties":{"certificate":"` + base64.StdEncoding.EncodeToString(authority) + `","isVerified":` +
			map[bool]string{true: "true", false: "false"}[verified] + `}}`
		w.must("PUT", hubPath+"/certificates/devices"+hubVersion, body)
		if err := connect(); (err == nil) != verified {
			t.Errorf("MQTT with verified=%t: got %v", verified, err)
		}
		if status := send(); (status == http.StatusNoContent) != verified {
			t.Errorf("HTTPS with verified=%t: got %d", verified, status)
		}
	}
	status, _ := w.on(hubHost, "POST", "/devices/device-1/messages/events"+apiVersion, "x",
		token(t, hubHost+"/devices/device-1", "", knownKey))
	if status != http.StatusUnauthorized {
		t.Errorf("a device with a key: got %d, want 401", status)
	}
}
