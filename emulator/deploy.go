package emulator

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"evenkeel/emulator/internal/domain"
)

// Deployment describes a provisioning service with linked hubs, for tests of device programs.
type Deployment struct {
	// Service is the name of the provisioning service. Empty means "dps".
	Service string
	// Hubs are the names of the linked hubs. Nil means "hub-1" and "hub-2".
	Hubs []string
	// AllocationPolicy is Hashed, GeoLatency or Static, as Azure Resource Manager spells it. Empty means Hashed, the
	// even distribution.
	AllocationPolicy string
}

// Deployed holds what clients of a deployment need.
type Deployed struct {
	// IDScope is the service's ID scope, with which devices register.
	IDScope string
	// Service is the connection string of the service's policy provisioningserviceowner.
	Service string
	// Hubs are the connection strings of the hubs' policy iothubowner, by host name.
	Hubs map[string]string
}

// Versions of Azure Resource Manager that Deploy sends.
const (
	groupVersion   = "2022-09-01"
	hubVersion     = "2023-06-30"
	serviceVersion = "2022-12-12"
)

// deployPause is the time between two requests for a resource that is not active yet.
const deployPause = 10 * time.Millisecond

// Deploy creates a provisioning service and its linked hubs in the resource group "test", through the emulator's
// Azure Resource Manager, and waits until they are active. Existing resources of these names are updated. The emulator
// must have been started.
func (e *Emulator) Deploy(ctx context.Context, d Deployment) (Deployed, error) {
	if e.endpoints.ARM == "" {
		return Deployed{}, errors.New("emulator: deploy: the emulator is not started")
	}
	m, err := e.newManager(ctx)
	if err != nil {
		return Deployed{}, fmt.Errorf("emulator: deploy: %w", err)
	}
	defer m.client.CloseIdleConnections()
	deployed, err := m.deploy(ctx, d)
	if err != nil {
		return Deployed{}, fmt.Errorf("emulator: deploy: %w", err)
	}
	return deployed, nil
}

// manager is a client of the emulator's Azure Resource Manager.
type manager struct {
	client *http.Client
	base   string
	token  string
}

func (e *Emulator) newManager(ctx context.Context) (*manager, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(e.endpoints.CAPEM)
	m := &manager{base: e.endpoints.ARM, client: &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {e.endpoints.ClientID},
		"client_secret": {e.endpoints.ClientSecret}, "scope": {m.base + "/.default"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.base+"/"+e.endpoints.TenantID+
		"/oauth2/v2.0/token", bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := m.do(request, &answer); err != nil {
		return nil, err
	}
	m.token = answer.AccessToken
	return m, nil
}

func (m *manager) deploy(ctx context.Context, d Deployment) (Deployed, error) {
	const location = "westeurope"
	group := "/subscriptions/" + SubscriptionID + "/resourceGroups/test"
	devices := group + "/providers/Microsoft.Devices"
	sku := map[string]any{"name": "S1", "capacity": 1}
	if err := m.put(ctx, group, groupVersion, map[string]any{"location": location}); err != nil {
		return Deployed{}, err
	}
	hubs := d.Hubs
	if hubs == nil {
		hubs = []string{"hub-1", "hub-2"}
	}
	deployed := Deployed{Hubs: map[string]string{}}
	links := []map[string]any{}
	for _, name := range hubs {
		host, path := name+hubDomain, devices+"/IotHubs/"+url.PathEscape(name)
		if _, err := m.create(ctx, path, hubVersion, map[string]any{"location": location, "sku": sku}); err != nil {
			return Deployed{}, err
		}
		key, err := m.key(ctx, path+"/IotHubKeys/iothubowner/listkeys", hubVersion)
		if err != nil {
			return Deployed{}, err
		}
		deployed.Hubs[host] = connectionString(host, "iothubowner", key)
		links = append(links, map[string]any{"location": location, "connectionString": deployed.Hubs[host]})
	}
	name := cmp.Or(d.Service, "dps")
	path := devices + "/provisioningServices/" + url.PathEscape(name)
	var err error
	deployed.IDScope, err = m.create(ctx, path, serviceVersion, map[string]any{"location": location, "sku": sku,
		"properties": map[string]any{"allocationPolicy": cmp.Or(d.AllocationPolicy, "Hashed"), "iotHubs": links}})
	if err != nil {
		return Deployed{}, err
	}
	key, err := m.key(ctx, path+"/keys/provisioningserviceowner/listkeys", serviceVersion)
	if err != nil {
		return Deployed{}, err
	}
	deployed.Service = connectionString(name+"."+domain.Service, "provisioningserviceowner", key)
	return deployed, nil
}

func connectionString(host, policy, key string) string {
	return "HostName=" + host + ";SharedAccessKeyName=" + policy + ";SharedAccessKey=" + key
}

func (m *manager) put(ctx context.Context, path, version string, body any) error {
	return m.call(ctx, http.MethodPut, path, version, body, nil)
}

// create creates or updates a hub or a service, waits until it is active, and returns the ID scope of a service.
func (m *manager) create(ctx context.Context, path, version string, body any) (string, error) {
	if err := m.put(ctx, path, version, body); err != nil {
		return "", err
	}
	for {
		var resource struct {
			Properties struct{ State, IDScope string }
		}
		if err := m.call(ctx, http.MethodGet, path, version, nil, &resource); err != nil {
			return "", err
		}
		if resource.Properties.State == "Active" {
			return resource.Properties.IDScope, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("wait for %s, which is %s: %w", path, resource.Properties.State, context.Cause(ctx))
		case <-time.After(deployPause):
		}
	}
}

// key returns the primary key of a policy.
func (m *manager) key(ctx context.Context, path, version string) (string, error) {
	var policy struct{ PrimaryKey string }
	err := m.call(ctx, http.MethodPost, path, version, nil, &policy)
	return policy.PrimaryKey, err
}

func (m *manager) call(ctx context.Context, method, path, version string, body, into any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, m.base+path+"?api-version="+version, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+m.token)
	request.Header.Set("Content-Type", "application/json")
	return m.do(request, into)
}

// do sends a request and decodes a successful answer into into, unless that is nil. Errors contain the message of
// Azure Resource Manager.
func (m *manager) do(request *http.Request, into any) error {
	answer, err := m.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusBadRequest {
		var refusal struct{ Error struct{ Message string } }
		if err := json.Unmarshal(text, &refusal); err != nil {
			refusal.Error.Message = "" // not in ARM's format: the status has to do
		}
		return fmt.Errorf("%s %s: %s %s", request.Method, request.URL.Path, answer.Status, refusal.Error.Message)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
