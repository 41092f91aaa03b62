// Package conformance is what we believe of Azure, as a suite of plain requests with literal bodies: Azure Resource Manager, the
// Device Provisioning Service's two APIs over HTTPS, and IoT Hub. It runs against the emulator always, and against a real subscription
// when somebody gives it one (see CONTRIBUTING.md): the same expectations must hold in both places.
//
// Each case names the document or recorded exchange behind it. What nothing settles is a numbered question: asked on Azure only, and
// skipped with its number elsewhere. It imports neither the emulator nor our clients, so that no mistake is shared.
package conformance

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// Target is a cloud that the suite runs against. All of its members but Azure must be set.
type Target struct {
	// ARM is the address of Azure Resource Manager, without a slash at the end.
	ARM string
	// Subscription is where the suite makes a resource group of its own, in Location, and deletes it in the end.
	Subscription, Location string
	// Name makes the names of what is made unique: 3 to 20 lower-case letters and digits.
	Name string
	// Token returns an access token for an audience, as "https://management.azure.com".
	Token func(ctx context.Context, audience string) (string, error)
	// Client finds the host names of hubs and provisioning services.
	Client *http.Client
	// Poll is the pause between two looks at something that takes its time; Patience how long that may be.
	Poll, Patience time.Duration
	// Azure says that this is the real one: the numbered questions are asked.
	Azure bool
}

// Run makes a resource group with a hub and a provisioning service linked to it, and tries everything on them.
func Run(t *testing.T, target Target) {
	c := newCloud(t, target)
	t.Run("resource manager", c.resourceManager)
	t.Run("enrollments", c.enrollments)
	t.Run("bulk operations and queries", c.collections)
	t.Run("rights", c.rights)
	t.Run("a device registers and uses its hub", c.device)
	t.Run("questions", c.questions)
}
