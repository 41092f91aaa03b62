//go:build az

// Package az_test runs the Azure CLI against the emulator (`make az`): core commands create the tutorial's
// infrastructure, and `az rest` creates enrollments. Without an installed CLI the tests fail.
package az_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator"
)

const (
	group   = "az-group"
	service = "az-dps"
	// dataToken is the audience of tokens for the service API of DPS.
	dataToken = "https://azure-devices-provisioning.net"
)

// withoutDiscovery keeps the Azure CLI from asking Azure about the emulator's login endpoint. From version 2.53 the CLI
// has a setting for that (AZURE_CORE_INSTANCE_DISCOVERY=false). Debian's version is older, so the test switches
// instance discovery off inside MSAL.
const withoutDiscovery = `
try:
    import msal.application
except ImportError:
    pass  # another Python than the Azure CLI's
else:
    _init = msal.application.ClientApplication.__init__

    def _without_discovery(self, *args, **options):
        options["instance_discovery"] = False
        _init(self, *args, **options)

    msal.application.ClientApplication.__init__ = _without_discovery
`

// cli is an Azure CLI with its own configuration folder, separate from the user's.
type cli struct {
	*testing.T
	path        string
	environment []string
	at          emulator.Endpoints
}

// newCLI starts an emulator and logs in to it.
func newCLI(t *testing.T) *cli {
	t.Helper()
	path, err := exec.LookPath("az")
	if err != nil {
		t.Fatal("the Azure CLI is needed (Debian: apt-get install azure-cli), and is not on PATH")
	}
	e := emulator.RunT(t, emulator.Options{Dir: t.TempDir()})
	at, dir := e.Endpoints(), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), []byte(withoutDiscovery), 0o600); err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(dir, "az")
	if err := os.Mkdir(home, 0o700); err != nil { // with ARM_CLOUD_METADATA_URL, the Azure CLI does not make it
		t.Fatal(err)
	}
	c := &cli{T: t, path: path, at: at, environment: append(os.Environ(),
		"REQUESTS_CA_BUNDLE="+at.CAFile, "SSL_CERT_FILE="+at.CAFile, "ARM_CLOUD_METADATA_URL="+at.ARM+
			"/metadata/endpoints?api-version=2019-05-01",
		"AZURE_CORE_INSTANCE_DISCOVERY=false", "AZURE_CONFIG_DIR="+home, "AZURE_CORE_COLLECT_TELEMETRY=no",
		"AZURE_CORE_OUTPUT=json", "PYTHONPATH="+dir, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	)}
	c.az(nil, "login", "--service-principal", "-u", at.ClientID, "-p="+at.ClientSecret, "--tenant", at.TenantID)
	return c
}

