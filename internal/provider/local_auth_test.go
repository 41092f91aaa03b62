package provider_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// disableLocalAuth puts the provisioning service with disableLocalAuth, which the clients in this repository cannot
// set.
func (a *azure) disableLocalAuth(t *testing.T) {
	t.Helper()
	ends := a.Endpoints()
	response, err := a.devices.PostForm(ends.ARM+"/"+ends.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {ends.ClientID}, "client_secret": {ends.ClientSecret},
		"scope": {ends.ARM + "/.default"},
	})
	must(t, err)
	defer response.Body.Close()
	var login struct {
		Token string `json:"access_token"`
	}
	must(t, json.NewDecoder(response.Body).Decode(&login))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, ends.ARM+servicePath+
		"?api-version=2026-08-31",
		strings.NewReader(`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{"disableLocalAuth":true}}`))
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+login.Token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := a.devices.Do(request)
	must(t, err)
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("put the service: got %d %s (%v)", answer.StatusCode, body, err)
	}
}

// TestTheErrorForARejectedKeyNamesTheLoginWithEntra: the service rejects every key. The error names the setting, the
// command that shows it, and the login with Microsoft Entra ID, which works.
func TestTheErrorForARejectedKeyNamesTheLoginWithEntra(t *testing.T) {
	t.Parallel()
	cloud, entra := withEntra(t)
	key := newKey(t)
	_, err := cloud.putService(t.Context(), key, newKey(t), "")
	must(t, err)
	keyed := cloud.config(key)
	text := object{
		"connectionString": "HostName=" + emulatedHost + ";SharedAccessKeyName=" + policyName + ";SharedAccessKey=" +
			key,
		"endpoint": keyed["endpoint"], "caFile": keyed["caFile"], "rateLimit": 0,
	}
	manage(t, startProvider(t, keyed), "IndividualEnrollment", "x").up(object{"registrationId": "device-0"})
	cloud.disableLocalAuth(t)
	for name, config := range map[string]object{"policyName and key": keyed, "connectionString": text} {
		t.Run(name, func(t *testing.T) {
			_, err := manage(t, startProvider(t, config), "IndividualEnrollment",
				"x").tryUp(object{"registrationId": "device-1"})
			if err == nil {
				t.Fatalf("%s: got no error", name)
			}
			for _, want := range []string{
				"disableLocalAuth", "az iot dps show --name dps-1 --query properties.disableLocalAuth",
				"remove " + name, "Device Provisioning Service Data Contributor", "Microsoft Entra ID",
			} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: got %v, want %q in it", name, err, want)
				}
			}
			if strings.Contains(err.Error(), key) {
				t.Errorf("%s: the error contains the key", name)
			}
		})
	}
	live(t, entra)
}
