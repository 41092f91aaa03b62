package hublink

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
)

// Link is a hub's entry in the list of a provisioning service (IotHubDefinitionDescription of the API descriptions).
type Link struct {
	// Host is the hub's host name, which identifies the link.
	Host string
	// PolicyName and Key are what the service signs with at the hub. No answer contains the key; an empty one means the
	// key that the link has.
	PolicyName, Key string
	// Identity is the kind of managed identity that the service uses at the hub instead of a key, empty for a key.
	// IdentityID is the resource id of a user-assigned one.
	Identity, IdentityID string
	// Location is the hub's.
	Location string
	// Weight and Apply are nil when they are not set, which means 1 and true.
	Weight *int
	Apply  *bool
}

// Same reports whether two links are equal, except for their keys, which cannot be compared.
func Same(a, b Link) bool {
	return domain.SameHost(a.Host, b.Host) &&
		strings.EqualFold(a.PolicyName, b.PolicyName) && strings.EqualFold(a.Identity, b.Identity) &&
		strings.EqualFold(a.IdentityID, b.IdentityID) &&
		SameLocation(a.Location, b.Location) && SameWeight(a.Weight, b.Weight) &&
		SameApply(a.Apply, b.Apply)
}

// SameLocation compares locations as ARM does: "West Europe" is "westeurope".
func SameLocation(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	return plain(a) == plain(b)
}

// SameWeight compares weights; nil means 1.
func SameWeight(a, b *int) bool { return orDefault(a, 1) == orDefault(b, 1) }

// SameApply compares whether the allocation policy assigns devices to the hubs; nil means true.
func SameApply(a, b *bool) bool { return orDefault(a, true) == orDefault(b, true) }

func orDefault[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// isHeldBy reports whether the service has the link as declared.
func (l Link) isHeldBy(d *document) (bool, error) {
	i, err := d.find(l.Host)
	if i < 0 || err != nil {
		return false, err
	}
	present, err := d.link(i)
	return err == nil && Same(present, l), nil
}

// document is a provisioning service as one api-version describes it. Every member that is not ours is sent back
// unchanged, whether this code knows it or not.
type document struct {
	id         string
	version    string
	body       map[string]json.RawMessage
	properties map[string]json.RawMessage
	hubs       []map[string]json.RawMessage
	// profiles are the connection profiles of links, by lower-case host, from whichever version shows them.
	profiles map[string]string
	// shared are the namespaces that a newer version shows, for a version that does not show them.
	shared []string
}

// errShape is the error of an answer without the members that every known api-version has.
var errShape = errors.New("the answer does not have the form of a provisioning service")

// decode reads the members that contain the list of hubs.
func (d *document) decode() error {
	if err := json.Unmarshal(d.body["properties"], &d.properties); err != nil || d.properties == nil {
		return fmt.Errorf("%w: it has no properties", errShape)
	}
	raw, ok := d.properties["iotHubs"]
	if !ok && isKnown(d.version) {
		return nil
	}
	if err := json.Unmarshal(raw, &d.hubs); err != nil || d.hubs == nil && !isKnown(d.version) {
		return fmt.Errorf("%w: its iotHubs are not a list of objects", errShape)
	}
	for _, entry := range d.hubs {
		if len(hostsOf(entry)) == 0 {
			return fmt.Errorf("%w: one of its iotHubs has no name", errShape)
		}
	}
	return nil
}

// encode returns the body of a PUT with the same api-version: everything unchanged except what only the service
// decides.
func (d *document) encode() (map[string]json.RawMessage, error) {
	body, properties := without(d.body, readOnly...), without(d.properties, readOnlyProperties...)
	if identity, ok := body["identity"]; ok {
		body["identity"] = ownIdentity(identity)
	}
	hubs := make([]map[string]json.RawMessage, 0, len(d.hubs))
	for _, entry := range d.hubs {
		entry = without(entry)
		// From this version on a link is named by hostName, and today's Azure CLI fills it in before it writes.
		if name := textOf(entry["name"]); name != "" && textOf(entry["hostName"]) == "" &&
			!isOlder(d.version, firstWhole) {
			entry["hostName"] = rawOf(name)
		}
		hubs = append(hubs, entry)
	}
	for _, part := range []struct {
		into  map[string]json.RawMessage
		name  string
		value any
	}{{properties, "iotHubs", hubs}, {body, "properties", properties}} {
		raw, err := json.Marshal(part.value)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", part.name, err)
		}
		part.into[part.name] = raw
	}
	return body, nil
}

