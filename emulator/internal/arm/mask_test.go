package arm_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/domain"
	"evenkeel/emulator/internal/entra"
	"evenkeel/emulator/internal/state"
)

const subscription = "00000000-0000-0000-0000-000000000000"

// surface is an ARM surface over a state that the test can read.
type surface struct {
	t       testing.TB
	state   *state.State
	handler http.Handler
	token   string
}

func newSurface(t testing.TB) surface { return newSurfaceWith(t, arm.Options{}) }

// newSurfaceWith is newSurface with options.
func newSurfaceWith(t testing.TB, o arm.Options) surface {
	t.Helper()
	st, err := state.Open(state.Options{Principals: arm.Principals})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	tokens, err := entra.New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	tokens.SetBase("https://arm.example")
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {entra.ClientID}, "client_secret": {tokens.Secret()},
		"scope": {domain.ManagementAudience + "/.default"},
	}
	r := httptest.NewRequest("POST", "/"+entra.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	tokens.Handler().ServeHTTP(w, r)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("got no token: %d %s", w.Code, w.Body)
	}
	o.State, o.Tokens, o.Subscription = st, tokens, subscription
	return surface{t, st, arm.New(o), answer.AccessToken}
}

func (s surface) call(method, path, body string) (int, string) {
	s.t.Helper()
	r := httptest.NewRequest(method, "https://arm.example/subscriptions/"+subscription+"/resourceGroups/rg"+path,
		strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+s.token)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestSecretsOfHubPropertiesAreMasked(t *testing.T) {
	t.Parallel()
	s := newSurface(t)
	const hub = "/providers/Microsoft.Devices/IotHubs/hub-1?api-version=2023-06-30"
	put := func(endpoints, storage string) (int, string) {
		return s.call("PUT", hub,
			`{"location":"westeurope","sku":{"name":"S1"},"properties":{"storageEndpoints":{"$default":{"containerName":"c","connectionString":"`+
				storage+`"}},"routing":{"endpoints":{"eventHubs":[`+endpoints+`]}}}}`)
	}
	endpoint := func(name, key string) string {
		return `{"name":"` + name + `","connectionString":"Endpoint=sb://` + name +
			`.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=` + key + `"}`
	}
	const storage = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey="
	if status, body := s.call("PUT", "?api-version=2022-09-01",
		`{"location":"westeurope"}`); status != http.StatusCreated {
		t.Fatalf("put group: got %d %s", status, body)
	}
	stored := func() []byte {
		h, err := s.state.HubByHost("hub-1.azure-devices.net")
		if err != nil {
			t.Fatal(err)
		}
		return h.Properties
	}
	secrets := []string{"c2VjcmV0LW9uZQ==", "c2VjcmV0LXR3bw==", "c2VjcmV0LXRocmVl"}
	if status, body := put(endpoint("one", secrets[0])+","+endpoint("two", secrets[1]), storage+
		secrets[2]); status != http.StatusCreated {
		t.Fatalf("put hub: got %d %s", status, body)
	}
	_, shown := s.call("GET", hub, "")
	for _, secret := range secrets {
		if strings.Contains(shown, secret) {
			t.Error("got a secret in a GET, want it masked")
		}
		if !bytes.Contains(stored(), []byte(secret)) {
			t.Error("got a hub without its secret in the state")
		}
	}
	if got := strings.Count(shown, "=****"); got != 3 {
		t.Errorf("got %d masks in %s, want 3", got, shown)
	}
	// The masked strings are sent back, in another order, and one is new.
	if status, body := put(endpoint("two", "****")+","+endpoint("three", "bmV3")+","+endpoint("one", "****"), storage+
		"****"); status != http.StatusCreated {
		t.Fatalf("put hub again: got %d %s", status, body)
	}
	for _, secret := range append(secrets, "bmV3") {
		if !bytes.Contains(stored(), []byte(secret)) {
			t.Error("got a hub that lost a secret by a PUT of its mask")
		}
	}
	if status, body := put(endpoint("four", "****"), storage+"****"); status != http.StatusBadRequest {
		t.Errorf("got %d %s for a mask of nothing, want 400", status, body)
	}
}
