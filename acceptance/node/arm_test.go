//go:build node

package node_test

import (
	"testing"

	"evenkeel/emulator"
)

// TestAzuresManagementClientsForNode logs in with @azure/identity and lets the management clients make everything there
// is.
func TestAzuresManagementClientsForNode(t *testing.T) { runManagement(t, "arm.test.js") }

// TestAzuresNewestManagementClientsForNode runs the newest clients, and them with the newest stable api-versions.
func TestAzuresNewestManagementClientsForNode(t *testing.T) { runManagement(t, "arm-today.test.js") }

func runManagement(t *testing.T, file string) {
	c := newCloud(t, emulator.RunT(t))
	c.node([]string{file}, "EVENKEEL_ARM="+c.at.ARM, "EVENKEEL_TENANT="+c.at.TenantID, "EVENKEEL_CLIENT="+
		c.at.ClientID,
		"EVENKEEL_CLIENT_SECRET="+c.at.ClientSecret, "EVENKEEL_SUBSCRIPTION="+emulator.SubscriptionID,
		"EVENKEEL_CERTIFICATES="+newCertificates(t))
}
