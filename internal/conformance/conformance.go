// Package conformance tests our assumptions about Azure with plain requests and literal bodies: Azure Resource Manager,
// the Device Provisioning Service's two APIs over HTTPS, and IoT Hub. It always runs against the emulator, and against
// a real subscription if one is configured (see CONTRIBUTING.md): both must meet the same expectations.
//
// Each case names the document or recorded exchange behind it. What no source settles is a numbered question: it runs
// on Azure only, and is skipped with its number elsewhere. The package imports neither the emulator nor our clients, so
// that it shares no mistakes with them.
package conformance

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// Target is a cloud that the suite runs against. All of its members but Azure and Issuing must be set.
type Target struct {
	// ARM is the address of Azure Resource Manager, without a slash at the end.
	ARM string
	// Subscription is where the suite creates its own resource group, in Location, and deletes it at the end.
	Subscription, Location string
	// Name is a unique part of the names of resources: 3 to 20 lower-case letters and digits.
	Name string
	// Token returns an access token for an audience, as "https://management.azure.com".
	Token func(ctx context.Context, audience string) (string, error)
	// Client resolves the host names of hubs and provisioning services.
	Client *http.Client
	// Poll is the pause between two polls of a long-running operation; Patience is its maximum duration.
	Poll, Patience time.Duration
	// Azure is true for the real Azure, where the numbered questions run.
	Azure bool
	// Issuing is a device to which a provisioning service issues certificates; without it, that question is skipped.
	Issuing Issuing
}

// Run creates a resource group with a hub and a provisioning service linked to it, and runs all cases on them.
func Run(t *testing.T, target Target) {
	c := newCloud(t, target)
	t.Run("resource manager", c.resourceManager)
	t.Run("enrollments", c.enrollments)
	t.Run("bulk operations and queries", c.collections)
	t.Run("rights", c.rights)
	t.Run("a device registers and uses its hub", c.device)
	t.Run("questions", c.questions)
}
