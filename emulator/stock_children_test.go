package emulator_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/iothub/armiothub"

	"evenkeel/emulator"
)

// authority is a CA that a user would upload.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	a := authority{key: key}
	a.cert = a.sign(t, "My CA", nil)
	return a
}

// sign creates a certificate with that common name, signed by the authority, or self-signed if parent is nil and the
// authority has no certificate yet.
func (a authority) sign(t *testing.T, name string, parent *x509.Certificate) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
		IsCA:     parent == nil, BasicConstraintsValid: true,
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func TestHubCertificateIsVerifiedByPossession(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	ca, thief := newAuthority(t), newAuthority(t)
	upload := armiothub.CertificateDescription{
		Properties: &armiothub.CertificateProperties{Certificate: to.Ptr(string(pemOf(ca.cert)))}}
	made, err := c.hubCertificates.CreateOrUpdate(t.Context(), testGroup, "hub-1", "ca-1", upload, nil)
	check(t, err)
	if p := made.Properties; *p.Subject != "My CA" || *p.IsVerified ||
		*p.Certificate != *upload.Properties.Certificate || p.Expiry.Unix() != ca.cert.NotAfter.Unix() {
		t.Errorf("got subject %s, verified %v, expiry %v", *p.Subject, *p.IsVerified, *p.Expiry)
	}
	_, err = c.hubCertificates.CreateOrUpdate(t.Context(), testGroup, "hub-1", "ca-1", upload, nil)
	refused(t, err, http.StatusPreconditionFailed, "Invalid ETag supplied")
	_, err = c.hubCertificates.Verify(t.Context(), testGroup, "hub-1", "ca-1", *made.Etag,
		armiothub.CertificateVerificationDescription{
			Certificate: to.Ptr(string(pemOf(ca.sign(t, "", ca.cert)))),
		}, nil)
	refused(t, err, http.StatusBadRequest, "no verification code")

	code, err := c.hubCertificates.GenerateVerificationCode(t.Context(), testGroup, "hub-1", "ca-1", *made.Etag, nil)
	check(t, err)
	if *code.Etag == *made.Etag || len(*code.Properties.VerificationCode) != 48 {
		t.Errorf("got code %q, want 48 characters and a new etag", *code.Properties.VerificationCode)
	}
	verify := func(proof *x509.Certificate) error {
		_, err := c.hubCertificates.Verify(t.Context(), testGroup, "hub-1", "ca-1", *code.Etag,
			armiothub.CertificateVerificationDescription{
				Certificate: to.Ptr(base64.StdEncoding.EncodeToString(pemOf(proof))),
			}, nil)
		return err
	}
	refused(t, verify(ca.sign(t, "another name", ca.cert)), http.StatusBadRequest, "common name")
	refused(t, verify(thief.sign(t, *code.Properties.VerificationCode, thief.cert)), http.StatusBadRequest,
		"not signed")
	check(t, verify(ca.sign(t, *code.Properties.VerificationCode, ca.cert)))
	verified, err := c.hubCertificates.Get(t.Context(), testGroup, "hub-1", "ca-1", nil)
	check(t, err)
	if !*verified.Properties.IsVerified {
		t.Error("got an unverified certificate after the proof, want verified")
	}
	_, err = c.hubCertificates.Delete(t.Context(), testGroup, "hub-1", "ca-1", *code.Etag, nil)
	refused(t, err, http.StatusPreconditionFailed, "Invalid ETag supplied")
	_, err = c.hubCertificates.Delete(t.Context(), testGroup, "hub-1", "ca-1", *verified.Etag, nil)
	check(t, err)
	_, err = c.hubCertificates.Get(t.Context(), testGroup, "hub-1", "ca-1", nil)
	refused(t, err, http.StatusNotFound, "ca-1")
}

