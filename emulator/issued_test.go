package emulator_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"evenkeel/emulator"
	"evenkeel/internal/await"
)

// policyNames are the members of an enrollment under which certificates are issued.
const policyNames = `,"namespaceName":"ns-1","certificateAuthorityName":"issuing","certificatePolicyName":"leaves"`

// enrollNamed makes or replaces an individual enrollment that names a certificate policy.
func (y *yard) enrollNamed(id, more string) {
	y.t.Helper()
	status, answer := y.on(serviceHost, "PUT", "/enrollments/"+id+"?api-version=2026-11-01",
		fmt.Sprintf(`{"registrationId":%q,%s%s}`, id, more, policyNames), y.owner)
	if status != http.StatusOK || answer["certificatePolicyName"] != "leaves" {
		y.t.Fatalf("enroll %s: got %d %v", id, status, answer)
	}
}

// asking is a device with a key that asks for a certificate, and the key of the request.
func (y *yard) asking(id string) (device, *ecdsa.PrivateKey) {
	y.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(y.t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader,
		&x509.CertificateRequest{Subject: pkix.Name{CommonName: id}}, key)
	check(y.t, err)
	d := y.holding(id, primary)
	d.version = "2026-11-01"
	d.body = fmt.Sprintf(`{"registrationId":%q,"csr":%q}`, id, base64.StdEncoding.EncodeToString(der))
	return d, key
}

// issued returns what TLS presents of an issued chain.
func (r result) issued(t *testing.T, key *ecdsa.PrivateKey) tls.Certificate {
	t.Helper()
	s, _ := r.body["registrationState"].(map[string]any)
	texts, _ := s["issuedCertificateChain"].([]any)
	made := tls.Certificate{PrivateKey: key}
	for _, text := range texts {
		der, err := base64.StdEncoding.DecodeString(text.(string))
		check(t, err)
		made.Certificate = append(made.Certificate, der)
	}
	if len(made.Certificate) != 3 {
		t.Fatalf("got %v, want a chain of three certificates", r)
	}
	return made
}

// hubWays are the ways to a hub; each returns whether the hub accepts the device with that certificate.
var hubWays = map[string]func(y *yard, host, id string, c tls.Certificate) bool{
	"MQTT": func(y *yard, host, id string, c tls.Certificate) bool {
		return y.connects(host, id, c, func(o *mqtt.ClientOptions) { o.AddBroker("tls://" + y.e.Endpoints().MQTT) })
	},
	"WebSocket": func(y *yard, host, id string, c tls.Certificate) bool {
		return y.connects(host, id, c, func(o *mqtt.ClientOptions) {
			o.AddBroker(strings.Replace(y.e.Endpoints().Data, "https://", "wss://", 1) + "/$iothub/websocket").
				SetHTTPHeaders(http.Header{"Host": {host}})
		})
	},
	"HTTPS": func(y *yard, host, id string, c tls.Certificate) bool {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: y.roots, ServerName: host,
			Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}}
		defer transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(y.t.Context(), "POST",
			y.e.Endpoints().Data+"/devices/"+id+"/messages/events?api-version=2021-04-12", strings.NewReader("x"))
		check(y.t, err)
		r.Host = host
		response, err := (&http.Client{Transport: transport, Timeout: await.Limit}).Do(r)
		check(y.t, err)
		check(y.t, response.Body.Close())
		return response.StatusCode == http.StatusNoContent
	},
}

func (y *yard) connects(host, id string, c tls.Certificate, dial func(*mqtt.ClientOptions)) bool {
	y.t.Helper()
	o := mqtt.NewClientOptions().SetClientID(id).SetUsername(host + "/" + id + "/?api-version=2021-04-12").
		SetProtocolVersion(4).SetAutoReconnect(false).SetConnectTimeout(await.Limit).
		SetTLSConfig(&tls.Config{RootCAs: y.roots, ServerName: host, Certificates: []tls.Certificate{c},
			MinVersion: tls.VersionTLS12})
	dial(o)
	client := mqtt.NewClient(o)
	connecting := client.Connect()
	if !connecting.WaitTimeout(await.Limit) {
		y.t.Fatalf("%s: no answer to CONNECT", id)
	}
	defer client.Disconnect(0)
	return connecting.Error() == nil
}

// atHub checks over every way whether the hub accepts a device.
func (y *yard) atHub(what, host, id string, c tls.Certificate, want bool) {
	y.t.Helper()
	for name, way := range hubWays {
		if got := way(y, host, id, c); got != want {
			y.t.Errorf("%s over %s: let in %v, want %v", what, name, got, want)
		}
	}
}

// TestADeviceConnectsWithAnIssuedCertificate registers over every way and connects over every way, without an upload.
func TestADeviceConnectsWithAnIssuedCertificate(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	for name, register := range fronts {
		id := "sn-" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
		y.enrollNamed(id, keyed)
		d, key := y.asking(id)
		got := register(y, d)
		host, own := got.state("assignedHub"), got.issued(t, key)
		y.atHub(name, host, id, own, true)
		if status, body := y.hubCall(host, "GET", "/devices/"+id, ""); status != http.StatusOK ||
			body["authentication"].(map[string]any)["type"] != "certificateAuthority" {
			t.Errorf("%s: got the hub's device %d %v, want one of a certificate authority", name, status, body)
		}
		// Its key is for the provisioning service only.
		if status, _ := y.on(host, "POST", "/devices/"+id+"/messages/events"+apiVersion, "x",
			token(t, host+"/devices/"+id, "", primary)); status != http.StatusUnauthorized {
			t.Errorf("%s: got %d with the key, want 401", name, status)
		}
		// Registered again, with another key: both certificates are good while they are valid.
		d, next := y.asking(id)
		got = register(y, d)
		if got.state("substatus") != "reprovisionedToInitialAssignment" {
			t.Errorf("%s, again: got %v", name, got)
		}
		y.atHub(name+", the new certificate", host, id, got.issued(t, next), true)
		y.atHub(name+", the old certificate", host, id, own, true)
	}
}

