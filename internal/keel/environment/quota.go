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

// Quota is how many of the resources that environments need a subscription has, and how many it may have.
type Quota struct{ Hubs, FreeHubs, Services Share }

// Share is one quota of a subscription.
type Share struct{ Used, Limit int }

// DefaultQuota has Azure's default limits of a subscription ("Azure IoT Hub limits", "Azure IoT Hub Device Provisioning
// Service limits"). Azure's support can raise those of paid hubs and provisioning services; Azure reports only the
// limits of hubs.
var DefaultQuota = Quota{Hubs: Share{Limit: 50}, FreeHubs: Share{Limit: 1}, Services: Share{Limit: 10}}

// MaxServicesKey is the setting of Pulumi.yaml for how many provisioning services the subscription may have, if that is
// not the default.
const MaxServicesKey = "maxProvisioningServices"

// Meter returns the quota of a subscription.
type Meter interface {
	Quota(ctx context.Context) (Quota, error)
}

// Need is what the next up adds to a subscription.
type Need struct{ Hubs, FreeHubs, Services int }

// Need compares the configuration with the state. A configuration that the program will reject needs nothing.
func (e *Environment) Need(ctx context.Context) (Need, error) {
	settings, err := e.rawSettings()
	if err != nil {
		return Need{}, err
	}
	state, err := e.load(ctx)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Need{}, fmt.Errorf("read stack %q: %w", e.Stack, err)
	}
	have := state.count()
	want := wanted(settings)
	return Need{max(0, want.Hubs-have.Hubs), max(0, want.FreeHubs-have.FreeHubs), max(0, want.Services-have.Services)},
		nil
}

// wanted counts the resources that a configuration declares, by its keys hubs, hubSettings and provisioningService.
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

// The types of the counted resources in the state.
const (
	HubType     = "azure-native:devices:IotHubResource"
	serviceType = "azure-native:devices:IotDpsResource"
)

// count counts the resources of a state.
func (d deployment) count() Need {
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
	_ = json.Unmarshal(r.Inputs, &inputs) // inputs of another shape have no known sku
	return inputs.SKU.Name
}

// CheckQuota returns an error if the resources that the next up adds exceed the subscription's quota. It asks for the
// quota only if the up adds any.
func (e *Environment) CheckQuota(ctx context.Context, meter Meter) error {
	need, err := e.Need(ctx)
	if err != nil || need == (Need{}) {
		return err
	}
	quota, err := meter.Quota(ctx)
	if err != nil { // a caller who may not read the quota may still be allowed to create resources
		e.notice("cannot read the quota of the subscription: %v", err)
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
		{"IoT hubs", need.Hubs, quota.Hubs}, {"free IoT hubs", need.FreeHubs, quota.FreeHubs},
		{"provisioning services", need.Services, quota.Services},
	} {
		if kind.need > 0 && kind.Used+kind.need > kind.Limit {
			short = append(short, fmt.Sprintf("%d more %s (%d of %d in use)", kind.need, kind.what, kind.Used,
				kind.Limit))
		}
	}
	if len(short) == 0 {
		return nil
	}
	err = fmt.Errorf("the subscription's quota is too small for environment %s: it needs %s", e.Stack,
		strings.Join(short, ", and "))
	return hint.To(err, "%s", e.quotaHint(need, quota))
}

// quotaHint returns a hint on how to stay within the quota.
func (e *Environment) quotaHint(need Need, quota Quota) string {
	switch {
	case need.Services > 0 && quota.Services.Used+need.Services > quota.Services.Limit:
		return fmt.Sprintf("share an existing provisioning service: keel exec -s %s -- pulumi config set "+
			"provisioningService RESOURCE-ID; "+
			"or remove expired environments: keel reap; or set the limit that Azure gave you: %s in Pulumi.yaml",
			e.Stack, MaxServicesKey)
	case need.FreeHubs > 0 && quota.FreeHubs.Used+need.FreeHubs > quota.FreeHubs.Limit:
		return "choose another sku in hubSettings, such as S1: a subscription may have only one free hub"
	}
	return fmt.Sprintf("use fewer hubs: keel exec -s %s -- pulumi config set hubs N; or remove expired environments: "+
		"keel reap", e.Stack)
}