func TestServiceCertificates(t *testing.T) {
	t.Parallel()
	e := emulator.RunT(t)
	c := stock(t, e)
	c.makeGroup(t)
	c.putService(t, "dps-1", armdeviceprovisioningservices.IotDpsPropertiesDescription{})
	ca := newAuthority(t)
	made, err := c.serviceCertificates.CreateOrUpdate(t.Context(), testGroup, "dps-1", "ca-1",
		armdeviceprovisioningservices.CertificateResponse{
			Properties: &armdeviceprovisioningservices.CertificateProperties{Certificate: pemOf(ca.cert),
				IsVerified: to.Ptr(true)},
		}, nil)
	check(t, err)
	if !*made.Properties.IsVerified || *made.Properties.Subject != "My CA" {
		t.Errorf("got verified %v, subject %s, want verified and My CA", *made.Properties.IsVerified,
			*made.Properties.Subject)
	}
	listed, err := c.serviceCertificates.List(t.Context(), testGroup, "dps-1", nil)
	check(t, err)
	if len(listed.Value) != 1 || *listed.Value[0].Etag != *made.Etag {
		t.Errorf("got %d certificates, want the one that was made", len(listed.Value))
	}
	_, err = c.serviceCertificates.Delete(t.Context(), testGroup, *made.Etag, "dps-1", "ca-1", nil)
	check(t, err)

	// The older api-version has a flat body.
	w := plain(t, e)
	w.must("PUT", servicePath+"/certificates/ca-2?api-version=2021-10-15", `{"certificate":"`+
		base64.StdEncoding.EncodeToString(pemOf(ca.cert))+`"}`)
	if status, body := w.call("PUT", servicePath+"/certificates/ca-3"+serviceVersion,
		`{"properties":{"certificate":"bm8="}}`); status != http.StatusBadRequest {
		t.Errorf("got %d %v for a certificate that does not parse, want 400", status, body)
	}
	// One that is damaged is not passed over for the next one of its file.
	damaged := bytes.Replace(pemOf(ca.cert), []byte("\nM"), []byte("\n!"), 1)
	chain := base64.StdEncoding.EncodeToString(append(damaged, pemOf(newAuthority(t).cert)...))
	if status, body := w.call("PUT", servicePath+"/certificates/ca-3"+serviceVersion, `{"properties":{"certificate":"`+
		chain+`"}}`); status != http.StatusBadRequest {
		t.Errorf("got %d %v for a damaged certificate before another, want 400", status, body)
	}
}

func TestConsumerGroups(t *testing.T) {
	t.Parallel()
	c := stock(t, emulator.RunT(t))
	c.makeGroup(t)
	c.putHub(t, "hub-1", aHub())
	count := func() int {
		return pages(t, c.hubs.NewListEventHubConsumerGroupsPager(testGroup, "hub-1", "events", nil),
			func(p armiothub.ResourceClientListEventHubConsumerGroupsResponse) int { return len(p.Value) })
	}
	made, err := c.hubs.CreateEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "events", "readers",
		armiothub.EventHubConsumerGroupBodyDescription{
			Properties: &armiothub.EventHubConsumerGroupName{Name: to.Ptr("readers")}}, nil)
	check(t, err)
	if got := count(); *made.Name != "readers" || got != 2 {
		t.Errorf("got %s and %d consumer groups, want readers beside $Default", *made.Name, got)
	}
	_, err = c.hubs.DeleteEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "events", "readers", nil)
	check(t, err)
	if got := count(); got != 1 {
		t.Errorf("got %d consumer groups after the deletion, want $Default alone", got)
	}
	_, err = c.hubs.DeleteEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "events", "readers", nil)
	refused(t, err, http.StatusNotFound, "readers")
	_, err = c.hubs.DeleteEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "events", "$Default", nil)
	refused(t, err, http.StatusBadRequest, "$Default")
	_, err = c.hubs.GetEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "events", "readers", nil)
	refused(t, err, http.StatusNotFound, "readers")
	_, err = c.hubs.GetEventHubConsumerGroup(t.Context(), testGroup, "hub-1", "other", "$Default", nil)
	refused(t, err, http.StatusNotFound, "other")
}
