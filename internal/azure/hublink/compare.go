package hublink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
)

// DamageError reports that a write changed more than its own entry.
type DamageError struct {
	// Members are the paths of what changed, without their values.
	Members []string
	Version string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf(
		"writing the link also changed %s of the provisioning service, although the request (api-version %s) "+
			"contained the old value. "+
			"hint: restore what changed in the Azure portal or with az, then run `pulumi up` again",
		list(e.Members),
		e.Version,
	)
}

// list names the first members.
func list(members []string) string {
	const most = 5
	if more := len(members) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(members[:most], ", "), more)
	}
	return strings.Join(members, ", ")
}

// damage returns the members outside the own entry that the write of `before` changed, as they are in `after`. A change
// that the answer to the write does not show, in a description that changed since, was made by another client.
func damage(before, after *document, first map[string]json.RawMessage, own string) []string {
	changes := differences(before.body, after.body, own)
	if len(changes) == 0 {
		return nil
	}
	if etag := textOf(first["etag"]); etag == "" || etag != after.etag() {
		written := differences(before.body, first, own)
		maps.DeleteFunc(changes, func(member, now string) bool {
			was, ok := written[member]
			return !ok || was != now
		})
	}
	return slices.Sorted(maps.Keys(changes))
}

// differences returns what differs between two descriptions of one service, as the paths of members and their new
// values. The own entry, and members that change without a write, are left out.
func differences(before, after map[string]json.RawMessage, own string) map[string]string {
	found := comparison{own: own, changes: map[string]string{}}
	found.objects("", treeOf(before), treeOf(after))
	return found.changes
}

// treeOf decodes a description and keeps the text of its numbers.
func treeOf(body map[string]json.RawMessage) map[string]any {
	tree := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(rawOf(body)))
	decoder.UseNumber()
	if decoder.Decode(&tree) != nil {
		return map[string]any{}
	}
	return tree
}

// comparison collects differences.
type comparison struct {
	own     string
	changes map[string]string
}

// endpoints are separate resources: others add and approve them without writing the service.
const endpoints = "properties.privateEndpointConnections"

// volatile are members that change without any write.
var volatile = []string{"etag", "systemData", "properties.state", "properties.provisioningState"}

func (c *comparison) objects(path string, before, after map[string]any) {
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	for name := range names {
		member := join(path, name)
		if slices.Contains(volatile, member) ||
			name == "linkingState" && strings.HasPrefix(path, "properties.deviceRegistryNamespaces[") {
			continue
		}
		was, had := before[name]
		is, has := after[name]
		switch {
		case path == "tags" && had && has && bytes.Equal(rawOf(was), rawOf(is)):
		case path == "tags" && has: // an empty tag is one, too
			c.changes[member] = string(rawOf(is))
		case path == "tags":
			c.changes[member] = "absent"
		case !had && (isDefault(name, is) || is == false && name != "applyAllocationPolicy" || member == endpoints):
			// Azure may show a default that it did not show before.
		case !has && isDefault(name, was):
		case !has:
			c.changes[member] = "absent"
		default:
			c.values(member, name, was, is)
		}
	}
}

func (c *comparison) values(path, name string, before, after any) {
	switch was := before.(type) {
	case map[string]any:
		if is, ok := after.(map[string]any); ok {
			c.objects(path, was, is)
			return
		}
	case []any:
		if is, ok := after.([]any); ok {
			c.lists(path, was, is)
			return
		}
	}
	if !sameValue(name, before, after) && !(isDefault(name, before) && isDefault(name, after)) {
		c.changes[path] = string(rawOf(after))
	}
}

func (c *comparison) lists(path string, before, after []any) {
	switch path {
	case "properties.iotHubs":
		c.objects(path, c.entries(before), c.entries(after))
		return
	case endpoints:
		after := keyed(after, "name")
		for name := range keyed(before, "name") {
			if _, ok := after[name]; !ok {
				c.changes[path+"["+name+"]"] = "absent"
			}
		}
		return
	}
	if len(before) != len(after) {
		c.changes[path] = string(rawOf(after))
		return
	}
	for i := range before {
		c.values(fmt.Sprintf("%s[%d]", path, i), "", before[i], after[i])
	}
}

// entries are the links of others by the names of their hubs, each with both of its names.
func (c *comparison) entries(list []any) map[string]any {
	hubs := keyed(list, "name", "hostName", "connectionString")
	maps.DeleteFunc(hubs, func(host string, _ any) bool { return domain.SameHost(host, c.own) })
	for host, item := range hubs {
		if entry, ok := item.(map[string]any); ok {
			entry = maps.Clone(entry)
			for _, name := range []string{"name", "hostName"} {
				if text, _ := entry[name].(string); text == "" {
					entry[name] = host
				}
				entry[name] = strings.ToLower(fmt.Sprint(entry[name]))
			}
			hubs[host] = entry
		}
	}
	return hubs
}

