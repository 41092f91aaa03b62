package dpsservice_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"evenkeel/dpsservice"
)

// TestOnlyCertificatePoliciesNeedTheNewerVersion: requests without them name the version that every cloud serves.
func TestOnlyCertificatePoliciesNeedTheNewerVersion(t *testing.T) {
	t.Parallel()
	version, sent := "", map[string]any{}
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		version = r.URL.Query().Get("api-version")
		sent = map[string]any{}
		if text, err := io.ReadAll(r.Body); err == nil && len(text) > 0 {
			if err := json.Unmarshal(text, &sent); err != nil {
				t.Errorf("read %s: %v", text, err)
			}
		}
		answer := `{"registrationId":"a","enrollmentGroupId":"a","attestation":{"type":"symmetricKey"},
			"namespaceName":"ns-1","certificateAuthorityName":"issuing","certificatePolicyName":"leaves"}`
		switch r.URL.Path {
		case "/enrollments/query", "/enrollmentGroups/query":
			answer = "[" + answer + "]"
		case "/enrollments", "/enrollmentGroups":
			answer = `{"errors":[],"isSuccessful":true}`
		}
		_, _ = io.WriteString(w, answer) // the client tells
	})
	ctx := t.Context()
	name := "leaves"
	plain := dpsservice.Enrollment{ID: "a"}
	named := dpsservice.Enrollment{ID: "b", CertificatePolicyName: &name}
	for kind, entries := range map[string]dpsservice.Collection{"individual": client.Individuals(),
		"group": client.Groups()} {
		t.Run(kind, func(t *testing.T) {
			for call, test := range map[string]struct {
				run        func(dpsservice.Collection) error
				want       string
				withPolicy bool
			}{
				"get": {func(c dpsservice.Collection) error {
					_, err := c.Get(ctx, "a")
					return err
				}, dpsservice.APIVersion, false},
				"query": {func(c dpsservice.Collection) error {
					for _, err := range c.Query(ctx, "*", 0) {
						return err
					}
					return nil
				}, dpsservice.APIVersion, false},
				"put": {func(c dpsservice.Collection) error {
					_, err := c.Put(ctx, "a", plain, "")
					return err
				}, dpsservice.APIVersion, false},
				"put of a policy": {func(c dpsservice.Collection) error {
					_, err := c.Put(ctx, "b", named, "")
					if sent["certificatePolicyName"] != name || sent["namespaceName"] != nil {
						t.Errorf("%s: sent %v, want the policy's name alone", kind, sent)
					}
					return err
				}, dpsservice.IssuanceVersion, true},
				"bulk": {func(c dpsservice.Collection) error {
					_, err := c.Bulk(ctx, dpsservice.BulkCreate, []dpsservice.Enrollment{plain, plain})
					return err
				}, dpsservice.APIVersion, false},
				"bulk of a policy": {func(c dpsservice.Collection) error {
					_, err := c.Bulk(ctx, dpsservice.BulkCreate, []dpsservice.Enrollment{plain, named})
					return err
				}, dpsservice.IssuanceVersion, true},
			} {
				t.Run(call, func(t *testing.T) {
					if err := test.run(entries); err != nil || version != test.want {
						t.Errorf("%s, %s: got %s, %v, want %s", kind, call, version, err, test.want)
					}
					if err := test.run(entries.WithIssuance()); err != nil || version != dpsservice.IssuanceVersion {
						t.Errorf("%s, %s, with issuance: got %s, %v, want %s", kind, call, version, err,
							dpsservice.IssuanceVersion)
					}
				})
			}
			got, err := entries.WithIssuance().Get(ctx, "a")
			if err != nil || got.NamespaceName == nil || *got.NamespaceName != "ns-1" ||
				got.CertificateAuthorityName == nil || got.CertificatePolicyName == nil {
				t.Errorf("%s: got %+v, %v, want the names", kind, got, err)
			}
		})
	}
}