// What the descriptions of all api-versions mark as read-only, and the policies: no GET shows them, and a PUT without
// them keeps them.
var (
	readOnly           = []string{"id", "name", "type", "systemData"}
	readOnlyProperties = []string{
		"serviceOperationsHostName", "deviceProvisioningHostName", "idScope", "deviceRegistryNamespaces",
		"authorizationPolicies",
	}
)

// without copies an object except for some of its members.
func without(object map[string]json.RawMessage, names ...string) map[string]json.RawMessage {
	kept := make(map[string]json.RawMessage, len(object))
	for name, value := range object {
		if !slices.Contains(names, name) {
			kept[name] = value
		}
	}
	return kept
}

// ownIdentity returns the service's identity without what Azure decides: the ids of its principals.
func ownIdentity(raw json.RawMessage) json.RawMessage {
	var identity, users map[string]json.RawMessage
	if json.Unmarshal(raw, &identity) != nil || identity == nil {
		return raw
	}
	identity = without(identity, "principalId", "tenantId", "clientId")
	if json.Unmarshal(identity["userAssignedIdentities"], &users) == nil && users != nil {
		for id, user := range users {
			var members map[string]json.RawMessage
			if json.Unmarshal(user, &members) == nil && members != nil {
				users[id] = rawOf(without(members, "principalId", "tenantId", "clientId"))
			}
		}
		identity["userAssignedIdentities"] = rawOf(users)
	}
	return rawOf(identity)
}

func (d *document) etag() string { return textOf(d.body["etag"]) }

// isInTransition reports whether the service is being created, changed or deleted (properties.state of the
// description).
func (d *document) isInTransition() bool {
	switch strings.ToLower(textOf(d.properties["state"])) {
	case "activating", "deleting", "transitioning", "suspending", "resuming", "failingover":
		return true
	}
	return false
}

// namespaces returns the Device Registry namespaces that the service is linked to, by their resource ids.
func (d *document) namespaces() []string {
	var namespaces []struct {
		ResourceID string `json:"resourceId"`
	}
	// Another form means that this version has something else there; the comparison after the write still covers it.
	if raw := d.properties["deviceRegistryNamespaces"]; len(raw) == 0 || json.Unmarshal(raw, &namespaces) != nil {
		return d.shared
	}
	ids := make([]string, 0, len(namespaces))
	for _, namespace := range namespaces {
		ids = append(ids, namespace.ResourceID)
	}
	return ids
}

// find returns the index of the hub's entry, whichever form of the hub's name it has, or -1. Two entries are an error:
// it is unknown which of them is meant.
func (d *document) find(host string) (int, error) {
	found := -1
	for i, entry := range d.hubs {
		if !slices.ContainsFunc(hostsOf(entry), func(name string) bool { return domain.SameHost(name, host) }) {
			continue
		}
		if found >= 0 {
			first, second := hostOf(d.hubs[found]), hostOf(entry)
			return -1, fmt.Errorf("the hub is linked twice, as %s and as %s. "+
				"hint: keep one of the two, az iot dps linked-hub delete removes the other by its name", first, second)
		}
		found = i
	}
	return found, nil
}

