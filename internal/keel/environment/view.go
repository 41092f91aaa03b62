package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
)

// View is a service or a hub as the newest api-version shows it.
type View = hublink.View

// Inventory lists the hubs and the provisioning service of a stack, as its state has them.
type Inventory struct {
	Hubs []InventoryHub
	// Service is the resource id of the provisioning service; empty if the stack has none yet.
	Service string
	// OwnsService: the stack declares the service, and its updates write it. Otherwise it uses that of another stack.
	OwnsService bool
	// UsesServiceKey: the provider signs with the key of a shared access policy of the service, instead of a login with
	// Microsoft Entra ID.
	UsesServiceKey bool
}

// InventoryHub is a hub in the state.
type InventoryHub struct {
	// Name is the hub's name in the program, ID its resource id.
	Name, ID string
	// LocalAuthDisabled is the configured setting. An up that applies it may not have run yet.
	LocalAuthDisabled bool
}

// AzureName is the hub's name on Azure.
func (h InventoryHub) AzureName() string { return path.Base(h.ID) }

// Inventory reads the stack's state and configuration. It runs Pulumi only if the state is not in files, and returns
// nothing for a stack that does not exist.
func (e *Environment) Inventory(ctx context.Context) (Inventory, error) {
	settings, err := e.rawSettings()
	if err != nil {
		return Inventory{}, err
	}
	state, err := e.load(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return Inventory{}, nil
	}
	if err != nil {
		return Inventory{}, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	hubs, _ := settings["hubSettings"].(map[string]any)
	var d Inventory
	for _, r := range state.Resources {
		switch {
		case r.Delete || r.ID == "":
		case r.Type == HubType:
			set, _ := hubs[r.name()].(map[string]any)
			d.Hubs = append(d.Hubs, InventoryHub{r.name(), r.ID, fmt.Sprint(set["disableLocalAuth"]) == "true"})
		case r.Type == serviceType:
			d.Service, d.OwnsService, d.UsesServiceKey = r.ID, true, true
		}
	}
	if id, _ := settings["provisioningService"].(string); id != "" && len(d.Hubs) > 0 {
		policy, _ := settings["provisioningPolicy"].(string)
		d.Service, d.OwnsService, d.UsesServiceKey = id, false, policy != ""
	}
	return d, nil
}

// ProgramVersion returns the api-version with which the program's updates write a type of resource: that of
// azure-native 2.92.3.
func ProgramVersion(kind string) string { return programVersions[strings.ToLower(kind)] }

// ViewService reads a provisioning service with the newest api-version that is served, and finds what the program's
// version does not show.
func (m *ResourceManager) ViewService(ctx context.Context, id string) (View, error) {
	views, err := m.views()
	if err != nil {
		return View{}, err
	}
	return views.ViewService(ctx, id, ProgramVersion("Microsoft.Devices/provisioningServices"))
}

// ViewHub is ViewService for a hub.
func (m *ResourceManager) ViewHub(ctx context.Context, id string) (View, error) {
	views, err := m.views()
	if err != nil {
		return View{}, err
	}
	return views.ViewHub(ctx, id, ProgramVersion("Microsoft.Devices/IotHubs"))
}

// views returns the client that reads resources with the newest api-version. It keeps what it knows of the versions.
func (m *ResourceManager) views() (*hublink.Client, error) {
	m.once.Do(func() {
		host := m.options.Cloud
		if len(host.Services) == 0 {
			host = cloud.AzurePublic
		}
		at := host.Services[cloud.ResourceManager]
		client, err := arm.New(arm.Options{
			Endpoint: at.Endpoint, Audience: at.Audience, AuthorityHost: host.ActiveDirectoryAuthorityHost,
			Credential: m.credential, AuxiliaryTenants: m.options.AuxiliaryTenants, Transport: m.options.Transport,
			Retry: m.options.Retry, Name: "evenkeel-environment", Version: "1.0.0",
		})
		if err != nil {
			m.viewsErr = err
			return
		}
		m.viewsOf = hublink.New(client, hublink.Pace{})
	})
	return m.viewsOf, m.viewsErr
}
