package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// recordKeeper replaces the registration records of a service. They outlive the enrollment, and their deletion can be
// refused.
type recordKeeper struct {
	mu  sync.Mutex
	ids map[string]bool
	// deleted counts the requested deletions by id.
	deleted map[string]int
	// refuse, if set, returns whether to refuse the nth deletion of a record.
	refuse func(id string, nth int) bool
	// after, if set, is called after a deletion, where devices may register.
	after func(ids map[string]bool, id string, nth int)
}

func keepRecords(ids ...string) *recordKeeper {
	k := &recordKeeper{ids: map[string]bool{}, deleted: map[string]int{}}
	for _, id := range ids {
		k.ids[id] = true
	}
	return k
}

// answer is the function for unreliable: it answers requests about records only.
func (k *recordKeeper) answer(w http.ResponseWriter, r *http.Request) bool {
	id, is := strings.CutPrefix(r.URL.Path, "/registrations/")
	if !is {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	deletes := r.Method == http.MethodDelete
	if deletes {
		k.deleted[id]++
	}
	switch {
	case deletes && k.refuse != nil && k.refuse(id, k.deleted[id]):
		refuse(w, 403001, "no right to it")
	case !k.ids[id]:
		refuse(w, 404204, "no such record")
	case deletes:
		delete(k.ids, id)
		w.WriteHeader(http.StatusNoContent)
	default:
		fmt.Fprintf(w, `{"registrationId":%q,"status":"assigned"}`, id)
	}
	if deletes && k.after != nil {
		k.after(k.ids, id, k.deleted[id])
	}
	return true
}

func (k *recordKeeper) left() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Sorted(maps.Keys(k.ids))
}

func (k *recordKeeper) relent() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse, k.after = nil, nil
}

// plain returns items that have only their ids.
func plain(ids ...string) property.Value {
	list := make([]object, len(ids))
	for i, id := range ids {
		list[i] = object{"registrationId": id}
	}
	return items(list...)
}

// enrolled returns those of the ids for which the service has enrollments.
func enrolled(t *testing.T, m *managed, ids ...string) []string {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		_, err := tryInvoke(t, m.server, "getIndividualEnrollment", object{"registrationId": id})
		return err != nil
	})
}

func TestASetDeletesRegistrationRecordsOnRequest(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		first, then object // then is nil for a deletion
		later       object // a change in between that must change nothing at the service
		want        []string
	}{
		"the set is deleted, with records":              {first: object{"deleteRegistrations": true}},
		"the set is deleted, with records as set later": {later: object{"deleteRegistrations": true}},
		"the set is deleted, without records":           {want: []string{"a", "b", "c"}},
		"the set is deleted, without records as set later": {first: object{"deleteRegistrations": true},
			later: object{"deleteRegistrations": false}, want: []string{"a", "b", "c"}},
		"a device is removed, with records": {first: object{"deleteRegistrations": true},
			then: object{"items": plain("a", "c"), "deleteRegistrations": true}, want: []string{"a", "c"}},
		"a device is removed, with records as set now": {
			then: object{"items": plain("a", "c"), "deleteRegistrations": true},
			want: []string{"a", "c"}},
		"a device is removed, without records": {first: object{"deleteRegistrations": true},
			then: object{"items": plain("a", "c")}, want: []string{"a", "b", "c"}},
		"another attestation, with records": {then: object{"deleteRegistrations": true,
			"items": items(object{"registrationId": "a"},
				object{"registrationId": "b", "endorsementKey": endorsementKey},
				object{"registrationId": "c"}, object{"registrationId": "silent"})}, want: []string{"a", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, _ := openService(t)
			records := keepRecords("a", "b", "c", "somebody-else") // silent has never registered
			set := manage(t, startProvider(t, service.through(t, unreliable{refuse: records.answer})), "EnrollmentSet",
				"devices")
			inputs := object{"items": plain("a", "b", "c", "silent")}
			set.up(inputs.edited(test.first))
			if test.later != nil {
				if got := set.up(inputs.edited(test.later)); got != nil {
					t.Errorf("up with the other answer: got %v, want none", got)
				}
			}
			if test.then != nil {
				set.up(test.then)
			} else {
				set.delete()
			}
			if got, want := records.left(), append(slices.Clone(test.want), "somebody-else"); !slices.Equal(got, want) {
				t.Errorf("got records of %v, want %v", got, want)
			}
		})
	}
}

