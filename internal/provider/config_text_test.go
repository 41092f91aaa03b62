package provider_test

import (
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/provider"
)

// TestSettingsOfAStackAreTexts: `pulumi import` configures the default provider with them, without a check before.
func TestSettingsOfAStackAreTexts(t *testing.T) {
	t.Parallel()
	for rate, want := range map[string]bool{"600": true, "many": false} {
		config := emulated(t).edited(object{"rateLimit": rate, "useMsi": "false"})
		served, err := provider.New(nil)
		must(t, err)
		server, err := integration.NewServer(t.Context(), provider.Name, semver.MustParse(provider.Version),
			integration.WithProvider(served))
		must(t, err)
		args := config.properties()
		err = server.Configure(p.ConfigureRequest{Args: args})
		if (err == nil) != want {
			t.Errorf("rateLimit %q: got %v, want accepted %t", rate, err, want)
		}
		if !want {
			continue
		}
		m := manage(t, server, "EnrollmentGroup", "devices")
		created, err := server.Create(p.CreateRequest{Urn: m.urn,
			Properties: property.NewMap(map[string]property.Value{"enrollmentGroupId": property.New("devices")})})
		if err != nil || created.ID != emulatedHost+"/enrollmentGroups/devices" {
			t.Errorf("create: got %q, %v", created.ID, err)
		}
	}
}
