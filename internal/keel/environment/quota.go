package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"evenkeel/internal/hint"
)

// Quota is what a subscription holds of what an environment needs, and how much it may hold.
type Quota struct{ Hubs, FreeHubs, Services Share }

// Share is one quota of a subscription.
type Share struct{ Used, Limit int }

// UsualQuota holds Azure's limits of a subscription ("Azure IoT Hub limits", "Azure IoT Hub Device Provisioning Service limits"): paid
// hubs, one free hub, provisioning services. Azure's support can raise the first and the last; only of hubs does Azure tell how far.
var UsualQuota = Quota{Hubs: Share{Limit: 50}, FreeHubs: Share{Limit: 1}, Services: Share{Limit: 10}}

// MaxServicesKey is the setting of Pulumi.yaml that says how many provisioning services the subscription may have, where that is not
// the usual number.
const MaxServicesKey = "maxProvisioningServices"

// Meter tells the quota of a subscription.
type Meter interface {
	Quota(ctx context.Context) (Quota, error)
}

// Need is what the next up adds to a subscription.
type Need struct{ Hubs, FreeHubs, Services int }

// Need compares the configuration with the state. A configuration that the program will refuse needs nothing here.
func (e *Environment) Need(ctx context.Context) (Need, error) {
	settings, err := e.rawSettings()
	if err != nil {
		return Need{}, err
	}
	state, err := e.load(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Need{}, fmt.Errorf("look at stack %q: %w", e.Stack, err)
	}
	have := state.holds()
	want := wanted(settings)
	return Need{max(0, want.Hubs-have.Hubs), max(0, want.FreeHubs-have.FreeHubs), max(0, want.Services-have.Services)}, nil
}

// wanted counts what a configuration declares, by the keys of the program: hubs, hubSettings, provisioningService.
func wanted(settings map[string]any) Need {
	need := Need{Services: 1}
	if id, ok := settings["provisioningService"]; ok && id != "" {
		need.Services = 0
	}
	hubs := 2
	if text, ok := settings["hubs"]; ok {
		var err error
		if hubs, err = strconv.Atoi(strings.TrimSpace(fmt.Sprint(text))); err != nil {
			hubs = 0
		}
	}
	of, _ := settings["hubSettings"].(map[string]any)
	for i := range hubs {
		set, _ := of[fmt.Sprintf("hub-%d", i+1)].(map[string]any)
		switch {
		case set["remove"] == true:
		case strings.EqualFold(fmt.Sprint(set["sku"]), freeSKU):
			need.FreeHubs++
		default:
			need.Hubs++
		}
	}
	return need
}

// freeSKU is the sku of hubs that cost nothing.
const freeSKU = "F1"

// The types of what is counted, as the state has them.
const (
	HubType     = "azure-native:devices:IotHubResource"
	serviceType = "azure-native:devices:IotDpsResource"
)

// holds counts what a state has.
func (d deployment) holds() Need {
	var have Need
	for _, r := range d.Resources {
		switch {
		case r.Type == serviceType:
			have.Services++
		case r.Type == HubType && strings.EqualFold(r.sku(), freeSKU):
			have.FreeHubs++
		case r.Type == HubType:
			have.Hubs++
		}
	}
	return have
}

func (r resource) sku() string {
	var inputs struct {
		SKU struct {
			Name string `json:"name"`
		} `json:"sku"`
	}
	_ = json.Unmarshal(r.Inputs, &inputs) // of another shape: no sku that is known
	return inputs.SKU.Name
}

// CheckQuota is an error when the subscription has no room for what the next up adds. An up that adds nothing asks nothing.
func (e *Environment) CheckQuota(ctx context.Context, meter Meter) error {
	need, err := e.Need(ctx)
	if err != nil || need == (Need{}) {
		return err
	}
	quota, err := meter.Quota(ctx)
	if err != nil { // a caller who may not see it may still be allowed to create
		e.notice("the quota of the subscription cannot be seen: %v", err)
		return nil
	}
	if most, err := e.Folder.MaxServices(); err != nil {
		return err
	} else if most > 0 {
		quota.Services.Limit = most
	}
	var short []string
	for _, kind := range []struct {
		what string
		need int
		Share
	}{
		{"IoT hubs", need.Hubs, quota.Hubs}, {"free IoT hubs", need.FreeHubs, quota.FreeHubs}, {"provisioning services", need.Services, quota.Services},
	} {
		if kind.need > 0 && kind.Used+kind.need > kind.Limit {
			short = append(short, fmt.Sprintf("%d more %s, of which it has %d of %d", kind.need, kind.what, kind.Used, kind.Limit))
		}
	}
	if len(short) == 0 {
		return nil
	}
	err = fmt.Errorf("the subscription has no room for environment %s: it needs %s", e.Stack, strings.Join(short, ", and "))
	return hint.To(err, "%s", e.roomHint(need, quota))
}

// roomHint says how to get by with what there is.
func (e *Environment) roomHint(need Need, quota Quota) string {
	switch {
	case need.Services > 0 && quota.Services.Used+need.Services > quota.Services.Limit:
		return fmt.Sprintf("share an existing provisioning service: keel exec -s %s -- pulumi config set provisioningService RESOURCE-ID; "+
			"or remove what has expired: keel reap; or tell the limit that Azure gave you: %s in Pulumi.yaml", e.Stack, MaxServicesKey)
	case need.FreeHubs > 0 && quota.FreeHubs.Used+need.FreeHubs > quota.FreeHubs.Limit:
		return "choose another sku in hubSettings, S1 say; a subscription has one free hub"
	}
	return fmt.Sprintf("take fewer hubs: keel exec -s %s -- pulumi config set hubs N; or remove what has expired: keel reap", e.Stack)
}
