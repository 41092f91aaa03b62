package provider

import (
	"reflect"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// field is one property of an enrollment that can change, named by its path in the schema. The table below is the only place
// that knows when two spellings of a property mean the same; Diff, Read and the report of a lost race all go by it.
type field struct {
	path string
	// same reports whether what is wanted is what the service holds.
	same func(want declared, got held) bool
	// adopt makes the wanted value the one that the service holds.
	adopt func(want *declared, got held)
	// replaces says that the service cannot change the property of an existing entry.
	replaces bool
}

var fields = []field{
	{
		path:  "deviceId",
		same:  func(w declared, g held) bool { return text(w.DeviceID) == text(g.DeviceID) },
		adopt: func(w *declared, g held) { w.DeviceID = g.DeviceID },
	}, {
		path:  "optionalDeviceInformation",
		same:  func(w declared, g held) bool { return sameJSON(w.DeviceInformation, g.DeviceInformation) },
		adopt: func(w *declared, g held) { w.DeviceInformation = plainJSON(g.DeviceInformation) },
	}, {
		path:  "provisioningStatus",
		same:  func(w declared, g held) bool { return statusOf(w.Settings) == statusOf(g.Settings) },
		adopt: func(w *declared, g held) { w.ProvisioningStatus = g.ProvisioningStatus },
	}, {
		path:  "capabilities.iotEdge",
		same:  func(w declared, g held) bool { return isEdge(w.Settings) == isEdge(g.Settings) },
		adopt: func(w *declared, g held) { w.Capabilities = &Capabilities{IotEdge: isEdge(g.Settings)} },
	}, {
		path: "initialTwin.tags",
		same: func(w declared, g held) bool { return sameJSON(twinOf(w.Settings).Tags, twinOf(g.Settings).Tags) },
		adopt: func(w *declared, g held) {
			w.InitialTwin = &InitialTwin{Tags: plainJSON(twinOf(g.Settings).Tags), DesiredProperties: twinOf(w.Settings).DesiredProperties}
		},
	}, {
		path: "initialTwin.desiredProperties",
		same: func(w declared, g held) bool {
			return sameJSON(twinOf(w.Settings).DesiredProperties, twinOf(g.Settings).DesiredProperties)
		},
		adopt: func(w *declared, g held) {
			w.InitialTwin = &InitialTwin{Tags: twinOf(w.Settings).Tags, DesiredProperties: plainJSON(twinOf(g.Settings).DesiredProperties)}
		},
	}, {
		path: "reprovisionPolicy.updateHubAssignment",
		same: func(w declared, g held) bool {
			return reprovisionOf(w.Settings).UpdateHubAssignment == reprovisionOf(g.Settings).UpdateHubAssignment
		},
		adopt: func(w *declared, g held) {
			w.ReprovisionPolicy = &ReprovisionPolicy{reprovisionOf(g.Settings).UpdateHubAssignment, reprovisionOf(w.Settings).MigrateDeviceData}
		},
	}, {
		path: "reprovisionPolicy.migrateDeviceData",
		same: func(w declared, g held) bool {
			return reprovisionOf(w.Settings).MigrateDeviceData == reprovisionOf(g.Settings).MigrateDeviceData
		},
		adopt: func(w *declared, g held) {
			w.ReprovisionPolicy = &ReprovisionPolicy{reprovisionOf(w.Settings).UpdateHubAssignment, reprovisionOf(g.Settings).MigrateDeviceData}
		},
	}, {
		path:  "allocationPolicy",
		same:  func(w declared, g held) bool { return policyOf(w.Settings) == policyOf(g.Settings) },
		adopt: func(w *declared, g held) { w.AllocationPolicy = g.AllocationPolicy },
	}, {
		path: webhookPath,
		same: func(w declared, g held) bool {
			return sameWebhook(webhookOf(w.Settings).WebhookURL, webhookOf(g.Settings).WebhookURL)
		},
		adopt: func(w *declared, g held) { adoptWebhook(w, g.CustomAllocation) },
	}, {
		path: "customAllocation.apiVersion",
		same: func(w declared, g held) bool {
			return webhookOf(w.Settings).APIVersion == webhookOf(g.Settings).APIVersion
		},
		adopt: func(w *declared, g held) { adoptWebhook(w, g.CustomAllocation) },
	}, {
		path:  "iotHubs",
		same:  func(w declared, g held) bool { return slices.Equal(hubsOf(w.Settings), hubsOf(g.Settings)) },
		adopt: func(w *declared, g held) { w.IotHubs = g.IotHubs },
	}, {
		path: "iotHubHostName",
		same: func(w declared, g held) bool {
			return strings.EqualFold(text(w.IotHubHostName), text(g.IotHubHostName))
		},
		adopt: func(w *declared, g held) { w.IotHubHostName = g.IotHubHostName },
	},
}

// allFields returns the table with the attestation's part.
func allFields() []field { return append(slices.Clip(fields), attestationFields...) }

// changes returns the fields in which what the service holds is not what is wanted.
func changes(want declared, got held) []field {
	var changed []field
	for _, f := range allFields() {
		if !f.same(want, got) {
			changed = append(changed, f)
			if f.path == attestationPath {
				break // the parts of another kind of attestation have nothing to be compared with
			}
		}
	}
	return changed
}

// reconcile returns want with what the service holds wherever the two differ, and in want's own spelling wherever they do not.
func reconcile(want declared, got held) declared {
	for _, f := range changes(want, got) {
		f.adopt(&want, got)
	}
	return want
}

func paths(changed []field) string {
	names := make([]string, 0, len(changed))
	for _, f := range changed {
		names = append(names, f.path)
	}
	return strings.Join(names, ", ")
}

func statusOf(s Settings) string {
	if s.ProvisioningStatus == nil || *s.ProvisioningStatus == "" {
		return string(ProvisioningEnabled) // null counts as enabled at the service
	}
	return strings.ToLower(string(*s.ProvisioningStatus))
}

func isEdge(s Settings) bool { return s.Capabilities != nil && s.Capabilities.IotEdge }

func twinOf(s Settings) InitialTwin {
	if s.InitialTwin == nil {
		return InitialTwin{}
	}
	return *s.InitialTwin
}

func reprovisionOf(s Settings) ReprovisionPolicy {
	if s.ReprovisionPolicy == nil {
		return ReprovisionPolicy{UpdateHubAssignment: true, MigrateDeviceData: true} // the service's defaults
	}
	return *s.ReprovisionPolicy
}

func policyOf(s Settings) string {
	if s.AllocationPolicy == nil {
		return ""
	}
	policy, _ := enrollment.CanonicalPolicy(string(*s.AllocationPolicy))
	return policy
}

func webhookOf(s Settings) CustomAllocation {
	if s.CustomAllocation == nil {
		return CustomAllocation{}
	}
	return *s.CustomAllocation
}

// webhookPath is the path of a webhook's address.
const webhookPath = "customAllocation.webhookUrl"

// sameWebhook compares a webhook's address with the one that the service returns, whose query is masked: then the query is not
// compared, but that there is one is.
func sameWebhook(want, got string) bool {
	address, _, _ := strings.Cut(got, "?")
	if !enrollment.IsMasked(got) {
		return want == got
	}
	wanted, _, hasQuery := strings.Cut(want, "?")
	return hasQuery && wanted == address
}

// adoptWebhook takes over the webhook, keeping an address that differs only in what the service masks.
func adoptWebhook(w *declared, got *CustomAllocation) {
	if got == nil {
		w.CustomAllocation = nil
		return
	}
	adopted := *got
	if have := webhookOf(w.Settings).WebhookURL; sameWebhook(have, got.WebhookURL) {
		adopted.WebhookURL = have
	}
	w.CustomAllocation = &adopted
}

// hubsOf returns the hub list as the set that it is.
func hubsOf(s Settings) []string {
	hubs := make([]string, 0, len(s.IotHubs))
	for _, hub := range s.IotHubs {
		hubs = append(hubs, strings.ToLower(hub))
	}
	slices.Sort(hubs)
	return hubs
}

// plainJSON leaves out what the service adds to a twin collection.
func plainJSON(object map[string]any) map[string]any {
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

func sameJSON(a, b map[string]any) bool { return reflect.DeepEqual(plainJSON(a), plainJSON(b)) }
