package provider_test

import (
	"testing"

	"github.com/blang/semver"
	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"

	"evenkeel/internal/provider"
)

// TestSettingsOfAStackAreTexts: `pulumi import` configures the default provider with them, without a check before.
func TestSettingsOfAStackAreTexts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		rate string
		want bool
	}{"a number": {"600", true}, "no number": {"many", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			served, err := provider.New(nil)
			must(t, err)
			server, err := integration.NewServer(t.Context(), provider.Name, semver.MustParse(provider.Version),
				integration.WithProvider(served))
			must(t, err)
			config := emulated(t).edited(object{"rateLimit": tc.rate, "useMsi": "false"})
			if err := server.Configure(p.ConfigureRequest{Args: config.properties()}); (err == nil) != tc.want {
				t.Fatalf("got %v, want accepted %t", err, tc.want)
			}
			if !tc.want {
				return
			}
			m := manage(t, server, "EnrollmentGroup", "devices")
			created, err := server.Create(p.CreateRequest{Urn: m.urn,
				Properties: object{"enrollmentGroupId": "devices"}.properties()})
			if err != nil || created.ID != emulatedHost+"/enrollmentGroups/devices" {
				t.Errorf("create: got %q, %v", created.ID, err)
			}
		})
	}
}
