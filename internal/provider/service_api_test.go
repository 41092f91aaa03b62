package provider_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/pulumi/pulumi-go-provider/integration"

	"evenkeel/internal/azure/sas"
)

// serviceAPI calls the DPS service API 2026-11-01 of an emulator as other tools do: with literal JSON, and with none of
// the project's code except the signature.
type serviceAPI struct {
	cloud *azure
	key   string
}

// openService creates a provisioning service with two linked hubs, hub-1 and hub-2, and a provider for it.
func openService(t *testing.T) (serviceAPI, integration.Server) {
	t.Helper()
	cloud, key, linkKey := newAzure(t), newKey(t), newKey(t)
	for _, hub := range []string{"hub-1", "hub-2"} {
		must(t, cloud.putHubNamed(t.Context(), hub, linkKey, newKey(t)))
	}
	_, err := cloud.putService(t.Context(), key, newKey(t), linkKey, "hub-2")
	must(t, err)
	return serviceAPI{cloud, key}, startProvider(t, cloud.config(key))
}

// call sends a request and returns the object in the answer.
func (s serviceAPI) call(t *testing.T, method, path string, body map[string]any) map[string]any {
	t.Helper()
	var object map[string]any
	s.send(t, method, path, body, &object)
	return object
}

// list returns the result of a query, all of which is on its first page.
func (s serviceAPI) list(t *testing.T, path string) []map[string]any {
	t.Helper()
	var found []map[string]any
	s.send(t, http.MethodPost, path, map[string]any{"query": "SELECT *"}, &found)
	return found
}

func (s serviceAPI) send(t *testing.T, method, path string, body map[string]any, into any) {
	t.Helper()
	var content []byte
	if body != nil {
		var err error
		content, err = json.Marshal(body)
		must(t, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, s.cloud.Endpoints().Data+path+
		"?api-version=2026-11-01", bytes.NewReader(content))
	must(t, err)
	token, err := sas.New(emulatedHost, policyName, s.key, time.Now().Add(time.Hour))
	must(t, err)
	request.Host = emulatedHost
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPut {
		request.Header.Set("If-Match", "*")
	}
	answer, err := s.cloud.devices.Do(request)
	must(t, err)
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %v %v", method, path, answer.Status, into, err)
	}
}

// entry returns an entry with its keys.
func (s serviceAPI) entry(t *testing.T, path string) map[string]any {
	t.Helper()
	entry := s.call(t, http.MethodGet, path, nil)
	entry["attestation"] = s.call(t, http.MethodPost, path+"/attestationmechanism", nil)
	return entry
}

// edit changes an entry without the provider.
func (s serviceAPI) edit(t *testing.T, path string, change func(entry map[string]any)) {
	t.Helper()
	entry := s.entry(t, path)
	change(entry)
	for _, name := range []string{"etag", "createdDateTimeUtc", "lastUpdatedDateTimeUtc", "registrationState"} {
		delete(entry, name)
	}
	s.call(t, http.MethodPut, path, entry)
}

// remove deletes an entry.
func (s serviceAPI) remove(t *testing.T, path string) {
	t.Helper()
	s.call(t, http.MethodDelete, path, nil)
}
