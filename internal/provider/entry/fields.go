package entry

import (
	"reflect"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// field is one property of an enrollment that can change, named by its path in the schema. The table below is the only
// place that knows when two spellings of a property mean the same; Diff, Read and the error of a lost race use it.
type field struct {
	Path string
	// same reports whether what is wanted is what the service holds.
	same func(want Declared, got Held) bool
	// adopt makes the wanted value the one that the service holds.
	adopt func(want *Declared, got Held)
	// replaces says that the service cannot change the property of an existing entry.
	replaces bool
}

var fields = []field{
	{
		Path:  "deviceId",
		same:  func(w Declared, g Held) bool { return Text(w.DeviceID) == Text(g.DeviceID) },
		adopt: func(w *Declared, g Held) { w.DeviceID = g.DeviceID },
	}, {
		Path:  "optionalDeviceInformation",
		same:  func(w Declared, g Held) bool { return sameJSON(w.DeviceInformation, g.DeviceInformation) },
		adopt: func(w *Declared, g Held) { w.DeviceInformation = PlainJSON(g.DeviceInformation) },
	}, {
		Path:  "provisioningStatus",
		same:  func(w Declared, g Held) bool { return StatusOf(w.Settings) == StatusOf(g.Settings) },
		adopt: func(w *Declared, g Held) { w.ProvisioningStatus = g.ProvisioningStatus },
	}, {
		Path:  "capabilities.iotEdge",
		same:  func(w Declared, g Held) bool { return IsEdge(w.Settings) == IsEdge(g.Settings) },
		adopt: func(w *Declared, g Held) { w.Capabilities = &Capabilities{IotEdge: IsEdge(g.Settings)} },
	}, {
		Path: "initialTwin.tags",
		same: func(w Declared, g Held) bool { return sameJSON(TwinOf(w.Settings).Tags, TwinOf(g.Settings).Tags) },
		adopt: func(w *Declared, g Held) {
			w.InitialTwin = &InitialTwin{Tags: PlainJSON(TwinOf(g.Settings).Tags),
				DesiredProperties: TwinOf(w.Settings).DesiredProperties}
		},
	}, {
		Path: "initialTwin.desiredProperties",
		same: func(w Declared, g Held) bool {
			return sameJSON(TwinOf(w.Settings).DesiredProperties, TwinOf(g.Settings).DesiredProperties)
		},
		adopt: func(w *Declared, g Held) {
			w.InitialTwin = &InitialTwin{Tags: TwinOf(w.Settings).Tags,
				DesiredProperties: PlainJSON(TwinOf(g.Settings).DesiredProperties)}
		},
	}, {
		Path: "reprovisionPolicy.updateHubAssignment",
		same: func(w Declared, g Held) bool {
			return ReprovisionOf(w.Settings).UpdateHubAssignment == ReprovisionOf(g.Settings).UpdateHubAssignment
		},
		adopt: func(w *Declared, g Held) {
			w.ReprovisionPolicy = &ReprovisionPolicy{ReprovisionOf(g.Settings).UpdateHubAssignment,
				ReprovisionOf(w.Settings).MigrateDeviceData}
		},
	}, {
		Path: "reprovisionPolicy.migrateDeviceData",
		same: func(w Declared, g Held) bool {
			return ReprovisionOf(w.Settings).MigrateDeviceData == ReprovisionOf(g.Settings).MigrateDeviceData
		},
		adopt: func(w *Declared, g Held) {
			w.ReprovisionPolicy = &ReprovisionPolicy{ReprovisionOf(w.Settings).UpdateHubAssignment,
				ReprovisionOf(g.Settings).MigrateDeviceData}
		},
	}, {
		Path:  "allocationPolicy",
		same:  func(w Declared, g Held) bool { return PolicyOf(w.Settings) == PolicyOf(g.Settings) },
		adopt: func(w *Declared, g Held) { w.AllocationPolicy = g.AllocationPolicy },
	}, {
		Path: webhookPath,
		same: func(w Declared, g Held) bool {
			return sameWebhook(WebhookOf(w.Settings).WebhookURL, WebhookOf(g.Settings).WebhookURL)
		},
		adopt: func(w *Declared, g Held) { adoptWebhook(w, g.CustomAllocation) },
	}, {
		Path: "customAllocation.apiVersion",
		same: func(w Declared, g Held) bool {
			return WebhookOf(w.Settings).APIVersion == WebhookOf(g.Settings).APIVersion
		},
		adopt: func(w *Declared, g Held) { adoptWebhook(w, g.CustomAllocation) },
	}, {
		Path:  "iotHubs",
		same:  func(w Declared, g Held) bool { return slices.Equal(HubsOf(w.Settings), HubsOf(g.Settings)) },
		adopt: func(w *Declared, g Held) { w.IotHubs = g.IotHubs },
	}, {
		Path: "iotHubHostName",
		same: func(w Declared, g Held) bool {
			return strings.EqualFold(Text(w.IotHubHostName), Text(g.IotHubHostName))
		},
		adopt: func(w *Declared, g Held) { w.IotHubHostName = g.IotHubHostName },
	},
}

// allFields returns the table with its other parts. The attestation's is the last: see Changes.
func allFields() []field { return slices.Concat(fields, issuanceFields, attestationFields) }

// Changes returns the fields in which what the service holds is not what is wanted.
func Changes(want Declared, got Held) []field {
	var changed []field
	for _, f := range allFields() {
		if !f.same(want, got) {
			changed = append(changed, f)
			if f.Path == AttestationPath {
				break // the parts of another kind of attestation have nothing to be compared with
			}
		}
	}
	return changed
}

// Reconcile returns want with what the service holds wherever the two differ, and in want's own spelling wherever they
// do not.
func Reconcile(want Declared, got Held) Declared {
	for _, f := range Changes(want, got) {
		f.adopt(&want, got)
	}
	return want
}

func paths(changed []field) string {
	names := make([]string, 0, len(changed))
	for _, f := range changed {
		names = append(names, f.Path)
	}
	return strings.Join(names, ", ")
}

// StatusOf returns the provisioning status in lower case; enabled when it is left out.
func StatusOf(s Settings) string {
	if s.ProvisioningStatus == nil || *s.ProvisioningStatus == "" {
		return string(ProvisioningEnabled) // null counts as enabled at the service
	}
	return strings.ToLower(string(*s.ProvisioningStatus))
}

// IsEdge reports whether the settings are of an IoT Edge device.
func IsEdge(s Settings) bool { return s.Capabilities != nil && s.Capabilities.IotEdge }

// TwinOf returns the initial twin; an empty one when it is left out.
func TwinOf(s Settings) InitialTwin {
	if s.InitialTwin == nil {
		return InitialTwin{}
	}
	return *s.InitialTwin
}

// ReprovisionOf returns the policy for devices that register again; the service's default when it is left out.
func ReprovisionOf(s Settings) ReprovisionPolicy {
	if s.ReprovisionPolicy == nil {
		return ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true} // the service's defaults
	}
	return *s.ReprovisionPolicy
}

