//go:build node

package node_test

import (
	"testing"
	"time"

	"evenkeel/emulator"
)

// TestAzuresManagementClientsForNode logs in with @azure/identity and runs the lifecycle of every resource with Azure's
// management clients.
func TestAzuresManagementClientsForNode(t *testing.T) { runManagement(t, "arm.test.js", 0) }

// TestAzuresNewestManagementClientsForNode runs the newest clients, and each of them with the newest stable api-version
// too. Operations take a moment, so that the clients have to poll.
func TestAzuresNewestManagementClientsForNode(t *testing.T) {
	runManagement(t, "arm-today.test.js", 20*time.Millisecond)
}

// runManagement runs a file of tests of management clients. Long-running operations take as long as delay.
func runManagement(t *testing.T, file string, delay time.Duration) {
	t.Helper()
	c := newCloud(t, emulator.RunT(t, emulator.Options{LRODelay: delay}))
	c.node([]string{file}, "EVENKEEL_ARM="+c.at.ARM, "EVENKEEL_TENANT="+c.at.TenantID, "EVENKEEL_CLIENT="+
		c.at.ClientID,
		"EVENKEEL_CLIENT_SECRET="+c.at.ClientSecret, "EVENKEEL_SUBSCRIPTION="+emulator.SubscriptionID,
		"EVENKEEL_CERTIFICATES="+newCertificates(t))
}
