package hublink

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Link is a hub's entry in the list of a provisioning service (IotHubDefinitionDescription of the api-version 2022-12-12).
type Link struct {
	// Host is the hub's host name, which tells links apart.
	Host string
	// PolicyName and Key are what the service signs with at the hub. No answer tells the key; an empty one means the key that is there.
	PolicyName, Key string
	// Location is the hub's.
	Location string
	// Weight and Apply are nil when nothing is said of them, which means 1 and true.
	Weight *int
	Apply  *bool
}

// Same reports whether two links are equal, but for their keys, which nobody can compare.
func Same(a, b Link) bool {
	return strings.EqualFold(a.Host, b.Host) && strings.EqualFold(a.PolicyName, b.PolicyName) &&
		SameLocation(a.Location, b.Location) && SameWeight(a.Weight, b.Weight) && SameApply(a.Apply, b.Apply)
}

// SameLocation compares locations as ARM does: "West Europe" is "westeurope".
func SameLocation(a, b string) bool {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, " ", "")) }
	return plain(a) == plain(b)
}

// SameWeight compares weights; none means 1.
func SameWeight(a, b *int) bool { return orDefault(a, 1) == orDefault(b, 1) }

// SameApply compares whether hubs take devices by policy; nothing said means that they do.
func SameApply(a, b *bool) bool { return orDefault(a, true) == orDefault(b, true) }

func orDefault[T any](value *T, otherwise T) T {
	if value == nil {
		return otherwise
	}
	return *value
}

// heldBy reports whether the service has the link as it is wanted.
func (l Link) heldBy(d *document) bool {
	i := d.find(l.Host)
	if i < 0 {
		return false
	}
	present, err := d.link(i)
	return err == nil && Same(present, l)
}

// document is a provisioning service as ARM describes it. Every member that is not ours goes back as it came, read or not.
type document struct {
	body       map[string]json.RawMessage
	properties map[string]json.RawMessage
	hubs       []map[string]json.RawMessage
}

// decode takes apart what leads to the list of hubs.
func (d *document) decode() error {
	if err := json.Unmarshal(d.body["properties"], &d.properties); err != nil || d.properties == nil {
		return errors.New("the answer has no properties")
	}
	if raw, ok := d.properties["iotHubs"]; ok {
		if err := json.Unmarshal(raw, &d.hubs); err != nil {
			return errors.New("the answer's iotHubs are not a list of objects")
		}
	}
	return nil
}

// encode puts the document together again.
func (d *document) encode() (map[string]json.RawMessage, error) {
	if d.hubs == nil {
		d.hubs = []map[string]json.RawMessage{}
	}
	for _, part := range []struct {
		into  map[string]json.RawMessage
		name  string
		value any
	}{{d.properties, "iotHubs", d.hubs}, {d.body, "properties", d.properties}} {
		raw, err := json.Marshal(part.value)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", part.name, err)
		}
		part.into[part.name] = raw
	}
	return d.body, nil
}

func (d *document) etag() string { return textOf(d.body["etag"]) }

// inTransition reports whether the service is being made, changed or deleted (properties.state of the description).
func (d *document) inTransition() bool {
	switch strings.ToLower(textOf(d.properties["state"])) {
	case "activating", "deleting", "transitioning", "suspending", "resuming", "failingover":
		return true
	}
	return false
}

// find returns the index of the hub's entry, or -1.
func (d *document) find(host string) int {
	return slices.IndexFunc(d.hubs, func(entry map[string]json.RawMessage) bool {
		return strings.EqualFold(hostOf(entry), host)
	})
}

// hostOf is the entry's name, or the host of its connection string: the service makes the one of the other.
func hostOf(entry map[string]json.RawMessage) string {
	if name := textOf(entry["name"]); name != "" {
		return name
	}
	return connection(entry)["hostname"]
}

// connection takes the entry's connection string apart; names are in lower case. A link by a managed identity has none.
func connection(entry map[string]json.RawMessage) map[string]string {
	fields := map[string]string{}
	for part := range strings.SplitSeq(textOf(entry["connectionString"]), ";") {
		name, value, _ := strings.Cut(part, "=")
		fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return fields
}

// link reads an entry.
func (d *document) link(i int) (Link, error) {
	entry := d.hubs[i]
	link := Link{Host: hostOf(entry), PolicyName: connection(entry)["sharedaccesskeyname"], Location: textOf(entry["location"])}
	for name, into := range map[string]any{"allocationWeight": &link.Weight, "applyAllocationPolicy": &link.Apply} {
		if raw, ok := entry[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return Link{}, fmt.Errorf("the link of %s has a %s of another kind than was expected", link.Host, name)
			}
		}
	}
	return link, nil
}

// set makes the hub's entry what is wanted, or adds one. Other members of the entry stay.
func (d *document) set(want Link) error {
	i := d.find(want.Host)
	if i < 0 {
		if want.Key == "" {
			return fmt.Errorf("the hub %s is not linked, and no key is given to link it with", want.Host)
		}
		d.hubs = append(d.hubs, map[string]json.RawMessage{})
		i = len(d.hubs) - 1
	}
	entry := d.hubs[i]
	switch {
	case want.Key != "":
		entry["connectionString"] = rawOf("HostName=" + want.Host + ";SharedAccessKeyName=" + want.PolicyName + ";SharedAccessKey=" + want.Key)
	case !strings.EqualFold(connection(entry)["sharedaccesskeyname"], want.PolicyName):
		return fmt.Errorf("the link of %s moves to the policy %s, and no key of that is given", want.Host, want.PolicyName)
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

// drop removes the hub's entry and reports whether there was one.
func (d *document) drop(host string) bool {
	i := d.find(host)
	if i >= 0 {
		d.hubs = slices.Delete(d.hubs, i, i+1)
	}
	return i >= 0
}

// textOf reads a JSON text; anything else is "".
func textOf(raw json.RawMessage) string {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &text) != nil {
		return ""
	}
	return text
}

// rawOf writes a text, a number or a truth value, none of which can fail.
func rawOf(value any) json.RawMessage {
	raw, _ := json.Marshal(value)
	return raw
}
