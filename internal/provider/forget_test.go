package provider_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/azure/sas"
)

// registered registers two devices of a group and one with its own enrollment, and returns the two resources.
func registered(t *testing.T, cloud *azure, config object, scope string, inputs object) (group, single *managed) {
	t.Helper()
	server := startProvider(t, config)
	group, single = manage(t, server, "EnrollmentGroup", "devices"), manage(t, server, "IndividualEnrollment",
		"device-1")
	group.up(object{"enrollmentGroupId": "devices"}.edited(inputs))
	single.up(object{"registrationId": "device-1"}.edited(inputs))
	keys := map[string]string{"device-1": single.secret("primaryKey")}
	for _, id := range []string{"of-group-1", "of-group-2"} {
		key, err := sas.DeriveDeviceKey(group.secret("primaryKey"), id)
		must(t, err)
		keys[id] = key
	}
	for id, key := range keys {
		_, err := cloud.register(t.Context(), scope, id, key)
		must(t, err)
	}
	return group, single
}

// records returns the ids of the registration records, each requested separately.
func records(t *testing.T, server *managed, ids ...string) []string {
	t.Helper()
	var found []string
	for _, id := range ids {
		got := invoke(t, server.server, "getRegistration", object{"registrationId": id})
		if got.Get("exists").AsBool() {
			found = append(found, id)
		}
	}
	return found
}

func TestADeletionDeletesRegistrationRecordsOnRequest(t *testing.T) {
	t.Parallel()
	ids := []string{"device-1", "of-group-1", "of-group-2"}
	for name, test := range map[string]struct {
		inputs object
		// later are the inputs of a second up, which must change nothing; nil for none.
		later object
		want  []string
	}{
		"set":       {inputs: object{"deleteRegistrations": true}},
		"set later": {later: object{"deleteRegistrations": true}},
		"not set":   {want: []string{"of-group-1", "of-group-2"}},
		"set and reset": {inputs: object{"deleteRegistrations": true}, later: object{"deleteRegistrations": false},
			want: []string{"of-group-1", "of-group-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := newAzure(t)
			config, scope := cloud.linked(t)
			group, single := registered(t, cloud, config, scope, test.inputs)
			if got := records(t, group, ids...); !slices.Equal(got, ids) {
				t.Fatalf("before: got records of %v, want %v", got, ids)
			}
			if test.later != nil {
				if got := group.up(object{"enrollmentGroupId": "devices"}.edited(test.later)); got != nil {
					t.Errorf("the group with the other answer: got %v, want none", got)
				}
				if got := single.up(object{"registrationId": "device-1"}.edited(test.later)); got != nil {
					t.Errorf("the enrollment with the other answer: got %v, want none", got)
				}
			}
			group.delete()
			single.delete()
			// An individual enrollment is always deleted with its record.
			if got := records(t, group, ids...); !slices.Equal(got, test.want) {
				t.Errorf("after: got records of %v, want %v", got, test.want)
			}
		})
	}
}

// TestAFailedDeletionOfRecordsLeavesTheGroup, so that the next attempt finds the records.
func TestAFailedDeletionOfRecordsLeavesTheGroup(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "EnrollmentGroup", "devices")
	m.up(object{"enrollmentGroupId": "devices", "deleteRegistrations": true})
	left, refused := []string{"a", "b", "c"}, "b"
	fake.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		id, isRecord := strings.CutPrefix(r.URL.Path, "/registrations/")
		switch {
		case !isRecord:
			if r.Method == http.MethodDelete {
				left = append(left, "late") // a device registers just before the group is deleted
			}
			return false
		case strings.HasSuffix(id, "/query"):
			var list []map[string]string
			for _, id := range left {
				list = append(list, map[string]string{"registrationId": id})
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(list)
		case id == refused:
			refuse(w, 401002, "Unauthorized")
		default:
			left = slices.DeleteFunc(left, func(other string) bool { return other == id })
			w.WriteHeader(http.StatusNoContent)
		}
		return true
	}, nil)
	err := m.server.Delete(deleteOf(m))
	if err == nil || !strings.Contains(err.Error(), `"b" (2 of 3)`) {
		t.Errorf("got %v, want the record that could not be deleted", err)
	}
	if fake.entry("/enrollmentGroups/devices") == nil || fmt.Sprint(left) != "[b c]" {
		t.Errorf("got group %t, records %v, want the group and what is left",
			fake.entry("/enrollmentGroups/devices") != nil, left)
	}
	refused = ""
	m.delete()
	if fake.entry("/enrollmentGroups/devices") != nil || len(left) > 0 {
		t.Errorf("the second try left %v", left)
	}
}