// PolicyOf returns the allocation policy as the service spells it; empty when it is left out.
func PolicyOf(s Settings) string {
	if s.AllocationPolicy == nil {
		return ""
	}
	policy, _ := enrollment.CanonicalPolicy(string(*s.AllocationPolicy))
	return policy
}

// WebhookOf returns the webhook of the policy custom; zero when it is left out.
func WebhookOf(s Settings) CustomAllocation {
	if s.CustomAllocation == nil {
		return CustomAllocation{}
	}
	return *s.CustomAllocation
}

// webhookPath is the path of a webhook's address.
const webhookPath = "customAllocation.webhookUrl"

// sameWebhook compares a webhook's address with the one that the service returns, whose query is masked: then only the
// presence of a query is compared.
func sameWebhook(want, got string) bool {
	address, _, _ := strings.Cut(got, "?")
	if !enrollment.IsMasked(got) {
		return want == got
	}
	wanted, _, hasQuery := strings.Cut(want, "?")
	return hasQuery && wanted == address
}

// adoptWebhook takes over the webhook, keeping an address that differs only in what the service masks.
func adoptWebhook(w *Declared, got *CustomAllocation) {
	if got == nil {
		w.CustomAllocation = nil
		return
	}
	adopted := *got
	if have := WebhookOf(w.Settings).WebhookURL; sameWebhook(have, got.WebhookURL) {
		adopted.WebhookURL = have
	}
	w.CustomAllocation = &adopted
}

// HubsOf returns the hub list as the set that it is.
func HubsOf(s Settings) []string {
	hubs := make([]string, 0, len(s.IotHubs))
	for _, hub := range s.IotHubs {
		hubs = append(hubs, strings.ToLower(hub))
	}
	slices.Sort(hubs)
	return hubs
}

// PlainJSON returns the JSON without what the service adds to a twin collection.
func PlainJSON(object map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range object {
		if name != "$version" && name != "$metadata" {
			plain[name] = value
		}
	}
	if len(plain) == 0 {
		return nil
	}
	return plain
}

func sameJSON(a, b map[string]any) bool { return reflect.DeepEqual(PlainJSON(a), PlainJSON(b)) }
