//go:build node

package node_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"evenkeel/emulator"
)

// TestAzuresHubClientsForNode runs every call of Azure's device and service clients against one hub.
func TestAzuresHubClientsForNode(t *testing.T) {
	const name = "node-hub"
	c := newCloud(t, emulator.RunT(t))
	operator, device, link := newKey(t), newKey(t), newKey(t)
	hub := devices + "/IotHubs/" + name
	c.arm(http.MethodPut, group, "2021-04-01", `{"location":"westeurope"}`)
	c.arm(http.MethodPut, hub, "2023-06-30", fmt.Sprintf(
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"authorizationPolicies":[
		{"keyName":"link","primaryKey":%q,"secondaryKey":%q,"rights":"RegistryWrite, ServiceConnect"},
		{"keyName":"device","primaryKey":%q,"secondaryKey":%q,"rights":"DeviceConnect"},
		{"keyName":"operator","primaryKey":%q,"secondaryKey":%q,"rights":"RegistryRead, RegistryWrite, ServiceConnect"}]}}`,
		link, newKey(t), device, newKey(t), operator, newKey(t)))
	c.await(hub, "2023-06-30")
	certificates := newCertificates(t)
	root, err := os.ReadFile(filepath.Join(certificates, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c.arm(http.MethodPut, hub+"/certificates/root", "2023-06-30",
		fmt.Sprintf(`{"properties":{"certificate":%q,"isVerified":true}}`, base64.StdEncoding.EncodeToString(root)))

	c.node([]string{"registry.test.js", "twins.test.js", "transports.test.js"},
		"EVENKEEL_HUB="+name+".azure-devices.net", "EVENKEEL_OPERATOR_KEY="+operator, "EVENKEEL_DEVICE_KEY="+device,
		"EVENKEEL_LINK_KEY="+link,
		"EVENKEEL_HUB_TOKEN="+c.tokenFor("https://iothubs.azure.net/.default"), "EVENKEEL_CERTIFICATES="+certificates)
}
