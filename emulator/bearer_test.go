package emulator_test

import (
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"evenkeel/emulator"
)

// tokenFor is an access token by the client secret, as azidentity gets it.
func tokenFor(t *testing.T, e *emulator.Emulator, scope string) string {
	t.Helper()
	ends := e.Endpoints()
	credential, err := azidentity.NewClientSecretCredential(ends.TenantID, ends.ClientID, ends.ClientSecret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions: policy.ClientOptions{
				Transport: client(t, e), Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: ends.ARM},
				Retry: policy.RetryOptions{MaxRetries: -1},
			},
			DisableInstanceDiscovery: true,
		})
	check(t, err)
	got, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	check(t, err)
	return got.Token
}

// TestTheServiceAPITakesEntraTokens: with the audience of the data plane, from this emulator, in time; a device cannot
// use one.
func TestTheServiceAPITakesEntraTokens(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	y := newYard(t, emulator.Options{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	const dps = "https://azure-devices-provisioning.net/.default"
	good := "Bearer " + tokenFor(t, y.e, dps)
	call := func(authorization, method, path, body string) int {
		t.Helper()
		status, _ := y.on(serviceHost, method, path+"?api-version=2021-10-01", body, authorization)
		return status
	}
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"PUT", "/enrollments/a", `{"registrationId":"a",` + keyed + `}`, 200},
		{"GET", "/enrollments/a", "", 200},
		{"POST", "/enrollments/a/attestationmechanism", "", 200},
		{"POST", "/enrollments", `{"mode":"create","enrollments":[{"registrationId":"b",` + keyed + `}]}`, 200},
		{"PUT", "/enrollmentGroups/g", `{"enrollmentGroupId":"g",` + keyed + `}`, 200},
		{"DELETE", "/enrollmentGroups/g", "", 204},
		{"DELETE", "/enrollments/b", "", 204},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			if got := call(good, c.method, c.path, c.body); got != c.status {
				t.Errorf("%s %s: got %d, want %d", c.method, c.path, got, c.status)
			}
		})
	}
	if got := y.overHTTPS(y.holding("a", primary)); got.state("status") != "assigned" {
		t.Fatalf("got %v, want the device assigned", got)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := call(good, method, "/registrations/a", ""); got >= http.StatusBadRequest {
			t.Errorf("%s the registration: got %d", method, got)
		}
	}

	other := emulator.RunT(t)
	for name, authorization := range map[string]string{
		"the audience of ARM":      "Bearer " + tokenFor(t, y.e, "https://management.azure.com/.default"),
		"a token of another cloud": "Bearer " + tokenFor(t, other, dps),
		"a changed signature":      good[:len(good)-6] + "AAAAAA",
		"no token":                 "Bearer ",
		"another scheme":           "Basic " + url.QueryEscape(y.scope),
	} {
		t.Run(name, func(t *testing.T) {
			if got := call(authorization, "GET", "/enrollments/a", ""); got != http.StatusUnauthorized {
				t.Errorf("%s: got %d, want 401", name, got)
			}
		})
	}
	if got := y.overHTTPS(device{scope: y.scope, id: "a", token: good}); got.status != http.StatusUnauthorized {
		t.Errorf("a device with an Entra token: got %v, want 401", got)
	}
	ahead.Store(int64(3 * time.Hour))
	if got := call(good, "GET", "/enrollments/a", ""); got != http.StatusUnauthorized {
		t.Errorf("an expired token: got %d, want 401", got)
	}
}
