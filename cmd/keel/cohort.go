package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/fleet/spread"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// The allocation policies, as the service API writes them.
const (
	policyHashed = "hashed"
	policyStatic = "static"
	policyGeo    = "geoLatency"
	policyCustom = "custom"
)

// rule is how the provisioning service chooses the hub of the devices of an enrollment or a group.
type rule struct {
	// policy is the allocation policy that applies, named the host names of the hubs that the entry names; no names
	// mean every linked hub that takes devices.
	policy string
	named  []string
	// never is true if a device that has a hub keeps it, whatever the policy.
	never bool
	// unread says why the entry could not be read. Then nothing is known about its rule.
	unread string
}

// ruleOf returns the rule of an enrollment or a group.
func (o outputs) ruleOf(entry dpsservice.Enrollment) rule {
	r := rule{policy: o.AllocationPolicy, named: entry.IotHubs}
	if entry.IotHubHostName != nil && *entry.IotHubHostName != "" && len(r.named) == 0 {
		r.named, r.policy = []string{*entry.IotHubHostName}, policyStatic
	}
	if own := entry.AllocationPolicy; own != nil && *own != "" && !strings.EqualFold(*own, r.policy) {
		r.policy = *own
	}
	r.never = entry.ReprovisionPolicy != nil && !entry.ReprovisionPolicy.UpdateHubAssignment
	return r
}

// cohort is the devices of one enrollment group that a run registers. They are all assigned by the same rule.
type cohort struct {
	group string
	rule
	credential func(id string) (dpsdevice.Credential, error)

	hubs map[string]int // devices by hostKey
	kept int            // devices that stayed on the hub of an earlier registration
}

// newCohort reads the rule by which the devices of a group are assigned, and how they authenticate.
func newCohort(ctx context.Context, stack outputs, e *environment.Environment, group string) (*cohort, error) {
	c := &cohort{group: group, rule: rule{policy: stack.AllocationPolicy}, hubs: map[string]int{}}
	isOwn := strings.EqualFold(group, stack.EnrollmentGroup)
	if isOwn {
		var err error
		if c.credential, err = stack.credentials(e); err != nil {
			return nil, err
		}
	}
	client, err := stack.service(e.Endpoints)
	if err == nil {
		defer client.Close()
		c.rule, err = stack.groupRule(ctx, client, group)
	}
	switch {
	case err == nil && isOwn:
		return c, nil
	case err == nil:
		return c, c.borrow(ctx, client, stack, e)
	case isOwn && stack.ServiceConnectionString == "":
		c.unread = err.Error() // a login that may register devices without reading enrollments
		return c, nil
	}
	return nil, err
}

// groupRule reads the rule of an enrollment group.
func (o outputs) groupRule(ctx context.Context, client *dpsservice.Client, group string) (rule, error) {
	entry, err := client.Groups().Get(ctx, group)
	if errors.Is(err, dpsservice.ErrNotFound) {
		err = hint.To(errors.New("the provisioning service does not have it"),
			"create it again: keel up; or list devices with their groups: keel devices list")
	}
	if err != nil {
		return rule{policy: o.AllocationPolicy}, fmt.Errorf("read enrollment group %q: %w", group, err)
	}
	return o.ruleOf(entry), nil
}

// borrow reads the credential of a group that is not the stack's own.
func (c *cohort) borrow(ctx context.Context, client *dpsservice.Client, stack outputs,
	e *environment.Environment) error {
	mechanism, err := client.Groups().AttestationMechanism(ctx, c.group)
	if err != nil {
		return fmt.Errorf("read the attestation of enrollment group %q: %w", c.group, err)
	}
	if keys := mechanism.SymmetricKey; keys != nil {
		c.credential = func(id string) (dpsdevice.Credential, error) {
			key, err := sas.DeriveDeviceKey(keys.PrimaryKey, id)
			if err != nil {
				return dpsdevice.Credential{}, fmt.Errorf("derive the key of %q: %w", id, err)
			}
			return dpsdevice.SymmetricKey(key), nil
		}
		return nil
	}
	if stack.DeviceAuthority == "" {
		return hint.To(fmt.Errorf("register devices of enrollment group %q: its devices authenticate with "+
			"certificates, and keel has no authority to sign them", c.group), "name groups with symmetric keys")
	}
	c.credential, err = stack.credentials(e)
	return err
}

// weights returns the weight of each hub for devices of the rule: 0 for a hub that takes none of them.
func (r rule) weights(hubs []hubOut) []int {
	weights := make([]int, len(hubs))
	for i, h := range hubs {
		switch {
		case len(r.named) == 0 && !h.Drain, r.names(h.HostName): // a group may name a hub that is drained
			weights[i] = h.Weight
		}
	}
	return weights
}

func (r rule) names(host string) bool {
	return slices.ContainsFunc(r.named, func(named string) bool { return hostKey(named) == hostKey(host) })
}