// TestARecordThatCannotBeDeletedKeepsItsDevice, and only that one, until the next up or destroy succeeds.
func TestARecordThatCannotBeDeletedKeepsItsDevice(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b", "c"}
	for _, next := range []string{"up", "destroy", "destroy twice"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			service, _ := openService(t)
			records := keepRecords(ids...)
			records.refuse = func(id string, _ int) bool { return id == "b" }
			set := manage(t, startProvider(t, service.through(t, unreliable{refuse: records.answer})), "EnrollmentSet",
				"devices")
			inputs := object{"items": plain(ids...), "deleteRegistrations": true}
			set.up(inputs)
			if next != "destroy twice" {
				_, err := set.tryUp(object{"items": plain("a"), "deleteRegistrations": true})
				if err == nil || !strings.Contains(err.Error(), "1 of 2 removed") ||
					!strings.Contains(err.Error(), `delete registration "b"`) || strings.Contains(err.Error(), `"c"`) {
					t.Fatalf("up: got %v, want the record of b alone", err)
				}
				if got, want := devicesOf(set), []string{"a", "b"}; !slices.Equal(got, want) ||
					!slices.Equal(enrolled(t, set, ids...), want) {
					t.Fatalf("after the fault: got devices %v with enrollments of %v, want %v", got,
						enrolled(t, set, ids...), want)
				}
				set.refresh()
			} else if err := set.server.Delete(deleteOf(set)); err == nil ||
				!strings.Contains(err.Error(), `delete registration "b"`) {
				t.Fatalf("destroy: got %v, want the record of b", err)
			} else if got := enrolled(t, set, ids...); !slices.Equal(got, []string{"b"}) {
				t.Fatalf("after the fault: got enrollments of %v, want b's", got)
			}
			records.relent()
			want := []string(nil)
			if next == "up" {
				want = []string{"a"}
				set.up(object{"items": plain("a"), "deleteRegistrations": true})
			} else {
				set.delete()
			}
			if got := records.left(); !slices.Equal(got, want) || !slices.Equal(enrolled(t, set, ids...), want) {
				t.Errorf("in the end: got records of %v and enrollments of %v, want %v", got, enrolled(t, set, ids...),
					want)
			}
		})
	}
}

// TestADeviceThatRegistersDuringItsDeletionLeavesNoRecord: the records are deleted once more after the enrollments. A
// failure then is kept for the next up, although the enrollment no longer exists.
func TestADeviceThatRegistersDuringItsDeletionLeavesNoRecord(t *testing.T) {
	t.Parallel()
	deleting := object{"deleteRegistrations": true}
	begin := func(t *testing.T) (*managed, *recordKeeper) {
		service, _ := openService(t)
		records := keepRecords("b")
		records.after = func(ids map[string]bool, id string, nth int) {
			if nth == 1 {
				ids[id] = true
			}
		}
		set := manage(t, startProvider(t, service.through(t, unreliable{refuse: records.answer})), "EnrollmentSet",
			"devices")
		set.up(deleting.edited(object{"items": plain("a", "b")}))
		return set, records
	}
	for name, inputs := range map[string]object{
		"removed": deleting.edited(object{"items": plain("a")}), "destroyed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, records := begin(t)
			if inputs != nil {
				set.up(inputs)
			} else {
				set.delete()
			}
			if got := records.left(); slices.Contains(got, "b") {
				t.Errorf("got records of %v, want none", got)
			}
		})
	}
	for name, last := range map[string]object{
		"and stays away":          deleting.edited(object{"items": plain("a")}),
		"and comes back":          deleting.edited(object{"items": plain("a", "b")}),
		"and keeps records again": {"items": plain("a")},
	} {
		t.Run("a fault then, "+name, func(t *testing.T) {
			t.Parallel()
			set, records := begin(t)
			records.refuse = func(_ string, nth int) bool { return nth == 2 }
			if _, err := set.tryUp(deleting.edited(object{"items": plain("a")})); err == nil ||
				!strings.Contains(err.Error(), `delete registration "b"`) {
				t.Fatalf("up: got %v, want the record of b", err)
			}
			if got := enrolled(t, set, "a", "b"); !slices.Equal(got, []string{"a"}) {
				t.Fatalf("got enrollments of %v, want a's", got)
			}
			records.relent()
			for _, look := range []func(){func() {}, func() { set.refresh() }} {
				if look(); !strings.HasPrefix(set.state.Get("devices").AsMap().Get("b").AsString(), "! ") {
					t.Fatalf("got devices %v, want b marked as deleted", set.state.Get("devices"))
				}
			}
			if got := set.up(last); len(got) == 0 {
				t.Error("the next up has nothing to do")
			}
			want := map[string][]string{"and stays away": nil, "and comes back": {"b"},
				"and keeps records again": {"b"}}[name]
			if got := records.left(); !slices.Equal(got, want) {
				t.Errorf("got records of %v, want %v", got, want)
			}
			if got := enrolled(t, set, "a", "b"); !slices.Equal(got, devicesOf(set)) ||
				slices.Contains(got, "b") != (name == "and comes back") {
				t.Errorf("got enrollments of %v and devices %v", got, devicesOf(set))
			}
			if got := set.refresh(); got != nil {
				t.Errorf("refresh: got %v, want none", got)
			}
		})
	}
}
