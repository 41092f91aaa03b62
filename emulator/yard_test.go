package emulator_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	gocmp "github.com/google/go-cmp/cmp"

	"evenkeel/emulator"
	"evenkeel/internal/await"
	"evenkeel/internal/azure/sas"
)

const (
	globalHost  = "global.azure-devices-provisioning.net"
	serviceHost = "dps-1.azure-devices-provisioning.net"
	hub1, hub2  = "hub-1.azure-devices.net", "hub-2.azure-devices.net"
	primary     = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	secondary   = "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
)

// yard is an emulated cloud with two hubs linked to one provisioning service, made over ARM, for devices that come over
// the wire.
type yard struct {
	*wire
	scope string
	owner string
	roots *x509.CertPool
}

func newYard(t *testing.T, options ...emulator.Options) *yard {
	t.Helper()
	y := &yard{wire: plain(t, emulator.RunT(t, options...)), roots: x509.NewCertPool()}
	y.roots.AppendCertsFromPEM(y.e.Endpoints().CAPEM)
	y.must("PUT", groupPath+groupVersion, groupJSON)
	var links []string
	for _, name := range []string{"hub-1", "hub-2"} {
		path := groupPath + "/providers/Microsoft.Devices/IotHubs/" + name
		y.must("PUT", path+hubVersion, hubJSON)
		links = append(links, ownerLinkJSON(name+".azure-devices.net", y.firstKey(path+"/IotHubKeys/iothubowner",
			hubVersion)))
	}
	y.must("PUT", servicePath+serviceVersion, linkedJSON(strings.Join(links, ",")))
	y.owner = token(t, serviceHost, "provisioningserviceowner", y.firstKey(servicePath+"/keys/provisioningserviceowner",
		serviceVersion))
	y.scope, _ = y.must("GET", servicePath+serviceVersion, "")["properties"].(map[string]any)["idScope"].(string)
	return y
}

// ownerLinkJSON links a hub by its owner policy.
func ownerLinkJSON(host, key string) string {
	return strings.Replace(linkJSON(host, key), "KeyName=p;", "KeyName=iothubowner;", 1)
}

// service calls the service API as its owner.
func (y *yard) service(method, path, body string) map[string]any {
	y.t.Helper()
	status, answer := y.on(serviceHost, method, path+"?api-version=2021-10-01", body, y.owner)
	if status >= http.StatusBadRequest {
		y.t.Fatalf("%s %s: got %d %v", method, path, status, answer)
	}
	return answer
}

// hubCall calls the registry of a hub as its owner.
func (y *yard) hubCall(host, method, path, body string) (int, map[string]any) {
	y.t.Helper()
	name, _, _ := strings.Cut(host, ".")
	key := y.firstKey(groupPath+"/providers/Microsoft.Devices/IotHubs/"+name+"/IotHubKeys/iothubowner", hubVersion)
	return y.on(host, method, path+"?api-version=2021-04-12", body, token(y.t, host, "iothubowner", key))
}

// twinOf checks what is in a device's twin, beside metadata.
func (y *yard) twinOf(host, id, tags, desired string) {
	y.t.Helper()
	status, twin := y.hubCall(host, "GET", "/twins/"+id, "")
	properties, _ := twin["properties"].(map[string]any)
	for name, part := range map[string]struct {
		text string
		held any
	}{"tags": {tags, twin["tags"]}, "desired": {desired, properties["desired"]}} {
		held, _ := part.held.(map[string]any)
		delete(held, "$metadata")
		delete(held, "$version")
		if held == nil {
			held = map[string]any{}
		}
		var want map[string]any
		check(y.t, json.Unmarshal([]byte(part.text), &want))
		if diff := gocmp.Diff(want, held); diff != "" {
			y.t.Errorf("twin of %s on %s: %d, %s differ (-want +got):\n%s", id, host, status, name, diff)
		}
	}
}

// absent checks that a hub has no such device.
func (y *yard) absent(host, id string) {
	y.t.Helper()
	if status, body := y.hubCall(host, "GET", "/devices/"+id, ""); status != http.StatusNotFound {
		y.t.Errorf("%s on %s: got %d %v, want it deleted", id, host, status, body)
	}
}

// keyed is the attestation by the two keys of the tests.
const keyed = `"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":"` + primary + `","secondaryKey":"` +
	secondary + `"}}`

// enroll makes or replaces an individual enrollment; more are its further members.
func (y *yard) enroll(id, more string) {
	y.t.Helper()
	y.service("PUT", "/enrollments/"+id, fmt.Sprintf(`{"registrationId":%q,%s}`, id, more))
}

// device is a device with what it presents to register.
type device struct {
	scope, id string
	token     string
	// version is the api-version; 2021-10-01 when empty.
	version     string
	certificate *tls.Certificate
	body        string
}

func (d device) apiVersion() string { return cmp.Or(d.version, "2021-10-01") }

// holding is a device with a key.
func (y *yard) holding(id, key string) device {
	y.t.Helper()
	return device{scope: y.scope, id: id, token: token(y.t, y.scope+"/registrations/"+id, sas.Policy, key)}
}

// result is the end of a registration: an HTTP status, or that of the MQTT reply, or 5 for a CONNACK that refuses; and
// its body.
type result struct {
	status int
	body   map[string]any
}

// state is a member of the registration state, as text.
func (r result) state(member string) string {
	s, _ := r.body["registrationState"].(map[string]any)
	if s[member] == nil {
		return ""
	}
	return fmt.Sprint(s[member])
}

