package dpsservice_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evenkeel/emulator/internal/dpsservice"
	"evenkeel/emulator/internal/state"
)

const (
	newer = "?api-version=2026-11-01"
	older = "?api-version=2021-10-01"
	names = `"namespaceName":"ns-1","certificateAuthorityName":"Issuing","certificatePolicyName":"leaves-30"`
)

// kinds are the two collections with the member of their ids.
var kinds = map[string]string{"enrollments": "registrationId", "enrollmentGroups": "enrollmentGroupId"}

// namesIn returns the members of a body that name a certificate policy.
func namesIn(t *testing.T, body string) map[string]string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatalf("not JSON: %s", body)
	}
	found := map[string]string{}
	for _, name := range []string{"namespaceName", "certificateAuthorityName", "certificatePolicyName"} {
		if value, is := all[name].(string); is {
			found[name] = value
		}
	}
	return found
}

var allNames = map[string]string{"namespaceName": "ns-1", "certificateAuthorityName": "Issuing",
	"certificatePolicyName": "leaves-30"}

func entryNamed(member, more string) string {
	return fmt.Sprintf(`{%q:"a","attestation":{"type":"symmetricKey"},%s}`, member, more)
}

func (w world) must(t *testing.T, c call) string {
	t.Helper()
	got := w.do(t, c)
	if got.status != 200 {
		t.Fatalf("%s %s: got %d %s, want 200", c.method, c.path, got.status, got.body)
	}
	return got.body
}

// TestCertificatePoliciesOfEntriesByVersion: only the versions that have the names take and show them, in every
// operation.
func TestCertificatePoliciesOfEntriesByVersion(t *testing.T) {
	t.Parallel()
	for collection, member := range kinds {
		t.Run(collection, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dpsservice.Options{})
			path, body := "/"+collection+"/a", entryNamed(member, names)
			check := func(what, body string, want map[string]string) {
				t.Helper()
				if diff := cmp.Diff(want, namesIn(t, body)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			none := map[string]string{}
			check("PUT of an older version", w.must(t, call{method: "PUT", path: path + older, body: body}), none)
			check("GET after it", w.must(t, call{method: "GET", path: path + newer}), none)
			check("PUT", w.must(t, call{method: "PUT", path: path + newer, body: body}), allNames)
			check("GET", w.must(t, call{method: "GET", path: path + newer}), allNames)
			check("GET of a later version",
				w.must(t, call{method: "GET", path: path + "?api-version=2026-11-02-preview"}), allNames)
			check("GET of an older version", w.must(t, call{method: "GET", path: path + older}), none)
			for version, want := range map[string]map[string]string{newer: allNames, older: none} {
				listed := w.must(t, call{method: "POST", path: "/" + collection + "/query" + version,
					body: `{"query":"*"}`})
				check("query"+version, strings.Trim(listed, "[]"), want)
			}
			check("PUT that leaves them out",
				w.must(t, call{method: "PUT", path: path + newer, body: entryNamed(member, `"etag":""`)}), none)

			bulk := fmt.Sprintf(`{"mode":"create","%s":[%s]}`, collection,
				strings.Replace(body, `"a"`, `"b"`, 1))
			w.must(t, call{method: "POST", path: "/" + collection + newer, body: bulk})
			check("GET after a bulk operation",
				w.must(t, call{method: "GET", path: "/" + collection + "/b" + newer}), allNames)
			bulk = strings.Replace(bulk, `"b"`, `"c"`, 1)
			w.must(t, call{method: "POST", path: "/" + collection + older, body: bulk})
			check("GET after one of an older version",
				w.must(t, call{method: "GET", path: "/" + collection + "/c" + newer}), none)
		})
	}
}

