package arm

import (
	"slices"
	"strings"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// policyBody is a shared access policy on the wire. Rights are one string, comma-separated.
type policyBody struct {
	KeyName      string `json:"keyName"`
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
	Rights       string `json:"rights"`
}

// Rights in Azure's order.
var (
	hubRights     = []string{"RegistryRead", "RegistryWrite", "ServiceConnect", "DeviceConnect"}
	serviceRights = []string{"ServiceConfig", "DeviceConnect", "EnrollmentRead", "EnrollmentWrite",
		"RegistrationStatusRead", "RegistrationStatusWrite"}
)

// maxPolicies is the largest number of policies. Source: "IoT Hub quotas and throttling"; that the limit also holds
// for provisioning services is unsure.
const maxPolicies = 16

// maxPolicyName is the longest name of a policy (unsure).
const maxPolicyName = 64

// defaultHubPolicies are the policies of a hub whose creation names none ("Control access to IoT Hub"). Azure writes
// their rights without RegistryRead where RegistryWrite implies it (Azure/azure-iot-cli-extension,
// providers/discovery.py, compares those of iothubowner; for registryReadWrite that is unsure).
func defaultHubPolicies() []state.Policy {
	return []state.Policy{
		{Name: "iothubowner", Rights: []string{"RegistryWrite", "ServiceConnect", "DeviceConnect"}},
		{Name: "service", Rights: []string{"ServiceConnect"}},
		{Name: "device", Rights: []string{"DeviceConnect"}},
		{Name: "registryRead", Rights: []string{"RegistryRead"}},
		{Name: "registryReadWrite", Rights: []string{"RegistryWrite"}},
	}
}

// defaultServicePolicies is the policy of a provisioning service whose creation names none (recorded in
// Azure/azure-cli, test_dps_lifecycle).
func defaultServicePolicies() []state.Policy {
	return []state.Policy{{Name: "provisioningserviceowner", Rights: []string{"ServiceConfig", "DeviceConnect",
		"EnrollmentWrite"}}}
}

// readPolicies converts the policies of a request to the state's. The list replaces the current one completely. A
// policy without keys keeps its keys, or gets new ones if it is new. Fidelity: whether Azure keeps such keys is
// unknown.
func readPolicies(bodies []policyBody, rights []string, present []state.Policy) ([]state.Policy, error) {
	if len(bodies) > maxPolicies {
		return nil, invalid("There are at most %d shared access policies, not %d.", maxPolicies, len(bodies))
	}
	policies := make([]state.Policy, 0, len(bodies))
	for _, b := range bodies {
		if b.KeyName == "" || len(b.KeyName) > maxPolicyName {
			return nil, invalid("A shared access policy needs a key name of at most %d characters.", maxPolicyName)
		}
		if slices.ContainsFunc(policies, func(p state.Policy) bool { return strings.EqualFold(p.Name, b.KeyName) }) {
			return nil, invalid("The shared access policy '%s' is named twice.", b.KeyName)
		}
		p := state.Policy{Name: b.KeyName, PrimaryKey: b.PrimaryKey, SecondaryKey: b.SecondaryKey}
		var err error
		if p.Rights, err = readRights(b, rights); err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(present, func(old state.Policy) bool {
			return strings.EqualFold(old.Name, b.KeyName)
		}); i >= 0 {
			if p.PrimaryKey == "" {
				p.PrimaryKey = present[i].PrimaryKey
			}
			if p.SecondaryKey == "" {
				p.SecondaryKey = present[i].SecondaryKey
			}
		}
		for _, key := range []string{p.PrimaryKey, p.SecondaryKey} {
			if key == "" {
				continue
			}
			if _, err := sas.DecodeKey(key); err != nil {
				return nil, invalid("The keys of the shared access policy '%s' must be base64 of %d to %d bytes.",
					b.KeyName, sas.MinKeyBytes, sas.MaxKeyBytes)
			}
		}
		policies = append(policies, p)
	}
	return policies, nil
}

// readRights parses rights in any order. They are stored in the order of the specification's values, as
// "RegistryRead, RegistryWrite".
func readRights(b policyBody, known []string) ([]string, error) {
	var rights []string
	for word := range strings.SplitSeq(b.Rights, ",") {
		word = strings.TrimSpace(word)
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, word) })
		if i < 0 {
			return nil, invalid("The shared access policy '%s' has an unknown right '%s'; rights are %s.", b.KeyName,
				word, strings.Join(known, ", "))
		}
		if !slices.Contains(rights, known[i]) {
			rights = append(rights, known[i])
		}
	}
	slices.SortFunc(rights, func(a, b string) int { return slices.Index(known, a) - slices.Index(known, b) })
	return rights, nil
}

// showPolicies returns policies with their keys: for list keys, and for the response to the request that set them.
func showPolicies(policies []state.Policy) []policyBody {
	bodies := make([]policyBody, len(policies))
	for i, p := range policies {
		bodies[i] = policyBody{KeyName: p.Name, PrimaryKey: p.PrimaryKey, SecondaryKey: p.SecondaryKey,
			Rights: strings.Join(p.Rights, ", ")}
	}
	return bodies
}

// onePolicy returns the policy in the path.
func (c *call) onePolicy(policies []state.Policy) (policyBody, error) {
	for _, p := range policies {
		if strings.EqualFold(p.Name, c.values["key"]) {
			return showPolicies([]state.Policy{p})[0], nil
		}
	}
	return policyBody{}, providerError(numberKeyNotFound, "The shared access policy '%s' was not found.",
		c.values["key"])
}
