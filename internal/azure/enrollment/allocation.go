package enrollment

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The allocation policies in the spelling of the service API.
const (
	Hashed     = "hashed"
	GeoLatency = "geoLatency"
	Static     = "static"
	Custom     = "custom"
)

var policies = []string{Hashed, GeoLatency, Static, Custom}

// CanonicalPolicy returns an allocation policy in the service API's spelling, whatever the letter case given (ARM
// writes Hashed, the service API hashed), and whether there is such a policy.
func CanonicalPolicy(policy string) (string, bool) {
	for _, known := range policies {
		if strings.EqualFold(known, policy) {
			return known, true
		}
	}
	return policy, false
}

// CheckPolicy checks the name of an allocation policy of an enrollment.
func CheckPolicy(path, policy string) []Fault {
	if _, ok := CanonicalPolicy(policy); !ok {
		return fault(path, "unknown allocation policy %s: use one of %s", Quote(policy), strings.Join(policies, ", "))
	}
	return nil
}

// CheckStatus checks a provisioning status.
func CheckStatus(path, status string) []Fault {
	if !strings.EqualFold(status, "enabled") && !strings.EqualFold(status, "disabled") {
		return fault(path, "unknown provisioning status %s: use enabled or disabled", Quote(status))
	}
	return nil
}

// CheckHubs checks the hub list of an enrollment against its allocation policy ("" for the provisioning service's
// own): static needs exactly one hub. Each is a full host name, without duplicates.
func CheckHubs(path, policy string, hubs []string) []Fault {
	var faults []Fault
	var seen []string
	for _, hub := range hubs {
		name := strings.ToLower(hub)
		if slices.Contains(seen, name) {
			faults = append(faults, fault(path, "duplicate hub %s", Quote(hub))...)
		}
		seen = append(seen, name)
		faults = append(faults, CheckHost(path, hub)...)
	}
	if canonical, _ := CanonicalPolicy(policy); canonical == Static && len(hubs) != 1 {
		faults = append(faults, fault(path, "the allocation policy static needs exactly one hub, got %d", len(hubs))...)
	}
	return faults
}

// HubsWithoutPolicy is the fault of an enrollment that lists hubs without an allocation policy, at the policy's path:
// Azure refuses it (Azure/azure-sdk-for-python issue 35368).
func HubsWithoutPolicy(path string) []Fault {
	return fault(path, "required with iotHubs: set it to %s", strings.Join(policies, ", "))
}

var hostPattern = regexp.MustCompile(
	`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$`,
)

// CheckHost checks a host name: the name alone, with its domain, without scheme, port or path.
func CheckHost(path, host string) []Fault {
	if !hostPattern.MatchString(host) {
		return fault(path, "%s is not a full host name such as hub-1.azure-devices.net", Quote(host))
	}
	return nil
}

// IsMasked reports whether an address is a webhook's as the service returns it: with four asterisks for the query.
func IsMasked(address string) bool {
	_, query, _ := strings.Cut(address, "?")
	return query == "****"
}

// CheckWebhook checks the address of a custom allocation webhook. The message leaves out the query, which may contain a
// key.
func CheckWebhook(path, address string) []Fault {
	if IsMasked(address) {
		return fault(path, "the webhook's query is masked: the service never returns it, so give the whole address")
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fault(path, "the webhook's address is not an https or http URL")
	}
	return nil
}

// firstWebhookVersion is the oldest API version of the entry that webhooks can get (service API 2021-10-01,
// CustomAllocationDefinition).
const firstWebhookVersion = "2018-09-01-preview"

var versionPattern = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// CheckWebhookVersion checks the api version of a custom allocation webhook.
func CheckWebhookVersion(path, version string) []Fault {
	if !versionPattern.MatchString(version) || version[:10] < firstWebhookVersion[:10] {
		return fault(path, "%s is not an api version of %s or later", Quote(version), firstWebhookVersion)
	}
	return nil
}
