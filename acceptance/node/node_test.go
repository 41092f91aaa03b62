//go:build node

// Package node_test runs Azure's own SDKs for Node against the emulator (`make node`). It needs Node and, the first
// time, the npm registry. Tests of this project's own clients belong elsewhere.
package node_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/azure/sas"
)

const (
	service = "node-dps"
	group   = "/subscriptions/" + emulator.SubscriptionID + "/resourceGroups/node"
	devices = group + "/providers/Microsoft.Devices"
)

var hubs = []string{"node-hub-1", "node-hub-2"}

func TestAzuresDeviceSDKForNode(t *testing.T) {
	e := emulator.RunT(t)
	c := newCloud(t, e)
	c.run("device.test.js")
	c.wantTelemetry()
}

// run creates the resources of the cloud and runs a file of tests in Node, with more variables in its environment.
func (c *cloud) run(file string, more ...string) {
	c.Helper()
	operator, groupKey := newKey(c.T), newKey(c.T)
	scope := c.build(operator)
	c.enroll(groupKey)
	if c.afterBuild != nil {
		c.afterBuild()
	}
	c.node([]string{file}, append(more, "EVENKEEL_ID_SCOPE="+scope, "EVENKEEL_GROUP_KEY="+groupKey,
		"EVENKEEL_OPERATOR_KEY="+operator,
		"EVENKEEL_HUBS="+strings.Join(hosts(), ","))...)
}

// node runs files of tests in Node with the variables in the environment.
func (c *cloud) node(files []string, environment ...string) {
	c.Helper()
	t := c.T
	node, err := exec.LookPath("node")
	if err != nil {
		t.Fatal("Node is needed (20 or later), and is not on PATH")
	}
	install(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, node, append([]string{"--test", "--test-reporter=tap"}, files...)...)
	at := c.emulator.Endpoints()
	run.Env = append(append(os.Environ(), "NODE_EXTRA_CA_CERTS="+at.CAFile, "EVENKEEL_CONTROL="+at.Control,
		"EVENKEEL_CONTROL_TOKEN="+at.ControlToken, "EVENKEEL_MQTT_PORT="+port(t, at.MQTT),
		"EVENKEEL_DATA_PORT="+port(t, strings.TrimPrefix(at.Data, "https://"))), environment...)
	out, err := run.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node --test: %v", err)
	}
	if !regexp.MustCompile(`(?m)^# pass [1-9]`).Match(out) || !regexp.MustCompile(`(?m)^# skipped 0`).Match(out) {
		t.Error("the tests did not run, or some were skipped")
	}
}