// keyed returns the objects of a list by the first of the members that they have, in lower case.
func keyed(list []any, members ...string) map[string]any {
	found := map[string]any{}
	for i, item := range list {
		key := fmt.Sprint(i)
		if object, ok := item.(map[string]any); ok {
			for _, member := range members {
				text, _ := object[member].(string)
				if member == "connectionString" {
					text = connectionOf(text)["hostname"]
				}
				if text != "" {
					key = strings.ToLower(text)
					break
				}
			}
		}
		found[key] = item
	}
	return found
}

func join(path, name string) string {
	switch {
	case path == "":
		return name
	case path == "properties.iotHubs":
		return path + "[" + name + "]"
	}
	return path + "." + name
}

// isDefault reports whether a value means the same as no value at all.
func isDefault(name string, value any) bool {
	switch value := value.(type) {
	case nil:
		return true
	case string:
		return value == "" || name == "authenticationType" && strings.EqualFold(value, enrollment.KeyBased) ||
			name == "publicNetworkAccess" && strings.EqualFold(value, "Enabled")
	case bool:
		return value && name == "applyAllocationPolicy" || !value && name == "disableLocalAuth"
	case json.Number:
		return name == "allocationWeight" && sameNumber(value, "1")
	case []any:
		return len(value) == 0
	case map[string]any:
		kind, _ := value["type"].(string)
		return len(value) == 0 || name == "identity" && len(value) == 1 && strings.EqualFold(kind, "None")
	}
	return false
}

func sameValue(name string, a, b any) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b)
	case string:
		b, ok := b.(string)
		switch {
		case !ok:
			return false
		case name == "connectionString":
			return maps.Equal(withoutKey(a), withoutKey(b))
		case name == "location":
			return SameLocation(a, b)
		}
		return a == b
	}
	return a == b // null and booleans; callers have compared objects and lists, which have different types here
}

func sameNumber(a, b json.Number) bool {
	if a == b || strings.ContainsAny(string(a+b), "eE") { // a number with an exponent can fill the memory
		return a == b
	}
	x, ok := new(big.Rat).SetString(a.String())
	y, alsoOk := new(big.Rat).SetString(b.String())
	return ok && alsoOk && x.Cmp(y) == 0
}

// withoutKey returns a connection string with a mark in place of its key: answers mask keys in several ways, which are
// not compared.
func withoutKey(text string) map[string]string {
	fields := connectionOf(text)
	fields["hostname"] = strings.ToLower(fields["hostname"])
	if fields["sharedaccesskey"] != "" {
		fields["sharedaccesskey"] = "a key"
	}
	return fields
}

// hidden returns the members that a newer api-version shows of a service and an older one does not, unless they have
// their defaults: a write with the older one could reset them.
func hidden(newer, older *document) []string {
	c := concealment{whole: !isOlder(older.version, firstWhole)}
	c.objects("", treeOf(newer.body), treeOf(older.body))
	slices.Sort(c.members)
	return c.members
}

type concealment struct {
	// whole: the older version has all writable members that are known.
	whole   bool
	members []string
}

func (c *concealment) objects(path string, newer, older map[string]any) {
	for name, value := range newer {
		shown, ok := older[name]
		switch {
		case !ok && c.matters(path, name, value):
			c.members = append(c.members, join(path, name))
		case ok:
			c.values(join(path, name), value, shown)
		}
	}
}

func (c *concealment) values(path string, newer, older any) {
	switch newer := newer.(type) {
	case map[string]any:
		if older, ok := older.(map[string]any); ok {
			c.objects(path, newer, older)
		}
	case []any:
		older, ok := older.([]any)
		switch {
		case !ok:
		case path == "properties.iotHubs" && areNamed(newer):
			none := comparison{}
			c.objects(path, none.entries(newer), none.entries(older))
		default:
			for i := range min(len(newer), len(older)) {
				c.values(fmt.Sprintf("%s[%d]", path, i), newer[i], older[i])
			}
		}
	}
}

// areNamed reports whether all links of a list have names. In future versions they may not.
func areNamed(list []any) bool {
	return !slices.ContainsFunc(list, func(item any) bool {
		entry, _ := item.(map[string]any)
		name, _ := entry["name"].(string)
		return name == ""
	})
}

// matters reports whether a member that the older version lacks can be lost by a write with it.
func (c *concealment) matters(path, name string, value any) bool {
	switch {
	case isDefault(name, value), value == false, name == "systemData":
		return false
	case name == "connectionProfile" && strings.HasPrefix(path, "properties.iotHubs["): // read-only
		return false
	case name == "deviceRegistryNamespaces": // read-only, but what a write with an older version does is not known
		return !c.whole
	}
	return true
}
