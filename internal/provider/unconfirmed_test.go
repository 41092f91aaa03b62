package provider_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"
)

// TestACreationWithoutAnAnswerIsFinished: the state records that the entry may exist, and the next operation finds out.
// Entries without keys carry no other sign of the resource that created them.
func TestACreationWithoutAnAnswerIsFinished(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	root := newAuthority(t, "root")
	for kind, made := range map[string]struct {
		kind, idName string
		attestation  func(id string) object
	}{
		"keys": {"IndividualEnrollment", "registrationId",
			func(string) object { return object{"symmetricKey": object{}} }},
		"certificate": {"IndividualEnrollment", "registrationId", func(id string) object {
			return object{"x509": object{"clientCertificates": object{"primary": root.leaf(t, id, time.Hour)}}}
		}},
		"tpm": {"IndividualEnrollment", "registrationId",
			func(string) object { return object{"tpm": object{"endorsementKey": endorsementKey}} }},
		"group": {"EnrollmentGroup", "enrollmentGroupId",
			func(string) object { return object{"x509": object{"signingCertificates": object{"primary": root.PEM}}} }},
	} {
		for _, fate := range []string{"made", "not made", "foreign"} {
			for _, next := range []string{"up", "change", "refresh", "destroy"} {
				t.Run(kind+" "+fate+" "+next, func(t *testing.T) {
					t.Parallel()
					id := strings.ReplaceAll(kind+"-"+fate+"-"+next, " ", "-")
					inputs := object{made.idName: id, "attestation": made.attestation(id)}
					var server integration.Server
					// The run is cancelled after the entry was created, or before the request reaches the service.
					server = startProvider(t, service.through(t, unreliable{
						refuse: func(_ http.ResponseWriter, r *http.Request) bool {
							if fate != "made" && isCancelledPut(t, server, r) {
								panic(http.ErrAbortHandler) // an answer could arrive before the end of the run
							}
							return false
						},
						lose: func(r *http.Request) bool { return isCancelledPut(t, server, r) },
					}))
					m := manage(t, server, made.kind, id)
					checked := m.check(inputs)
					created, err := server.Create(p.CreateRequest{Urn: m.urn, Properties: checked})
					m.id, m.inputs, m.state = created.ID, checked, created.Properties
					if created.PartialState == nil || m.id == "" || m.state.Get("etag").AsString() != "?" {
						t.Fatalf("got %v, id %q, %v, want an unconfirmed state", created.PartialState, m.id, err)
					}
					m.server = direct
					if fate == "foreign" {
						other := manage(t, nextRun(t, direct), made.kind, "somebody-else-"+id)
						other.up(object{made.idName: id, "provisioningStatus": "disabled"})
						defer func() {
							if got := other.refresh(); got != nil {
								t.Errorf("another owner's entry: got %v, want it untouched", got)
							}
						}()
					}
					m.goOn(t, fate, next, inputs)
				})
			}
		}
	}
}

// isCancelledPut cancels the run at a PUT and reports whether it did.
func isCancelledPut(t *testing.T, server integration.Server, r *http.Request) bool {
	if r.Method != http.MethodPut {
		return false
	}
	if err := server.Cancel(); err != nil {
		t.Error(err)
	}
	return true
}

// goOn runs the next operation on an entry that may exist, and checks the result.
func (m *managed) goOn(t *testing.T, fate, next string, inputs object) {
	t.Helper()
	switch next {
	case "refresh":
		want := map[string]string{"made": "", "not made": "gone", "foreign": "gone"}[fate]
		if got := strings.Join(m.refresh(), " "); got != want {
			t.Errorf("refresh: got %q, want %q", got, want)
		}
	case "destroy":
		m.delete()
		m.delete()
		if fate != "foreign" {
			m.state = m.state.Set("etag", propertyOf("old"))
			if got := strings.Join(m.refresh(), " "); got != "gone" {
				t.Errorf("after the deletion: got %q, want gone", got)
			}
		}
	default:
		if next == "change" {
			inputs = inputs.edited(object{"provisioningStatus": "disabled",
				"initialTwin": object{"tags": object{"a": "b"}}})
		}
		checked := m.check(inputs) // the engine updates an unfinished resource whatever Diff returns
		updated, err := m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: checked,
			OldInputs: m.inputs})
		if fate == "foreign" {
			if err == nil || !strings.Contains(err.Error(), "exists already") {
				t.Errorf("up: got %v, want that it exists already", err)
			}
			return
		}
		must(t, err)
		m.inputs, m.state = checked, updated.Properties
		if m.state.Get("etag").AsString() == "?" {
			t.Error("up: still unconfirmed")
		}
		if got := m.refresh(); got != nil {
			t.Errorf("refresh after up: got %v, want none", got)
		}
	}
}