// install installs the SDK in node_modules, in the version of package-lock.json, unless it is installed already.
func install(t *testing.T) {
	t.Helper()
	wanted, err := os.Stat("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.Stat("node_modules/.package-lock.json")
	if err == nil && !installed.ModTime().Before(wanted.ModTime()) {
		return
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if out, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
}

// cloud is the emulator, as any client sees it.
type cloud struct {
	*testing.T
	emulator *emulator.Emulator
	at       emulator.Endpoints
	client   *http.Client
	token    string
	dpsKey   string
	// morePolicies are further policies of the provisioning service, as JSON that starts with a comma.
	morePolicies string
	// afterBuild, unless nil, prepares what else a test needs before Node runs.
	afterBuild func()
}

func newCloud(t *testing.T, e *emulator.Emulator) *cloud {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.Endpoints().CAPEM)
	c := &cloud{T: t, emulator: e, at: e.Endpoints(), dpsKey: newKey(t)}
	c.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		// Connections to Azure's host names go to the emulator's data port.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.Contains(address, ".azure-devices") {
				address = strings.TrimPrefix(c.at.Data, "https://")
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	c.token = c.tokenFor("https://management.azure.com/.default")
	return c
}

// build creates two hubs and a provisioning service with both linked, and returns the service's ID scope.
func (c *cloud) build(operator string) (scope string) {
	c.arm(http.MethodPut, group, "2021-04-01", `{"location":"westeurope"}`)
	var links []string
	for _, hub := range hubs {
		key := newKey(c.T)
		c.arm(http.MethodPut, devices+"/IotHubs/"+hub, "2023-06-30",
			fmt.Sprintf(`{"location":"westeurope","sku":{"name":"S1","capacity":1},
			"properties":{"authorizationPolicies":[
			{"keyName":"link","primaryKey":%q,"secondaryKey":%q,"rights":"RegistryWrite, ServiceConnect"},
			{"keyName":"operator","primaryKey":%q,"secondaryKey":%q,"rights":"RegistryRead, RegistryWrite, ServiceConnect"}]}}`,
				key, newKey(c.T), operator, newKey(c.T)))
		links = append(links,
			fmt.Sprintf(`{"location":"westeurope","connectionString":"HostName=%s.azure-devices.net;SharedAccessKeyName=link;SharedAccessKey=%s"}`, hub, key))
	}
	for _, hub := range hubs {
		c.await(devices+"/IotHubs/"+hub, "2023-06-30")
	}
	c.arm(http.MethodPut, devices+"/provisioningServices/"+service, "2022-12-12",
		fmt.Sprintf(`{"location":"westeurope","sku":{"name":"S1","capacity":1},
		"properties":{"allocationPolicy":"Hashed","iotHubs":[%s],"authorizationPolicies":[
		{"keyName":"enrollments","primaryKey":%q,"secondaryKey":%q,"rights":"EnrollmentRead, EnrollmentWrite"}%s]}}`,
			strings.Join(links, ","), c.dpsKey, newKey(c.T), c.morePolicies))
	return c.await(devices+"/provisioningServices/"+service, "2022-12-12")
}

// await polls a resource until it is active, and returns its ID scope if it has one.
func (c *cloud) await(path, version string) string {
	c.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		var resource struct {
			Properties struct{ State, IDScope string }
		}
		if err := json.Unmarshal(c.arm(http.MethodGet, path, version, ""), &resource); err != nil {
			c.Fatal(err)
		}
		if resource.Properties.State == "Active" {
			return resource.Properties.IDScope
		}
	}
	c.Fatalf("%s is still not active", path)
	return ""
}

func (c *cloud) arm(method, path, version, body string) []byte {
	c.Helper()
	return c.call(method, c.at.ARM+path+"?api-version="+version, "Bearer "+c.token, body)
}

// enroll creates an enrollment group with an initial twin.
func (c *cloud) enroll(key string) {
	c.Helper()
	host := service + ".azure-devices-provisioning.net"
	token, err := sas.New(host, "enrollments", c.dpsKey, time.Now().Add(time.Hour))
	if err != nil {
		c.Fatal(err)
	}
	c.call(http.MethodPut, "https://"+host+"/enrollmentGroups/node?api-version=2021-10-01", token,
		fmt.Sprintf(`{"enrollmentGroupId":"node",
		"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}},
		"initialTwin":{"tags":{"floor":"2"},"properties":{"desired":{"interval":30}}}}`, key, newKey(c.T)))
}

func (c *cloud) call(method, address, authorization, body string) []byte {
	c.Helper()
	r, err := http.NewRequestWithContext(c.Context(), method, address, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.client.Do(r)
	if err != nil {
		c.Fatal(err)
	}
	return c.decode(answer, nil)
}

func (c *cloud) decode(answer *http.Response, into any) []byte {
	c.Helper()
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.Fatal(err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		c.Fatalf("%s %s: %s\n%s", answer.Request.Method, answer.Request.URL.Path, answer.Status, body)
	}
	if into != nil {
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
			c.Fatal(err)
		}
	}
	return body
}

// wantTelemetry looks for the message of the SDK in the emulator's request log.
func (c *cloud) wantTelemetry() {
	c.Helper()
	const topic = "devices/node-device-1/messages/events/"
	for _, r := range c.emulator.Requests("mqtt-hub", "PUBLISH") {
		if strings.HasPrefix(r.Path, topic) && r.Status == http.StatusNoContent {
			return
		}
	}
	c.Error("the hub received no message from node-device-1")
}

func hosts() []string {
	names := make([]string, len(hubs))
	for i, hub := range hubs {
		names[i] = hub + ".azure-devices.net"
	}
	return names
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := sas.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
