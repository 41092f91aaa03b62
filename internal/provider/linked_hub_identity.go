package provider

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
)

// LinkAuthentication is how a provisioning service authenticates at a linked hub.
type LinkAuthentication string

// The ways of authentication, in the spelling of Azure Resource Manager.
const (
	LinkKeyBased       LinkAuthentication = enrollment.KeyBased
	LinkSystemAssigned LinkAuthentication = enrollment.SystemAssigned
	LinkUserAssigned   LinkAuthentication = enrollment.UserAssigned
)

// Annotate names the type in the schema.
func (l *LinkAuthentication) Annotate(an infer.Annotator) { an.SetToken("index", "LinkAuthentication") }

// Values lists the enum in the schema.
func (LinkAuthentication) Values() []infer.EnumValue[LinkAuthentication] {
	return []infer.EnumValue[LinkAuthentication]{
		{Name: "KeyBased", Value: LinkKeyBased, Description: "By a key of a shared access policy of the hub."},
		{Name: "SystemAssigned", Value: LinkSystemAssigned,
			Description: "By the system-assigned identity of the provisioning service."},
		{Name: "UserAssigned", Value: LinkUserAssigned,
			Description: "By a user-assigned identity of the provisioning service."},
	}
}

// identity returns the kind of managed identity that the link uses, in the spelling of Azure, or "" for a key. An
// unknown kind is returned as it is.
func (a LinkedHubArgs) identity() string {
	if a.AuthenticationType == nil {
		return ""
	}
	return identityKind(string(*a.AuthenticationType))
}

func identityKind(text string) string {
	for _, kind := range []string{enrollment.SystemAssigned, enrollment.UserAssigned} {
		if strings.EqualFold(text, kind) {
			return kind
		}
	}
	if strings.EqualFold(text, enrollment.KeyBased) {
		return ""
	}
	return text
}

// readAuthentication sets how a link that was read authenticates. A link by a key leaves the type out, as most programs
// do.
func (a *LinkedHubArgs) readAuthentication(link hublink.Link) {
	if link.Identity == "" {
		a.PolicyName = &link.PolicyName
		return
	}
	kind := LinkAuthentication(identityKind(link.Identity))
	a.AuthenticationType = &kind
	if link.IdentityID != "" {
		a.IdentityID = &link.IdentityID
	}
}

// authenticationOf describes how a link authenticates, for errors.
func authenticationOf(link hublink.Link) string {
	switch {
	case link.Identity == "":
		return fmt.Sprintf("the policy %q", link.PolicyName)
	case link.IdentityID != "":
		return "the managed identity " + link.IdentityID
	}
	return "a managed identity (" + link.Identity + ")"
}

// authenticationFaults checks the properties that depend on authenticationType. An update may leave out the key of a
// link that has one.
func (a LinkedHubArgs) authenticationFaults(req infer.CheckRequest) []enrollment.Fault {
	var faults []enrollment.Fault
	report := func(path, format string, args ...any) {
		faults = append(faults, enrollment.Fault{Path: path, Message: fmt.Sprintf(format, args...)})
	}
	if a.Key != nil {
		faults = append(faults, enrollment.CheckKey("key", *a.Key)...)
	}
	if a.PolicyName != nil {
		faults = append(faults, enrollment.CheckPolicyName("policyName", *a.PolicyName)...)
	}
	if a.IdentityID != nil {
		faults = append(faults, enrollment.CheckIdentityID("identityId", *a.IdentityID)...)
	}
	if req.NewInputs.Get("authenticationType").IsComputed() {
		return faults // what belongs to it is not known either
	}
	kind := a.identity()
	switch kind {
	case "", enrollment.SystemAssigned:
		if a.IdentityID != nil {
			report("identityId", "only the authentication type UserAssigned has it. hint: remove it, or set "+
				"authenticationType to UserAssigned")
		}
	case enrollment.UserAssigned:
		if a.IdentityID == nil {
			report("identityId", "the authentication type UserAssigned needs the resource id of the identity. hint: "+
				"az identity list --query [].id")
		}
	default:
		report("authenticationType", "unknown authentication type %s. hint: use KeyBased, SystemAssigned or "+
			"UserAssigned", enrollment.Quote(kind))
		return faults
	}
	if kind != "" {
		for path, given := range map[string]*string{"key": a.Key, "policyName": a.PolicyName} {
			if given != nil {
				report(path, "a link by a managed identity does not use it. hint: remove it, or set "+
					"authenticationType to KeyBased")
			}
		}
		return faults
	}
	if a.PolicyName == nil {
		report("policyName", "a link by a key needs the name of the hub's shared access policy. hint: "+
			"az iot hub policy list --hub-name %s", hubName(a.HubHostName))
	}
	if a.Key == nil && !hasKey(req.OldInputs) {
		report("key", "a new link by a key needs the key of its policy. hint: set key, or set authenticationType to "+
			"SystemAssigned")
	}
	return faults
}

// hasKey reports whether old inputs are those of a link that has a key at the service, declared or not.
func hasKey(old property.Map) bool {
	if old.Len() == 0 {
		return false
	}
	kind := old.Get("authenticationType")
	return !kind.IsString() || identityKind(kind.AsString()) == ""
}

func hubName(host string) string {
	name, _, _ := strings.Cut(host, ".")
	return name
}

// changesAuthentication reports whether the declared authentication differs from the known one. An empty text is not
// known yet.
func (a LinkedHubArgs) changesAuthentication(want LinkedHubArgs) bool {
	return (want.AuthenticationType == nil || *want.AuthenticationType != "") && a.identity() != want.identity()
}

// differs compares optional texts without regard to letter case. An empty wanted text is not known yet.
func differs(known, want *string) bool {
	if want == nil || known == nil {
		return known != want
	}
	return *want != "" && !strings.EqualFold(*known, *want)
}