// TestAnOlderPutResetsOrKeepsTheCertificatePolicy is the choice where no source says what Azure does.
func TestAnOlderPutResetsOrKeepsTheCertificatePolicy(t *testing.T) {
	t.Parallel()
	for keeps, want := range map[bool]map[string]string{false: {}, true: allNames} {
		for collection, member := range kinds {
			t.Run(fmt.Sprint(collection, " keeps ", keeps), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, dpsservice.Options{KeepNewer: keeps})
				path := "/" + collection + "/a"
				w.must(t, call{method: "PUT", path: path + newer, body: entryNamed(member, names)})
				w.must(t, call{method: "PUT", path: path + older,
					body: entryNamed(member, `"provisioningStatus":"disabled"`)})
				got := w.must(t, call{method: "GET", path: path + newer})
				if diff := cmp.Diff(want, namesIn(t, got)); diff != "" {
					t.Errorf("after a PUT of an older version (-want +got):\n%s", diff)
				}
				if !strings.Contains(got, `"provisioningStatus":"disabled"`) {
					t.Errorf("got %s, want the PUT done", got)
				}
				// A PUT that has the members removes them, whatever the option says.
				if got := w.must(t, call{method: "PUT", path: path + newer,
					body: entryNamed(member, `"namespaceName":null`)}); len(namesIn(t, got)) != 0 {
					t.Errorf("got %s, want no names", got)
				}
			})
		}
	}
}

func TestNamesOfCertificatePoliciesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dpsservice.Options{})
	long := strings.Repeat("a", 63)
	for _, test := range []struct {
		member string
		value  any
		taken  bool
	}{
		{"namespaceName", "abc", true},
		{"namespaceName", "a-c", true},
		{"namespaceName", long + "a", true},
		{"namespaceName", long + "aa", false},
		{"namespaceName", "ab", false},
		{"namespaceName", "", false},
		{"namespaceName", "Abc", false},
		{"namespaceName", "-bc", false},
		{"namespaceName", "ab-", false},
		{"namespaceName", "a_c", false},
		{"namespaceName", "abc\n", false},
		{"namespaceName", 7, false},
		{"namespaceName", nil, true},
		{"certificateAuthorityName", "A-c", true},
		{"certificateAuthorityName", "ab-", true},
		{"certificateAuthorityName", long, true},
		{"certificateAuthorityName", long + "a", false},
		{"certificateAuthorityName", "-bc", false},
		{"certificateAuthorityName", "a.c", false},
		{"certificatePolicyName", "30d", true},
		{"certificatePolicyName", "30", false},
		{"certificatePolicyName", "thirty days", false},
		{"certificatePolicyName", []string{"a"}, false},
	} {
		value, err := json.Marshal(test.value)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(test.member+" "+string(value), func(t *testing.T) {
			body := entryNamed("registrationId", fmt.Sprintf("%q:%s", test.member, value))
			got := w.do(t, call{method: "PUT", path: "/enrollments/a" + newer, body: body})
			if test.taken != (got.status == 200) {
				t.Errorf("got %d %s, want it accepted: %v", got.status, got.body, test.taken)
			}
			if !test.taken {
				got.wantError(t, 400, 400004, test.member)
			}
			// A version without the member ignores it.
			if got := w.do(t, call{method: "PUT", path: "/enrollments/a" + older, body: body}); got.status != 200 {
				t.Errorf("an older version: got %d %s, want 200", got.status, got.body)
			}
		})
	}
}

// TestAWebhookGetsTheShapeOfItsVersion: the names are part of the entry in the webhook's api-version only.
func TestAWebhookGetsTheShapeOfItsVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]map[string]string{"2021-10-01": {}, "2026-11-01": allNames} {
		t.Run(version, func(t *testing.T) {
			settings := state.Settings{
				Issuance: state.Issuance{Namespace: "ns-1", Authority: "Issuing", Policy: "leaves-30"},
				Webhook:  &state.Webhook{URL: "https://example.com", APIVersion: version},
			}
			for name, json := range map[string]func() (json.RawMessage, error){
				"enrollment": func() (json.RawMessage, error) {
					return dpsservice.EntryJSON(&state.Enrollment{RegistrationID: "a", Settings: settings}, nil)
				},
				"group": func() (json.RawMessage, error) {
					return dpsservice.EntryJSON(nil, &state.EnrollmentGroup{ID: "a", Settings: settings})
				},
			} {
				t.Run(name, func(t *testing.T) {
					text, err := json()
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(want, namesIn(t, string(text))); diff != "" {
						t.Errorf("%s of %s (-want +got):\n%s", name, version, diff)
					}
				})
			}
		})
	}
}
