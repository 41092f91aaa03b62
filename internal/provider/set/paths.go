package set

import (
	"fmt"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/internal/provider/entry"
)

// adopt changes the item to what the service holds where that differs from the declaration. An item cannot express the
// absence of something that the defaults give.
func (i *Item) adopt(d Defaults, got entry.Held) {
	want := i.declared(d)
	actual := itemOf(entry.Reconcile(want, got))
	for _, f := range entry.Changes(want, got) {
		name := placeOf(f.Path).property()
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
	// oldIndex and newIndex are the positions of items by their whole ids in lower case; an old item that another
	// prefix renames is found by its new id too.
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

// defaultsPaths are the paths in which defaults differ for an item that sets nothing.
func defaultsPaths(old, new Defaults) []string {
	var paths []string
	for _, f := range entry.Changes(Item{}.declared(new), entry.Held{Declared: Item{}.declared(old)}) {
		path := placeOf(f.Path).defaults
		if f.Path == entry.AttestationPath {
			path = "caReferences" // they are added or removed
		}
		paths = append(paths, "defaults."+path)
	}
	return paths
}

// paths returns the paths of everything that is planned: the item of a device that is added or removed, and the
// properties of a changed one, or those of the defaults if these changed.
func (d deviceDiff) paths(plan plan) map[string]p.PropertyDiff {
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
			diff[itemPath(i)] = p.PropertyDiff{Kind: p.Update, InputDiff: true} // another item is at this position now
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

// changed returns the paths in which one device differs. If the items do not show the difference, it is the whole item.
func (d deviceDiff) changed(w entry.Declared) []string {
	i := d.newIndex[strings.ToLower(w.ID)]
	j, exists := d.oldIndex[strings.ToLower(w.ID)]
	if !exists {
		return []string{itemPath(i)}
	}
	old, item := d.old.Items[j], d.new.Items[i]
	before := entry.Held{Declared: old.declared(d.old.defaults()), Record: entry.Record{PrimaryKey: old.PrimaryKey,
		SecondaryKey: old.SecondaryKey}}
	var paths []string
	for _, f := range entry.Changes(w, before) {
		place := placeOf(f.Path)
		switch name := place.property(); {
		case name == "" && !old.has(attestationNames...) && !item.has(attestationNames...):
			paths = append(paths, "defaults.caReferences")
		case name == "":
			paths = append(paths, itemPath(i))
		case place.defaults == "" || old.has(name) || item.has(name):
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