// run runs a command and returns what it printed.
func (c *cli) run(arguments ...string) (output []byte, complaint string, err error) {
	ctx, cancel := context.WithTimeout(c.Context(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, c.path, arguments...)
	var stdout, stderr bytes.Buffer
	command.Env, command.Stdout, command.Stderr = c.environment, &stdout, &stderr
	err = command.Run()
	return stdout.Bytes(), stderr.String(), err
}

// az runs a command that must succeed, and decodes what it prints.
func (c *cli) az(into any, arguments ...string) {
	c.Helper()
	output, complaint, err := c.run(arguments...)
	if err != nil {
		c.Fatalf("az %s: %v\n%s", arguments[0], err, complaint) // not all arguments: one is the secret
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(output, into); err != nil {
		c.Fatalf("az %s: got %s: %v", strings.Join(arguments, " "), output, err)
	}
}

// refused runs a command that must fail with an error that contains want.
func (c *cli) refused(want string, arguments ...string) {
	c.Helper()
	if output, complaint, err := c.run(arguments...); err == nil || !strings.Contains(complaint, want) {
		c.Errorf("az %s: got %v %s%s, want %q", strings.Join(arguments, " "), err, output, complaint, want)
	}
}

// rest calls the service API of DPS.
func (c *cli) rest(into any, method, path, body string) {
	c.Helper()
	arguments := []string{"rest", "--method", method, "--url", c.at.Data + path + "?api-version=2021-10-01",
		"--resource", dataToken}
	if body != "" {
		arguments = append(arguments, "--body", body)
	}
	c.az(into, arguments...)
}

// TestTheTutorialByTheAzureCLI creates the tutorial's infrastructure: two hubs, a provisioning service with both hubs
// linked, and enrollments.
func TestTheTutorialByTheAzureCLI(t *testing.T) {
	c := newCLI(t)
	c.az(nil, "group", "create", "-n", group, "-l", "westeurope")
	hubs := []string{"az-hub-1", "az-hub-2"}
	for _, hub := range hubs {
		c.az(nil, "iot", "hub", "create", "-g", group, "-n", hub, "--sku", "S1", "--partition-count", "4")
	}
	c.az(nil, "iot", "dps", "create", "-g", group, "-n", service)
	for _, hub := range hubs {
		var connection struct{ ConnectionString string }
		c.az(&connection, "iot", "hub", "show-connection-string", "-n", hub)
		if !strings.HasPrefix(connection.ConnectionString, "HostName="+hub+".azure-devices.net;") {
			t.Errorf("got a connection string of %.40q, want that of %s", connection.ConnectionString, hub)
		}
		c.az(nil, "iot", "dps", "linked-hub", "create", "-g", group, "--dps-name", service, "--connection-string",
			connection.ConnectionString, "-l", "westeurope")
	}
	c.az(nil, "iot", "dps", "update", "-g", group, "-n", service, "--set", "properties.allocationPolicy=Hashed")
	var linked []struct{ Name string }
	c.az(&linked, "iot", "dps", "linked-hub", "list", "-g", group, "--dps-name", service)
	if len(linked) != len(hubs) || linked[0].Name != hubs[0]+".azure-devices.net" {
		t.Errorf("got the linked hubs %v, want %v", linked, hubs)
	}
	var entry struct {
		SymmetricKey struct{ PrimaryKey string }
	}
	c.rest(nil, "put", "/enrollmentGroups/line-1",
		`{"enrollmentGroupId":"line-1","attestation":{"type":"symmetricKey"},"allocationPolicy":"hashed"}`)
	c.rest(nil, "put", "/enrollments/press-1", `{"registrationId":"press-1","attestation":{"type":"symmetricKey"}}`)
	c.rest(&entry, "post", "/enrollments/press-1/attestationmechanism", "")
	if entry.SymmetricKey.PrimaryKey == "" {
		t.Error("got no key of the enrollment, want the one that the service made")
	}
	var entries []struct{ RegistrationID string }
	c.rest(&entries, "post", "/enrollments/query", `{"query":"SELECT * FROM enrollments"}`)
	if len(entries) != 1 || entries[0].RegistrationID != "press-1" {
		t.Errorf("got the enrollments %v, want press-1", entries)
	}
	c.az(nil, "group", "delete", "-n", group, "--yes")
	c.refused("could not be found", "iot", "hub", "show", "-g", group, "-n", hubs[0])
}

// TestHubsByTheAzureCLI changes a hub with each core command that can. All of them send the whole hub back.
func TestHubsByTheAzureCLI(t *testing.T) {
	c := newCLI(t)
	c.az(nil, "group", "create", "-n", group, "-l", "westeurope")
	c.az(nil, "iot", "hub", "create", "-g", group, "-n", "az-hub", "--sku", "S1", "--partition-count", "77")
	hub := func(words ...string) []string {
		return append(append([]string{"iot", "hub"}, words...), "--hub-name", "az-hub")
	}
	c.az(nil, "iot", "hub", "update", "-n", "az-hub", "--set", "tags.a=b")
	c.az(nil, hub("policy", "create", "-n", "p1", "--permissions", "RegistryWrite", "ServiceConnect")...)
	var before, after struct{ PrimaryKey string }
	c.az(&before, hub("policy", "show", "-n", "p1")...)
	c.az(nil, hub("policy", "renew-key", "-n", "p1", "--renew-key", "primary")...)
	c.az(&after, hub("policy", "show", "-n", "p1")...)
	if before.PrimaryKey == "" || before.PrimaryKey == after.PrimaryKey {
		t.Error("got the same primary key, want another")
	}
	for _, name := range []string{"q1", "q2"} {
		c.az(nil, hub("routing-endpoint", "create", "-g", group, "-n", name, "--endpoint-type", "servicebusqueue",
			"--endpoint-resource-group", group,
			"--endpoint-subscription-id", c.at.SubscriptionID, "--connection-string",
			"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey=AAAA;EntityPath="+name)...)
	}
	c.az(nil, hub("route", "create", "-g", group, "-n", "r1", "--source-type", "DeviceMessages", "--endpoint-name",
		"q1")...)
	c.refused("undefined endpoint", hub("route", "create", "-g", group, "-n", "r2", "--source-type", "DeviceMessages",
		"--endpoint-name", "nowhere")...)
	c.az(nil, "iot", "hub", "message-enrichment", "create", "-n", "az-hub", "--key", "k", "--value", "v", "--endpoints",
		"q2")
	c.az(nil, "iot", "hub", "identity", "assign", "-n", "az-hub", "--system")
	c.az(nil, hub("consumer-group", "create", "-n", "cg")...)
	c.az(nil, "iot", "hub", "devicestream", "show", "-n", "az-hub")
	var shown struct {
		Tags       map[string]string
		Identity   struct{ Type string }
		Properties struct {
			Routing struct {
				Endpoints struct {
					ServiceBusQueues []struct{ Name string }
				}
				Routes, Enrichments []any
			}
		}
	}
	c.az(&shown, "iot", "hub", "show", "-n", "az-hub")
	routing := shown.Properties.Routing
	if shown.Tags["a"] != "b" || shown.Identity.Type != "SystemAssigned" ||
		len(routing.Endpoints.ServiceBusQueues) != 2 || len(routing.Routes) != 1 || len(routing.Enrichments) != 1 {
		t.Errorf("got %+v, want what each command changed", shown)
	}
	var template struct{ Resources []struct{ Name string } }
	c.az(&template, "group", "export", "-n", group)
	if len(template.Resources) != 1 || template.Resources[0].Name != "az-hub" {
		t.Errorf("got the template %+v, want the hub", template)
	}
}

// TestTheCloudIsRegisteredByTheAzureCLI registers the cloud by the address of Resource Manager, without
// ARM_CLOUD_METADATA_URL.
func TestTheCloudIsRegisteredByTheAzureCLI(t *testing.T) {
	c := newCLI(t)
	c.environment = append(c.environment, "ARM_CLOUD_METADATA_URL=", "AZURE_CONFIG_DIR="+c.TempDir())
	for i, variable := range c.environment {
		if strings.HasPrefix(variable, "ARM_CLOUD_METADATA_URL=") {
			c.environment[i] = "EVENKEEL_UNUSED="
		}
	}
	c.az(nil, "cloud", "register", "-n", "evenkeel", "--endpoint-resource-manager", c.at.ARM)
	c.az(nil, "cloud", "set", "-n", "evenkeel")
	c.az(nil, "login", "--service-principal", "-u", c.at.ClientID, "-p="+c.at.ClientSecret, "--tenant", c.at.TenantID)
	var groups []any
	c.az(&groups, "group", "list")
	c.az(nil, "group", "create", "-n", group, "-l", "westeurope")
}
