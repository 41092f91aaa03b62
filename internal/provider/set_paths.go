package provider

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
)

// place is where an item, and where the defaults, say what an enrollment says at a path. An empty one says it nowhere.
type place struct{ enrollment, item, defaults string }

// places are the paths of enrollments that items spell otherwise. Parts of a path follow it.
var places = []place{
	{"attestation.symmetricKey.primaryKey", "primaryKey", ""},
	{"attestation.symmetricKey.secondaryKey", "secondaryKey", ""},
	{"attestation.x509.clientCertificates.primary", "certificate", ""},
	{"attestation.x509.clientCertificates.secondary", "secondaryCertificate", ""},
	{"attestation.x509.caReferences.primary", "caReference", "caReferences.primary"},
	{"attestation.x509.caReferences.secondary", "secondaryCaReference", "caReferences.secondary"},
	{"attestation.tpm.endorsementKey", "endorsementKey", ""},
	{"attestation.tpm.storageRootKey", "storageRootKey", ""},
	{"attestation", "", ""}, // which kind it is
	{"capabilities.iotEdge", "iotEdge", "capabilities.iotEdge"},
	{"initialTwin.tags", "tags", "initialTwin.tags"},
	{"initialTwin.desiredProperties", "desiredProperties", "initialTwin.desiredProperties"},
	{"registrationId", "registrationId", ""},
	{"deviceId", "deviceId", ""},
}

// placeOf returns where a set says what an enrollment says at the path.
func placeOf(path string) place {
	for _, candidate := range places {
		if path == candidate.enrollment || strings.HasPrefix(path, candidate.enrollment+".") {
			return candidate
		}
	}
	return place{path, path, path} // the others are spelled alike everywhere
}

// property is the item's property in which the place lies; empty for none.
func (p place) property() string {
	name, _, _ := strings.Cut(p.item, ".")
	return name
}

// allocationNames are the properties of an item that have a meaning only together.
var allocationNames = []string{"allocationPolicy", "customAllocation", "iotHubs", "iotHubHostName"}

// itemFields are the indexes of an item's fields by the names of the properties.
var itemFields = func() map[string]int {
	fields := map[string]int{}
	for i, field := range reflect.VisibleFields(reflect.TypeFor[SetItem]()) {
		name, _, _ := strings.Cut(field.Tag.Get("pulumi"), ",")
		fields[name] = i
	}
	return fields
}()

// says reports whether the item itself says something of one of the properties.
func (i SetItem) says(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return !reflect.ValueOf(i).Field(itemFields[name]).IsZero() })
}

// take makes the property of the item that of another one.
func (i *SetItem) take(name string, from SetItem) {
	reflect.ValueOf(i).Elem().Field(itemFields[name]).Set(reflect.ValueOf(from).Field(itemFields[name]))
}

// attestationNames are the properties of an item that say how it attests.
var attestationNames = []string{
	"primaryKey", "secondaryKey", "certificate", "secondaryCertificate", "caReference", "secondaryCaReference", "endorsementKey", "storageRootKey",
}

// adopt makes the item say what the service holds, where that is not what the item and the defaults declare. It cannot say that something
// is absent which the defaults give.
func (i *SetItem) adopt(d SetDefaults, got held) {
	want := i.declared(d)
	actual := itemOf(reconcile(want, got))
	for _, f := range changes(want, got) {
		name := placeOf(f.path).property()
		if name == "" || slices.Contains(attestationNames, name) {
			for _, name := range attestationNames {
				i.take(name, actual)
			}
			continue
		}
		i.take(name, actual)
	}
}

// deviceDiff finds the paths of a set of inline items in which devices differ.
type deviceDiff struct {
	old, new EnrollmentSetArgs
	// oldIndex and newIndex are the places of items by the whole ids in lower case; an old item is found by its new id too, where another
	// prefix renames it.
	oldIndex, newIndex map[string]int
}

func newDeviceDiff(old, new EnrollmentSetArgs) deviceDiff {
	d := deviceDiff{old: old, new: new, oldIndex: old.index(), newIndex: new.index()}
	renamed := old
	renamed.IDPrefix = new.IDPrefix
	for id, i := range renamed.index() {
		if _, exists := d.oldIndex[id]; !exists {
			d.oldIndex[id] = i
		}
	}
	return d
}

// defaultsPaths are the paths in which defaults differ for an enrollment that says nothing of its own.
func defaultsPaths(old, new SetDefaults) []string {
	var paths []string
	for _, f := range changes(SetItem{}.declared(new), held{declared: SetItem{}.declared(old)}) {
		path := placeOf(f.path).defaults
		if f.path == attestationPath {
			path = "caReferences" // they appear or go
		}
		paths = append(paths, "defaults."+path)
	}
	return paths
}

// paths are those of everything that is planned: of a device that is added or removed its item's, of a changed one those of its
// properties, or of the defaults' where those are what changed.
func (d deviceDiff) paths(plan setPlan) map[string]p.PropertyDiff {
	diff := map[string]p.PropertyDiff{}
	for _, w := range plan.added {
		diff[itemPath(d.newIndex[strings.ToLower(w.ID)])] = p.PropertyDiff{Kind: p.Add, InputDiff: true}
	}
	for _, id := range plan.removed {
		i, exists := d.oldIndex[strings.ToLower(id)]
		if !exists {
			diff["items"] = p.PropertyDiff{Kind: p.Update, InputDiff: true} // it came from a manifest
			continue
		}
		if _, both := diff[itemPath(i)]; both {
			diff[itemPath(i)] = p.PropertyDiff{Kind: p.Update, InputDiff: true} // another item stands there now
		} else {
			diff[itemPath(i)] = p.PropertyDiff{Kind: p.Delete, InputDiff: true}
		}
	}
	for _, w := range plan.changed {
		for _, path := range d.changed(w) {
			diff[path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	return diff
}

func itemPath(index int) string { return fmt.Sprintf("items[%d]", index) }

// changed are the paths in which one device differs. Where the items do not show what differs, it is the whole item.
func (d deviceDiff) changed(w declared) []string {
	i := d.newIndex[strings.ToLower(w.ID)]
	j, exists := d.oldIndex[strings.ToLower(w.ID)]
	if !exists {
		return []string{itemPath(i)}
	}
	old, item := d.old.Items[j], d.new.Items[i]
	before := held{declared: old.declared(d.old.defaults()), Record: Record{PrimaryKey: old.PrimaryKey, SecondaryKey: old.SecondaryKey}}
	var paths []string
	for _, f := range changes(w, before) {
		place := placeOf(f.path)
		switch name := place.property(); {
		case name == "" && !old.says(attestationNames...) && !item.says(attestationNames...):
			paths = append(paths, "defaults.caReferences")
		case name == "":
			paths = append(paths, itemPath(i))
		case place.defaults == "" || old.says(name) || item.says(name):
			paths = append(paths, itemPath(i)+"."+place.item)
		default:
			paths = append(paths, "defaults."+place.defaults)
		}
	}
	if len(paths) == 0 {
		return []string{itemPath(i)}
	}
	return paths
}
