package hublink

import (
	"encoding/json"
	"fmt"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// Links by a managed identity of the provisioning service. Roles of the identity at the hub are not checked: ARM takes
// the link without them, and registrations fail until they are assigned.

// UnlinkableError reports that the hub cannot be linked by a managed identity as the service is.
type UnlinkableError struct{ reason string }

func (e *UnlinkableError) Error() string { return e.reason }

// setIdentity makes an entry a link by a managed identity. The connection string of a former key is emptied rather than
// removed, as the Azure CLI does.
func (d *document) setIdentity(entry map[string]json.RawMessage, want Link) error {
	if err := d.checkIdentity(want); err != nil {
		return err
	}
	if !strings.EqualFold(textOf(entry["authenticationType"]), want.Identity) {
		entry["authenticationType"] = rawOf(want.Identity)
	}
	if textOf(entry["connectionString"]) != "" {
		entry["connectionString"] = rawOf("")
	}
	const selected = "selectedUserAssignedIdentityResourceId"
	switch {
	case want.IdentityID == "":
		delete(entry, selected)
	case !strings.EqualFold(textOf(entry[selected]), want.IdentityID):
		entry[selected] = rawOf(want.IdentityID)
	}
	return nil
}

// checkIdentity refuses a link by an identity that the service does not have, or that would not last.
func (d *document) checkIdentity(want Link) error {
	if isOlder(d.version, firstWhole) {
		return &UnlinkableError{fmt.Sprintf("link %s by a managed identity: the api-version %s, the newest that can "+
			"be used here, does not have such links. hint: link it by a key, with the authentication type KeyBased",
			want.Host, d.version)}
	}
	if stack, owned := d.program(); owned {
		return &UnlinkableError{fmt.Sprintf("link %s by a managed identity: the provisioning service belongs to the "+
			"evenkeel stack %q, which updates it with the api-version 2022-12-12, and its next update could reset the "+
			"link. hint: link it by a key, or use a service that another tool created", want.Host, stack)}
	}
	var identity struct {
		Type  string                     `json:"type"`
		Users map[string]json.RawMessage `json:"userAssignedIdentities"`
	}
	if raw, ok := d.body["identity"]; ok {
		if err := json.Unmarshal(raw, &identity); err != nil {
			return fmt.Errorf("read the identity of the provisioning service: %w", err)
		}
	}
	has := false
	for kind := range strings.SplitSeq(identity.Type, ",") {
		has = has || strings.EqualFold(strings.TrimSpace(kind), want.Identity)
	}
	group, name := groupAndName(d.id)
	if want.Identity == enrollment.SystemAssigned {
		if has {
			return nil
		}
		return &UnlinkableError{fmt.Sprintf("link %s by a managed identity: the provisioning service has no "+
			"system-assigned identity. hint: az iot dps identity assign --name %s --resource-group %s --system",
			want.Host, name, group)}
	}
	for id := range identity.Users {
		if has && strings.EqualFold(id, want.IdentityID) {
			return nil
		}
	}
	return &UnlinkableError{fmt.Sprintf("link %s by a managed identity: the provisioning service does not have the "+
		"user-assigned identity %s. hint: az iot dps identity assign --name %s --resource-group %s --user %s",
		want.Host, want.IdentityID, name, group, want.IdentityID)}
}

// program returns the evenkeel stack that declares the service, by the tags that the program sets on every resource
// (internal/program/topology).
func (d *document) program() (stack string, owned bool) {
	var tags map[string]any
	if raw, ok := d.body["tags"]; !ok || json.Unmarshal(raw, &tags) != nil {
		return "", false
	}
	stack, _ = tags["stack"].(string)
	return stack, tags["purpose"] == "evenkeel"
}

// groupAndName returns the resource group and the name in a service's resource id.
func groupAndName(id string) (group, name string) {
	parts := strings.Split(strings.TrimPrefix(id, "/"), "/")
	for i := 0; i+1 < len(parts); i += 2 {
		if strings.EqualFold(parts[i], "resourceGroups") {
			group = parts[i+1]
		}
	}
	return group, parts[len(parts)-1]
}
