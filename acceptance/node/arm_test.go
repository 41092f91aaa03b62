//go:build node

package node_test

import (
	"testing"

	"evenkeel/emulator"
)

// TestAzuresManagementClientsForNode logs in with @azure/identity and runs the lifecycle of every resource with Azure's
// management clients.
func TestAzuresManagementClientsForNode(t *testing.T) { runManagement(t, "arm.test.js") }

// TestAzuresNewestManagementClientsForNode runs the newest clients, and each of them
// with the newest stable api-version too.
func TestAzuresNewestManagementClientsForNode(t *testing.T) { runManagement(t, "arm-today.test.js") }

func runManagement(t *testing.T, file string) {
	c := newCloud(t, emulator.RunT(t))
	c.node([]string{file}, "EVENKEEL_ARM="+c.at.ARM, "EVENKEEL_TENANT="+c.at.TenantID, "EVENKEEL_CLIENT="+
		c.at.ClientID,
		"EVENKEEL_CLIENT_SECRET="+c.at.ClientSecret, "EVENKEEL_SUBSCRIPTION="+emulator.SubscriptionID,
		"EVENKEEL_CERTIFICATES="+newCertificates(t))
}
