//go:build node

package node_test

import (
	"testing"

	"evenkeel/emulator"
)

// TestAzuresManagementClientsForNode logs in with @azure/identity and runs the lifecycle of every resource with Azure's
// management clients.
func TestAzuresManagementClientsForNode(t *testing.T) {
	c := newCloud(t, emulator.RunT(t))
	c.node([]string{"arm.test.js"}, "EVENKEEL_ARM="+c.at.ARM, "EVENKEEL_TENANT="+c.at.TenantID, "EVENKEEL_CLIENT="+
		c.at.ClientID,
		"EVENKEEL_CLIENT_SECRET="+c.at.ClientSecret, "EVENKEEL_SUBSCRIPTION="+emulator.SubscriptionID,
		"EVENKEEL_CERTIFICATES="+newCertificates(t))
}
