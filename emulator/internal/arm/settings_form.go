package arm

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
)

// Settings that are stored and returned must have the form of the specification, so that clients and the surfaces
// that use them can read them. Fidelity: which violations Azure refuses, and with which number, is unsure; here
// everything that the specification does not allow is refused.

// addressRule is IpFilterRule and NetworkRuleSetIpRule.
type addressRule struct {
	Name   string `json:"filterName"`
	Action string `json:"action"`
	Mask   string `json:"ipMask"`
	Target string `json:"target"`
}

// hubForm is the part of IotHubProperties whose form is checked here.
type hubForm struct {
	DisableLocalAuth              *bool         `json:"disableLocalAuth"`
	DisableDeviceSAS              *bool         `json:"disableDeviceSAS"`
	DisableModuleSAS              *bool         `json:"disableModuleSAS"`
	RestrictOutboundNetworkAccess *bool         `json:"restrictOutboundNetworkAccess"`
	EnableFileUploadNotifications *bool         `json:"enableFileUploadNotifications"`
	EnableDataResidency           *bool         `json:"enableDataResidency"`
	AllowedFqdnList               []string      `json:"allowedFqdnList"`
	PublicNetworkAccess           string        `json:"publicNetworkAccess"`
	Features                      string        `json:"features"`
	MinTLSVersion                 string        `json:"minTlsVersion"`
	Comments                      string        `json:"comments"`
	IPFilterRules                 []addressRule `json:"ipFilterRules"`
	NetworkRuleSets               struct {
		DefaultAction string        `json:"defaultAction"`
		ApplyToEvents *bool         `json:"applyToBuiltInEventHubEndpoint"`
		IPRules       []addressRule `json:"ipRules"`
	} `json:"networkRuleSets"`
	Routing struct {
		Routes []struct {
			Name      string   `json:"name"`
			Source    string   `json:"source"`
			Endpoints []string `json:"endpointNames"`
			Enabled   *bool    `json:"isEnabled"`
		} `json:"routes"`
	} `json:"routing"`
}

// checkHubForm checks the settings of a hub in a location.
func checkHubForm(kept map[string]json.RawMessage, location string) error {
	data, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	var form hubForm
	if err := json.Unmarshal(data, &form); err != nil {
		return invalid("The properties of the IotHub do not have the form of the specification: %s.", describeJSON(err))
	}
	if err := checkResidency(hubKind, form.EnableDataResidency, location); err != nil {
		return err
	}
	if err := absentOrOneOf("publicNetworkAccess", form.PublicNetworkAccess, accessValues); err != nil {
		return err
	}
	if err := absentOrOneOf("minTlsVersion", form.MinTLSVersion, tlsVersions); err != nil {
		return err
	}
	if err := absentOrOneOf("features", form.Features, featureValues); err != nil {
		return err
	}
	if err := absentOrOneOf("networkRuleSets.defaultAction", form.NetworkRuleSets.DefaultAction,
		networkDefaults); err != nil {
		return err
	}
	for _, route := range form.Routing.Routes {
		if route.Name == "" || len(route.Endpoints) == 0 {
			return invalid("A route needs a name and the names of endpoints.")
		}
		if err := oneOf("routing.routes.source", route.Source, routeSources...); err != nil {
			return err
		}
	}
	if err := checkAddressRules(form.IPFilterRules, filterActions...); err != nil {
		return err
	}
	return checkAddressRules(form.NetworkRuleSets.IPRules, append([]string{""}, networkActions...)...)
}

// checkServiceForm checks the settings of a provisioning service.
func checkServiceForm(settings serviceSettings) error {
	if err := absentOrOneOf("publicNetworkAccess", settings.PublicNetworkAccess, accessValues); err != nil {
		return err
	}
	var rules []addressRule
	if !isNull(settings.IPFilterRules) {
		if err := json.Unmarshal(settings.IPFilterRules, &rules); err != nil {
			return invalid("The property ipFilterRules is not a list of rules.")
		}
	}
	for _, rule := range rules {
		if err := absentOrOneOf("ipFilterRules.target", rule.Target, filterTargets); err != nil {
			return err
		}
	}
	return checkAddressRules(rules, filterActions...)
}

func checkAddressRules(rules []addressRule, actions ...string) error {
	for _, rule := range rules {
		if rule.Name == "" {
			return invalid("A rule for addresses needs a filterName.")
		}
		if err := oneOf("the action of the rule '"+rule.Name+"'", rule.Action, actions...); err != nil {
			return err
		}
		_, err := netip.ParsePrefix(rule.Mask)
		if _, one := netip.ParseAddr(rule.Mask); err != nil && one != nil {
			return invalid("The ipMask of the rule '%s' is neither an address nor an address range.", rule.Name)
		}
	}
	return nil
}

// absentOrOneOf checks an enumeration that a request may omit.
func absentOrOneOf(name, value string, known []string) error {
	if value == "" {
		return nil
	}
	return oneOf(name, value, known...)
}

// oneOf checks an enumeration case-insensitively.
func oneOf(name, value string, known ...string) error {
	if slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, value) }) {
		return nil
	}
	return invalid("The value '%s' of %s is unknown; use one of %s.", value, name,
		strings.TrimPrefix(strings.Join(known, ", "), ", "))
}