// code is the error code, of a refusal or of a failed registration.
func (r result) code() string {
	if code, refused := r.body["errorCode"].(float64); refused {
		return strconv.Itoa(int(code))
	}
	s, _ := r.body["registrationState"].(map[string]any)
	if code, failed := s["errorCode"].(float64); failed {
		return strconv.Itoa(int(code))
	}
	return ""
}

// front is one of the ways to register.
type front func(y *yard, d device) result

// fronts are all of them.
var fronts = map[string]front{"HTTPS": (*yard).overHTTPS, "MQTT": (*yard).overMQTT,
	"MQTT over WebSocket": (*yard).overWebSocket}

func (y *yard) tls(d device) *tls.Config {
	config := &tls.Config{RootCAs: y.roots, ServerName: globalHost, MinVersion: tls.VersionTLS12}
	if d.certificate != nil {
		config.Certificates = []tls.Certificate{*d.certificate}
	}
	return config
}

// overHTTPS sends the registration and polls until it has ended.
func (y *yard) overHTTPS(d device) result {
	y.t.Helper()
	transport := &http.Transport{TLSClientConfig: y.tls(d)}
	defer transport.CloseIdleConnections()
	send := func(method, path, body string) result {
		r, err := http.NewRequestWithContext(y.t.Context(), method,
			y.e.Endpoints().Data+"/"+d.scope+"/registrations/"+d.id+path+"?api-version="+d.apiVersion(),
			strings.NewReader(body))
		check(y.t, err)
		r.Host = globalHost
		r.Header.Set("Content-Type", "application/json")
		if d.token != "" {
			r.Header.Set("Authorization", d.token)
		}
		response, err := (&http.Client{Transport: transport, Timeout: await.Limit}).Do(r)
		check(y.t, err)
		status, body_ := answer(y.t, response)
		return result{status, body_}
	}
	got := send("PUT", "/register", d.body)
	for deadline := time.Now().Add(await.Limit); got.status == http.StatusAccepted && time.Now().Before(deadline); {
		got = send("GET", "/operations/"+fmt.Sprint(got.body["operationId"]), "")
	}
	return got
}

// overMQTT does the same on the MQTT port.
func (y *yard) overMQTT(d device) result {
	return y.mqtt(d, func(o *mqtt.ClientOptions) {
		o.AddBroker("tls://" + y.e.Endpoints().MQTT)
	})
}

// overWebSocket does the same on the data port.
func (y *yard) overWebSocket(d device) result {
	return y.mqtt(d, func(o *mqtt.ClientOptions) {
		o.AddBroker(strings.Replace(y.e.Endpoints().Data, "https://", "wss://", 1) + "/$iothub/websocket").
			SetHTTPHeaders(http.Header{"Host": {globalHost}})
	})
}

// mqtt registers over the connection that dial describes.
func (y *yard) mqtt(d device, dial func(*mqtt.ClientOptions)) result {
	y.t.Helper()
	o := mqtt.NewClientOptions().SetClientID(d.id).SetUsername(d.scope + "/registrations/" + d.id + "/api-version=" +
		d.apiVersion()).
		SetPassword(d.token).SetProtocolVersion(
		4).SetAutoReconnect(false).SetConnectTimeout(await.Limit).SetTLSConfig(y.tls(d))
	dial(o)
	c := mqtt.NewClient(o)
	connecting := c.Connect()
	if !connecting.WaitTimeout(await.Limit) {
		y.t.Fatalf("%s: no answer to CONNECT", d.id)
	}
	if connecting.Error() != nil {
		code := connecting.(*mqtt.ConnectToken).ReturnCode()
		if code == 0 {
			y.t.Fatalf("%s: connect: %v", d.id, connecting.Error())
		}
		return result{status: int(code)}
	}
	defer c.Disconnect(0)
	replies := make(chan mqtt.Message, 8)
	y.wait(c.Subscribe("$dps/registrations/res/#", 1, func(_ mqtt.Client, m mqtt.Message) { replies <- m }))
	ask := func(topic, body string) result {
		y.wait(c.Publish(topic, 1, false, body))
		m := await.Next(y.t, replies, d.id+": the reply to "+topic)
		status, err := strconv.Atoi(strings.Split(m.Topic(), "/")[3])
		check(y.t, err)
		got := result{status: status}
		check(y.t, json.Unmarshal(m.Payload(), &got.body))
		return got
	}
	got := ask("$dps/registrations/PUT/iotdps-register/?$rid=1", d.body)
	for deadline := time.Now().Add(await.Limit); got.status == http.StatusAccepted && time.Now().Before(deadline); {
		got = ask("$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId="+
			fmt.Sprint(got.body["operationId"]), " ")
	}
	return got
}

func (y *yard) wait(token mqtt.Token) {
	y.t.Helper()
	if !token.WaitTimeout(await.Limit) || token.Error() != nil {
		y.t.Fatalf("no acknowledgement: %v", token.Error())
	}
}

// chained is a certificate of a chain, with its key.
type chained struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	// above are the certificates from its issuer on.
	above [][]byte
}

// issue makes a certificate under by, or a root when that is nil.
func issue(t *testing.T, by *chained, name string, ca bool) *chained {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		BasicConstraintsValid: true, IsCA: ca,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	made := &chained{key: key}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
		made.above = append([][]byte{by.cert.Raw}, by.above...)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(t, err)
	made.cert, err = x509.ParseCertificate(der)
	check(t, err)
	return made
}

// presented is the certificate with the first n above it, as a TLS client sends them.
func (c *chained) presented(n int) *tls.Certificate {
	return &tls.Certificate{Certificate: append([][]byte{c.cert.Raw}, c.above[:n]...), PrivateKey: c.key}
}

func (c *chained) base64() string { return base64.StdEncoding.EncodeToString(c.cert.Raw) }