// hostsOf returns all names of an entry's hub, the one that identifies the entry first.
func hostsOf(entry map[string]json.RawMessage) []string {
	var hosts []string
	for _, host := range []string{textOf(entry["name"]), textOf(entry["hostName"]), connection(entry)["hostname"]} {
		if host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// hostOf is the name that identifies an entry.
func hostOf(entry map[string]json.RawMessage) string {
	if hosts := hostsOf(entry); len(hosts) > 0 {
		return hosts[0]
	}
	return ""
}

// connection returns the parts of the entry's connection string, names in lower case. A link by a managed identity has
// none.
func connection(entry map[string]json.RawMessage) map[string]string {
	return connectionOf(textOf(entry["connectionString"]))
}

// connectionOf parses a connection string.
func connectionOf(text string) map[string]string {
	fields := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return fields
}

// link reads an entry.
func (d *document) link(i int) (Link, error) {
	entry := d.hubs[i]
	link := Link{
		Host:       hostOf(entry),
		PolicyName: connection(entry)["sharedaccesskeyname"],
		Identity:   identityOf(entry),
		Location:   textOf(entry["location"]),
	}
	if link.Identity != "" {
		link.PolicyName, link.IdentityID = "", textOf(entry["selectedUserAssignedIdentityResourceId"])
	}
	for name, into := range map[string]any{"allocationWeight": &link.Weight, "applyAllocationPolicy": &link.Apply} {
		if raw, ok := entry[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return Link{}, fmt.Errorf("the link of %s has a %s of an unexpected type", link.Host, name)
			}
		}
	}
	return link, nil
}

// identityOf returns the kind of managed identity of an entry, "" for a key.
func identityOf(entry map[string]json.RawMessage) string {
	if kind := textOf(entry["authenticationType"]); !strings.EqualFold(kind, enrollment.KeyBased) {
		return kind
	}
	return ""
}

// set changes the hub's entry to the declared one, or adds one. Other members of the entry stay.
func (d *document) set(want Link) error {
	i, err := d.find(want.Host)
	if err != nil {
		return err
	}
	if i < 0 {
		if i, err = d.add(want); err != nil {
			return err
		}
	}
	entry := d.hubs[i]
	if isMQTT5(textOf(entry["connectionProfile"])) || isMQTT5(d.profiles[strings.ToLower(hostOf(entry))]) {
		return fmt.Errorf("link %s: %w", want.Host, errProfile)
	}
	switch {
	case want.Identity != "":
		if err := d.setIdentity(entry, want); err != nil {
			return err
		}
	case want.Key != "":
		setKey(entry, want)
	case identityOf(entry) != "":
		return fmt.Errorf(
			"the link of %s uses a managed identity, and no key is given to use instead. hint: set key and policyName",
			want.Host,
		)
	case !strings.EqualFold(connection(entry)["sharedaccesskeyname"], want.PolicyName):
		return fmt.Errorf(
			"the link of %s moves to the policy %s, and no key of that is given",
			want.Host,
			want.PolicyName,
		)
	}
	if !SameLocation(textOf(entry["location"]), want.Location) {
		entry["location"] = rawOf(want.Location)
	}
	delete(entry, "allocationWeight")
	delete(entry, "applyAllocationPolicy")
	if want.Weight != nil {
		entry["allocationWeight"] = rawOf(*want.Weight)
	}
	if want.Apply != nil {
		entry["applyAllocationPolicy"] = rawOf(*want.Apply)
	}
	return nil
}

// setKey makes an entry a link by a key.
func setKey(entry map[string]json.RawMessage, want Link) {
	host := want.Host
	for _, present := range []string{hostOf(entry), connection(entry)["hostname"]} {
		if present != "" {
			host = present // the form that the link has already
		}
	}
	entry["connectionString"] = rawOf(
		"HostName=" + host + ";SharedAccessKeyName=" + want.PolicyName + ";SharedAccessKey=" + want.Key,
	)
	if identityOf(entry) != "" {
		entry["authenticationType"] = rawOf(enrollment.KeyBased)
	}
	delete(entry, "selectedUserAssignedIdentityResourceId")
}

// add appends an entry for a hub that is not linked yet.
func (d *document) add(want Link) (int, error) {
	if want.Key == "" && want.Identity == "" {
		return -1, fmt.Errorf("the hub %s is not linked, and no key is given to link it with", want.Host)
	}
	if err := CheckLinkable(want.Host); err != nil {
		return -1, err
	}
	entry := map[string]json.RawMessage{}
	if !isOlder(d.version, firstWhole) {
		entry["hostName"] = rawOf(want.Host)
	}
	d.hubs = append(d.hubs, entry)
	return len(d.hubs) - 1, nil
}

// CheckLinkable refuses a host name under which no provisioning service can link a hub.
func CheckLinkable(host string) error {
	if !domain.IsServiceHost(host) {
		return nil
	}
	return fmt.Errorf(
		"%s is the hub's name for services, by which devices cannot reach it. hint: use %s",
		host,
		domain.ClassicHost(host),
	)
}

// drop removes the hub's entry and reports whether there was one.
func (d *document) drop(host string) (bool, error) {
	i, err := d.find(host)
	if i >= 0 {
		d.hubs = slices.Delete(d.hubs, i, i+1)
	}
	return i >= 0, err
}

// textOf reads a JSON text; anything else is "".
func textOf(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// rawOf writes texts, numbers, booleans and objects of raw JSON that was read before, none of which can fail.
func rawOf(value any) json.RawMessage {
	raw, _ := json.Marshal(value)
	return raw
}
