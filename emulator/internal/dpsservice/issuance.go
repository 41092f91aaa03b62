package dpsservice

import (
	"encoding/json"
	"regexp"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// issuanceVersion is the first api-version whose entries name a certificate policy of Azure Device Registry. The names
// of earlier previews are not known here.
const issuanceVersion = "2026-11-01"

// wireIssuance are the members of an entry that name the policy. They are read only from issuanceVersion on, so that
// earlier versions ignore whatever they hold.
type wireIssuance struct {
	Namespace json.RawMessage `json:"namespaceName"`
	Authority json.RawMessage `json:"certificateAuthorityName"`
	Policy    json.RawMessage `json:"certificatePolicyName"`
}

// issuanceReply is the same in replies.
type issuanceReply struct {
	Namespace string `json:"namespaceName,omitempty"`
	Authority string `json:"certificateAuthorityName,omitempty"`
	Policy    string `json:"certificatePolicyName,omitempty"`
}

// Forms of the names, from the service.json of 2026-11-01, with their lengths.
var (
	namespaceForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,62}[a-z0-9]$`)
	authorityForm = regexp.MustCompile(`^[0-9a-zA-Z][a-zA-Z0-9-]{2,62}$`)
)

// issuance reads the names of a policy. Fidelity: each may be given without the others, and none is looked up: whether
// Azure refuses that is not known. A PUT of an earlier version removes the names, as it does other members that it
// leaves out, or keeps them with Options.KeepNewer.
func (w wireIssuance) issuance() (state.Issuance, error) {
	var named state.Issuance
	for _, m := range []struct {
		name string
		raw  json.RawMessage
		into *string
		form *regexp.Regexp
		told string
	}{
		{"namespaceName", w.Namespace, &named.Namespace, namespaceForm,
			"3 to 64 lower-case letters, digits and hyphens, with no hyphen at an end"},
		{"certificateAuthorityName", w.Authority, &named.Authority, authorityForm, toldAuthority},
		{"certificatePolicyName", w.Policy, &named.Policy, authorityForm, toldAuthority},
	} {
		if isNull(m.raw) {
			continue
		}
		if json.Unmarshal(m.raw, m.into) != nil || !m.form.MatchString(*m.into) {
			return state.Issuance{}, dpswire.Invalid("%s must have %s.", m.name, m.told)
		}
	}
	return named, nil
}

const toldAuthority = "3 to 63 letters, digits and hyphens, and not begin with a hyphen"

func issuanceOf(e state.Entry, version string) issuanceReply {
	if version < issuanceVersion {
		return issuanceReply{}
	}
	return issuanceReply(e.Issuance)
}
