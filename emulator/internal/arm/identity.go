package arm

import (
	"encoding/json"
	"strings"

	"github.com/google/uuid"

	"evenkeel/emulator/internal/entra"
)

// identityBody is ArmIdentity of hubs, and ManagedServiceIdentity of provisioning services. Fidelity: ids are derived
// from the names, and cannot be used to log in.
type identityBody struct {
	Type        string                  `json:"type"`
	PrincipalID string                  `json:"principalId,omitempty"`
	TenantID    string                  `json:"tenantId,omitempty"`
	Users       map[string]identityUser `json:"userAssignedIdentities,omitempty"`
}

type identityUser struct {
	PrincipalID string `json:"principalId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
}

// identityTypes are the values of ResourceIdentityType. The first spelling of each is that of hubs; services omit the
// space.
var identityTypes = []string{"SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned",
	"SystemAssigned,UserAssigned", "None"}

// readIdentity checks the identity of a request.
func readIdentity(raw json.RawMessage) error {
	if isNull(raw) {
		return nil
	}
	var body identityBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return invalid("The identity does not have the form of the specification: %s.", describeJSON(err))
	}
	return oneOf("identity.type", body.Type, identityTypes...)
}

// showIdentity adds the members of an identity that Azure sets. id is the path of the resource.
func showIdentity(raw json.RawMessage, id string) (json.RawMessage, error) {
	if isNull(raw) {
		return raw, nil
	}
	var body identityBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return nil, err
	}
	if strings.HasPrefix(strings.ToLower(body.Type), "systemassigned") {
		body.PrincipalID, body.TenantID = madeID(id, "principal"), entra.TenantID
	}
	for user := range body.Users {
		body.Users[user] = identityUser{madeID(user, "principal"), madeID(user, "client")}
	}
	return json.Marshal(body)
}

func madeID(of, what string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.ToLower(of)+"#"+what)).String()
}