func TestIssuedCertificatesThatAreRefused(t *testing.T) {
	t.Parallel()
	var moved atomic.Int64
	y := newYard(t, emulator.Options{
		Now:                func() time.Time { return time.Now().Add(time.Duration(moved.Load())) },
		IssuedCertificates: emulator.IssuedCertificates{Lifetime: 7 * 24 * time.Hour},
	})
	const at = `,"allocationPolicy":"static","iotHubs":["` + hub1 + `"]`
	certificates := map[string]tls.Certificate{}
	for _, id := range []string{"sn-1", "sn-2"} {
		y.enrollNamed(id, keyed+at)
		d, key := y.asking(id)
		certificates[id] = y.overHTTPS(d).issued(t, key)
	}
	own := certificates["sn-1"]
	y.atHub("its certificate", hub1, "sn-1", own, true)
	y.atHub("the certificate of another device", hub1, "sn-1", certificates["sn-2"], false)

	// The same names under an authority of its own.
	forger := issue(t, issue(t, nil, "evenkeel local devices root", true), "sn-1", false)
	y.atHub("a forged chain", hub1, "sn-1", *forger.presented(1), false)
	forged := *forger.presented(0)
	forged.Certificate = append(forged.Certificate, own.Certificate[1:]...)
	y.atHub("a forged leaf under the real chain", hub1, "sn-1", forged, false)

	// A device that another client created with keys does not accept it.
	if status, body := y.hubCall(hub2, "PUT", "/devices/sn-1", `{"deviceId":"sn-1"}`); status != http.StatusOK {
		t.Fatalf("make a device on the other hub: got %d %v", status, body)
	}
	y.atHub("a device with keys", hub2, "sn-1", own, false)

	operator := token(t, hub1, "iothubowner", y.firstKey(hubPath+"/IotHubKeys/iothubowner", hubVersion))
	for _, state := range []string{"disabled", "enabled"} {
		if status, body := y.on(hub1, "PUT", "/devices/sn-1"+apiVersion, fmt.Sprintf(`{"deviceId":"sn-1","status":%q,
			"authentication":{"type":"certificateAuthority"}}`, state), operator, "If-Match", "*"); status != http.StatusOK {
			t.Fatalf("%s: got %d %v", state, status, body)
		}
		y.atHub(state, hub1, "sn-1", own, state == "enabled")
	}
	moved.Store(int64(7*24*time.Hour + time.Minute))
	y.atHub("an expired certificate", hub1, "sn-1", own, false)
}

// TestIssuedCertificatesSurviveARestart: the operation still has the chain, the hub still knows the authority.
func TestIssuedCertificatesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	y := newYard(t, emulator.Options{Dir: dir})
	y.enrollNamed("sn-1", keyed)
	d, key := y.asking("sn-1")
	started, body := y.poll(d, "PUT", "/register", d.body)
	if started != http.StatusAccepted {
		t.Fatalf("register: got %d %v", started, body)
	}
	operation := "/operations/" + fmt.Sprint(body["operationId"])
	check(t, y.e.Close())

	e := emulator.RunT(t, emulator.Options{Dir: dir})
	again := &yard{wire: plain(t, e), scope: y.scope, owner: y.owner, roots: y.roots}
	status, body := again.poll(d, "GET", operation, "")
	got := result{status, body}
	own := got.issued(t, key)
	again.atHub("after a restart", got.state("assignedHub"), "sn-1", own, true)
	d, next := again.asking("sn-1")
	got = again.overMQTT(d)
	fresh := got.issued(t, next)
	again.atHub("issued after a restart", got.state("assignedHub"), "sn-1", fresh, true)
	if string(fresh.Certificate[1]) != string(own.Certificate[1]) ||
		string(fresh.Certificate[2]) != string(own.Certificate[2]) {
		t.Error("got another authority after a restart, want the same")
	}
}

// poll sends one request of a registration.
func (y *yard) poll(d device, method, path, body string) (int, map[string]any) {
	y.t.Helper()
	path = "/" + d.scope + "/registrations/" + d.id + path + "?api-version=" + d.apiVersion()
	return y.on(globalHost, method, path, body, d.token)
}

// TestIssuedCertificatesFollowTheDevice to the hub that a webhook, and later another one, chooses.
func TestIssuedCertificatesFollowTheDevice(t *testing.T) {
	t.Parallel()
	y, h := newYard(t, emulator.Options{WebhookTimeout: await.Limit}), newHook(t)
	for name, register := range fronts {
		id := "sn-" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
		y.enrollNamed(id, keyed+`,`+h.custom())
		var last tls.Certificate
		for _, host := range []string{hub2, hub1} {
			h.answer(200, `{"iotHubHostName":"`+host+`"}`)
			d, key := y.asking(id)
			got := register(y, d)
			if got.state("assignedHub") != host {
				t.Fatalf("%s: got %v, want it on %s", name, got, host)
			}
			last = got.issued(t, key)
			y.atHub(name+" on "+host, host, id, last, true)
		}
		y.atHub(name+", the hub that it left", hub2, id, last, false)
		h.answer(500, "")
		d, _ := y.asking(id)
		if got := register(y, d); got.code() != "400207" || got.state("issuedCertificateChain") != "" {
			t.Errorf("%s, a webhook that fails: got %v, want no certificate", name, got)
		}
		y.atHub(name+", after the failure", hub1, id, last, true)
	}
}
