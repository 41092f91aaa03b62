package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"testing"

	"evenkeel/internal/azure/sas"
)

// issuanceVersion is the first stable api-version of certificates that the provisioning service issues, of its service
// API and its device API.
const issuanceVersion = "?api-version=2026-11-01"

// policyNames names a certificate policy of Azure Device Registry. The suite creates none.
const policyNames = `"namespaceName":"ek-absent","certificateAuthorityName":"issuing","certificatePolicyName":"leaves"`

// issuanceQuestions are about entries that name a certificate policy, and about requests for certificates.
var issuanceQuestions = []question{
	{31, "a PUT of an enrollment with 2021-10-01 removes the names of its certificate policy",
		func(c *cloud, t *testing.T) {
			key := c.named(t, "question-31", policyNames).want(t, 200, "").text("attestation", "symmetricKey",
				"primaryKey")
			c.as(t, "owner", "PUT", "/enrollments/question-31", fmt.Sprintf(`{"registrationId":"question-31",
			"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, key, key),
				"If-Match", "*").want(t, 200, "")
			got := c.under(t, issuanceVersion, "GET", "/enrollments/question-31", "").want(t, 200, "")
			if name := got.text("certificatePolicyName"); name != "" {
				t.Errorf("got the policy %q, want none", name)
			}
		}},
	{32, "an enrollment may name a namespace that the provisioning service is not linked to",
		func(c *cloud, t *testing.T) {
			c.named(t, "question-32", policyNames).want(t, 200, "")
			got := c.under(t, issuanceVersion, "GET", "/enrollments/question-32", "").want(t, 200, "")
			if got.text("namespaceName") != "ek-absent" {
				t.Errorf("got %s, want the namespace", got.body)
			}
		}},
	{33, "an enrollment may name a namespace without an authority and a policy", func(c *cloud, t *testing.T) {
		c.named(t, "question-33", `"namespaceName":"ek-absent"`).want(t, 200, "")
	}},
	{34, "a certificate signing request under an enrollment without a policy is refused with 400",
		func(c *cloud, t *testing.T) {
			key := c.enrolled(t, "question-34")
			secret, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
				Subject: pkix.Name{CommonName: "question-34"}}, secret)
			if err != nil {
				t.Fatal(err)
			}
			path := c.scope + "/registrations/question-34"
			c.ask(t.Context(), t, request{
				method: "PUT", url: "https://" + globalHost + "/" + path + "/register" + issuanceVersion,
				authorization: c.signed(t, path, sas.Policy, key),
				body:          fmt.Sprintf(`{"registrationId":"question-34","csr":%q}`, base64.StdEncoding.EncodeToString(der)),
			}).want(t, 400, "")
		}},
}

// named creates an individual enrollment with more members.
func (c *cloud) named(t *testing.T, id, members string) answer {
	t.Helper()
	return c.under(t, issuanceVersion, "PUT", "/enrollments/"+id,
		fmt.Sprintf(`{"registrationId":%q,%s,%s}`, id, keyed, members))
}

// under calls the service API with an api-version.
func (c *cloud) under(t *testing.T, version, method, path, body string) answer {
	t.Helper()
	return c.ask(t.Context(), t, request{method: method, url: "https://" + c.service + path + version, body: body,
		authorization: c.signed(t, c.service, "owner", c.keys["owner"])})
}
