package conformance_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"evenkeel/internal/conformance"
)

// Variables that run the suite on Azure. Both are needed, because it creates a hub that causes costs.
const (
	subscriptionVariable = "EVENKEEL_CONFORMANCE_SUBSCRIPTION"
	costsVariable        = "EVENKEEL_CONFORMANCE_COSTS"
	locationVariable     = "EVENKEEL_CONFORMANCE_LOCATION"
	// issuingVariable names a device to which a service issues certificates: idScope/registrationId/key.
	issuingVariable = "EVENKEEL_CONFORMANCE_ISSUING"
)

// TestAssumptionsHoldOnAzure runs on a real subscription, with whatever login azidentity finds (az login, AZURE_*
// variables). The emulator's own run is in the package emulator.
func TestAssumptionsHoldOnAzure(t *testing.T) {
	subscription := os.Getenv(subscriptionVariable)
	if subscription == "" {
		t.Skipf("%s is not set: Azure is not asked", subscriptionVariable)
	}
	if os.Getenv(costsVariable) != "accepted" {
		t.Fatalf("the suite makes an S1 hub and a provisioning service in %s and deletes them after some minutes, "+
			"which costs up to a day of the hub: set %s=accepted", subscription, costsVariable)
	}
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		t.Fatal(err)
	}
	location := os.Getenv(locationVariable)
	if location == "" {
		location = "westeurope"
	}
	var issuing conformance.Issuing
	if parts := strings.SplitN(os.Getenv(issuingVariable), "/", 3); len(parts) == 3 {
		issuing = conformance.Issuing{Scope: parts[0], ID: parts[1], Key: parts[2]}
	}
	conformance.Run(t, conformance.Target{
		ARM: "https://management.azure.com", Subscription: subscription, Location: location,
		Name: strings.ToLower(rand.Text()[:10]),
		Token: func(ctx context.Context, audience string) (string, error) {
			token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
			return token.Token, err
		},
		Client: &http.Client{Timeout: time.Minute}, Poll: 5 * time.Second, Patience: 15 * time.Minute, Azure: true,
		Issuing: issuing,
	})
}