// unjudged returns why the split of the cohort's devices says nothing about an even distribution, or "".
func (c *cohort) unjudged(hubs []hubOut) string {
	switch {
	case c.unread != "":
		return "its enrollment group could not be read: " + c.unread
	case strings.EqualFold(c.policy, policyGeo):
		return "policy " + c.policy + " assigns each device to the hub with the lowest latency"
	case strings.EqualFold(c.policy, policyStatic):
		return "policy " + c.policy + " pins every device to one hub"
	case strings.EqualFold(c.policy, policyCustom):
		return "policy " + c.policy + " lets a webhook choose the hub"
	case !strings.EqualFold(c.policy, policyHashed):
		return "policy " + c.policy + " is unknown to keel"
	case c.never && c.kept > 0:
		return fmt.Sprintf("its reprovisioning policy is never, and %d devices kept the hub of an earlier registration",
			c.kept)
	}
	for _, named := range c.named {
		if !slices.ContainsFunc(hubs, func(h hubOut) bool { return hostKey(h.HostName) == hostKey(named) }) {
			return "it names the hub " + named + ", whose weight this stack does not know"
		}
	}
	return ""
}

// isStray reports whether the service should not have assigned a device to that hub. kept is whether the device had it
// before.
func (r rule) isStray(hubs []hubOut, host string, kept bool) bool {
	if r.unread != "" || strings.EqualFold(r.policy, policyCustom) || r.never && kept || r.names(host) {
		return false
	}
	weights := r.weights(hubs)
	for i, h := range hubs {
		if hostKey(h.HostName) == hostKey(host) {
			return weights[i] == 0
		}
	}
	return true
}

// cohortResult is a cohort in the result of `devices provision`.
type cohortResult struct {
	Group            string `json:"group"`
	AllocationPolicy string `json:"allocationPolicy"`
	Devices          int    `json:"devices"`
	// Judged is true if its devices count in the comparison with the expected shares; otherwise Reason says why not.
	Judged bool   `json:"judged"`
	Reason string `json:"reason,omitempty"`
	// Hubs is how many devices each hub has, by its name in the stack or its host name.
	Hubs map[string]int `json:"hubs"`
}

// comparison is the split of a fleet beside what is expected.
type comparison struct {
	hubs    []spread.Hub
	proof   spread.Proof
	cohorts []cohortResult
}

// isJudged reports whether any cohort was compared.
func (c comparison) isJudged() bool {
	return slices.ContainsFunc(c.cohorts, func(r cohortResult) bool { return r.Judged })
}

// compare counts the devices of each hub and compares them with the rules of the cohorts: first the stack's hubs, in
// its order, then other hubs. The hubs have the devices of the judged cohorts or, if none is judged, all devices.
func (f *fleet) compare() comparison {
	var result comparison
	all := slices.Clone(f.stack.Hubs)
	foreign := map[string]int{}
	for _, c := range f.cohorts {
		for host := range c.hubs {
			if f.hubName(host) == host {
				foreign[host]++
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(foreign)) {
		all = append(all, hubOut{Name: host, HostName: host, Drain: true})
	}
	for _, h := range all {
		weight := h.Weight
		if h.Drain {
			weight = 0
		}
		result.hubs = append(result.hubs, spread.Hub{Name: h.Name, Weight: weight})
	}
	var judged, unjudged []spread.Population
	for _, c := range f.cohorts {
		population := spread.Population{Devices: make([]int, len(all)), Weights: c.weights(all)}
		outcome := cohortResult{Group: c.group, AllocationPolicy: c.policy, Reason: c.unjudged(f.stack.Hubs),
			Hubs: map[string]int{}}
		for i, h := range all {
			population.Devices[i] = c.hubs[hostKey(h.HostName)]
			outcome.Devices += population.Devices[i]
			if population.Devices[i] > 0 {
				outcome.Hubs[h.Name] = population.Devices[i]
			}
		}
		if outcome.Judged = outcome.Reason == ""; outcome.Judged {
			judged = append(judged, population)
		} else {
			unjudged = append(unjudged, population)
		}
		result.cohorts = append(result.cohorts, outcome)
	}
	shown := judged
	if len(judged) == 0 {
		shown = unjudged
	}
	for _, population := range shown {
		for i, n := range population.Devices {
			result.hubs[i].Devices += n
		}
	}
	result.proof = spread.Prove(result.hubs, judged)
	return result
}

// policiesOf returns the policies of cohorts as a phrase: "policy Hashed", "policies Hashed and static".
func policiesOf(cohorts []cohortResult) string {
	var names []string
	for _, r := range cohorts {
		if name := cmp.Or(r.AllocationPolicy, "unknown"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 1 {
		return "policy " + names[0]
	}
	return "policies " + list(names)
}

// groupsOf returns the groups of cohorts as a phrase: "group devices", "groups devices and line-2".
func groupsOf(cohorts []cohortResult) string {
	var names []string
	for _, r := range cohorts {
		names = append(names, r.Group)
	}
	if len(names) == 1 {
		return "group " + names[0]
	}
	return "groups " + list(names)
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
