package provider_test

import (
	"slices"
	"strings"
	"testing"
)

// TestAPrefixIsAddedToEveryID at the service, in the outputs, in refresh and in import, but not in the items.
func TestAPrefixIsAddedToEveryID(t *testing.T) {
	t.Parallel()
	service, server := openService(t)
	for name, source := range map[string]object{
		"items":        {"items": plain("a", "b", "c")},
		"manifestText": {"manifestText": propertyOf("registrationId\na\nb\nc\n").WithSecret(true)},
	} {
		t.Run(name, func(t *testing.T) {
			set := manage(t, server, "EnrollmentSet", name)
			inputs := source.edited(object{"idPrefix": name + ".One-"})
			set.up(inputs)
			ids := []string{name + ".One-a", name + ".One-b", name + ".One-c"}
			if got := devicesOf(set); !slices.Equal(got, ids) || !slices.Equal(enrolled(t, set, ids...), ids) ||
				len(enrolled(t, set, "a", "b", "c")) > 0 {
				t.Errorf("%s: got devices %v with enrollments of %v, want the whole ids alone", name, got,
					enrolled(t, set, ids...))
			}
			if got := set.up(inputs); got != nil {
				t.Errorf("%s: up again: got %v, want none", name, got)
			}
			service.edit(t, "/enrollments/"+ids[0],
				func(entry map[string]any) { entry["provisioningStatus"] = "disabled" })
			service.remove(t, "/enrollments/"+ids[1])
			want := map[string][]string{"items": {"items[0].provisioningStatus", "items[1]"},
				"manifestText": {"manifestText"}}[name]
			if got := set.refresh(); !slices.Equal(got, want) {
				t.Errorf("%s: refresh: got %v, want %v", name, got, want)
			}
			if got := set.up(inputs); !slices.Equal(got, want) || len(devicesOf(set)) != 3 {
				t.Errorf("%s: healing: got %v with %v, want %v", name, got, devicesOf(set), want)
			}
			if got := set.refresh(); got != nil {
				t.Errorf("%s: second refresh: got %v, want none", name, got)
			}
			for _, named := range []string{strings.Join(ids, ","), name + ".one-*"} {
				t.Run(named, func(t *testing.T) {
					imported := manage(t, server, "EnrollmentSet", "imported-"+name)
					imported.id = emulatedHost + "/enrollments/" + named
					imported.refresh()
					if got := imported.up(inputs); got != nil {
						t.Errorf("%s: up after the import of %s: got %v, want none", name, named, got)
					}
				})
			}
		})
	}
}

// TestAnotherPrefixRenamesEveryDevice: the diff names the prefix, and also other changes of single devices.
func TestAnotherPrefixRenamesEveryDevice(t *testing.T) {
	t.Parallel()
	_, server := openService(t)
	changed := func(prefix object, list ...object) object { return object{"items": items(list...)}.edited(prefix) }
	a, b, c := object{"registrationId": "a"}, object{"registrationId": "b"}, object{"registrationId": "c"}
	one, two := object{"idPrefix": "one-"}, object{"idPrefix": "two-"}
	for name, test := range map[string]struct {
		first, then object
		want        []string // the paths
		devices     []string
	}{
		"another": {changed(one, a, b), changed(two, a, b), []string{"idPrefix"},
			[]string{"two-a", "two-b"}},
		"a first one": {changed(nil, a, b), changed(one, a, b), []string{"idPrefix"},
			[]string{"one-a", "one-b"}},
		"no longer any":     {changed(one, a, b), changed(nil, a, b), []string{"idPrefix"}, []string{"a", "b"}},
		"an empty one":      {changed(object{"idPrefix": ""}, a), changed(nil, a), nil, []string{"a"}},
		"other letter case": {changed(one, a), changed(object{"idPrefix": "ONE-"}, a), nil, []string{"one-a"}},
		"moved to the items": {changed(one, a), changed(nil, object{"registrationId": "one-a"}), nil,
			[]string{"one-a"}},
		"with a new device": {changed(one, a, b), changed(two, a, b, c), []string{"idPrefix", "items[2]"},
			[]string{"two-a", "two-b", "two-c"}},
		"with one less": {changed(one, a, b), changed(two, b), []string{"idPrefix", "items[0]"},
			[]string{"two-b"}},
		"with a change": {changed(one, a, b), changed(two, b, object{"registrationId": "a", "tags": object{"x": "y"}}),
			[]string{"idPrefix", "items[1].tags"}, []string{"two-a", "two-b"}},
		"with other defaults": {changed(one, a), changed(two,
			a).edited(object{"defaults": object{"provisioningStatus": "disabled"}}),
			[]string{"defaults.provisioningStatus", "idPrefix"}, []string{"two-a"}},
		"of a manifest": {object{"manifestText": "registrationId\na", "idPrefix": "one-"},
			object{"manifestText": "registrationId\na", "idPrefix": "two-"},
			[]string{"idPrefix"}, []string{"two-a"}},
		"of a manifest with a change": {object{"manifestText": "registrationId\na", "idPrefix": "one-"},
			object{"manifestText": "registrationId\na\nb", "idPrefix": "two-"},
			[]string{"idPrefix", "manifestText"}, []string{"two-a", "two-b"}},
	} {
		t.Run(name, func(t *testing.T) {
			set := manage(t, nextRun(t, server), "EnrollmentSet", "renamed "+name)
			set.up(test.first)
			if got := set.up(test.then); !slices.Equal(got, test.want) {
				t.Errorf("got changes in %v, want %v", got, test.want)
			}
			if got := devicesOf(set); !slices.Equal(got, test.devices) ||
				!slices.Equal(enrolled(t, set, "a", "b", "c", "one-a", "one-b", "two-a", "two-b", "two-c"),
					test.devices) {
				t.Errorf("got devices %v, want %v and no others at the service", got, test.devices)
			}
			if got := set.refresh(); got != nil {
				t.Errorf("refresh: got %v, want none", got)
			}
			set.delete()
		})
	}
}
