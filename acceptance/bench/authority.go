package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"

	"evenkeel/internal/dpsapi"
	"evenkeel/internal/environment"
)

// certifiedGroup is the enrollment group of the devices with certificates.
const certifiedGroup = "bench-certificates"

// authority signs the certificates of devices: ECDSA P-256, each a leaf of one root. All devices share a key, since making one is no
// part of a registration.
type authority struct {
	root   *x509.Certificate
	key    *ecdsa.PrivateKey
	serial atomic.Int64
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key}
	template := a.template("evenkeel bench")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the devices' CA: %w", err)
	}
	a.root, err = x509.ParseCertificate(der)
	return a, err
}

func (a *authority) template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(a.serial.Add(1)), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// leaf is the certificate of one device; its common name is the registration id.
func (a *authority) leaf(id string) (*tls.Certificate, error) {
	template := a.template(id)
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.root, a.key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", id, err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, nil
}

// verify uploads the root to the emulator's provisioning service, verified: devices of an unverified root are not let in, whatever
// their enrollment says.
func (a *authority) verify(ctx context.Context, e environment.Endpoints) error {
	credential, client, err := environment.Client(e)
	if err != nil {
		return err
	}
	options := &arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true}
	services, err := armdeviceprovisioningservices.NewIotDpsResourceClient(e.SubscriptionID, credential, options)
	if err != nil {
		return err
	}
	certificates, err := armdeviceprovisioningservices.NewDpsCertificateClient(e.SubscriptionID, credential, options)
	if err != nil {
		return err
	}
	page, err := services.NewListBySubscriptionPager(nil).NextPage(ctx)
	if err != nil {
		return fmt.Errorf("list the provisioning services: %w", err)
	}
	if len(page.Value) != 1 {
		return fmt.Errorf("got %d provisioning services, want that of the local stack alone", len(page.Value))
	}
	id, err := arm.ParseResourceID(*page.Value[0].ID)
	if err != nil {
		return err
	}
	verified := true
	_, err = certificates.CreateOrUpdate(ctx, id.ResourceGroupName, id.Name, certifiedGroup, armdeviceprovisioningservices.CertificateResponse{
		Properties: &armdeviceprovisioningservices.CertificateProperties{Certificate: a.root.Raw, IsVerified: &verified},
	}, nil)
	if err != nil {
		return fmt.Errorf("upload the devices' CA: %w", err)
	}
	return nil
}

// enroll lets the devices of the authority in, by an enrollment group with its certificate.
func (a *authority) enroll(ctx context.Context, service *dpsapi.Client) error {
	certificates := &dpsapi.X509Certificates{Primary: &dpsapi.X509Certificate{Certificate: base64.StdEncoding.EncodeToString(a.root.Raw)}}
	group := dpsapi.EnrollmentGroup{EnrollmentGroupID: certifiedGroup}
	group.Attestation = &dpsapi.Attestation{Type: dpsapi.X509CertAttestation, X509: &dpsapi.X509Attestation{SigningCertificates: certificates}}
	_, err := service.Groups().Put(ctx, certifiedGroup, group, "")
	if err != nil {
		return fmt.Errorf("enroll the devices with certificates: %w", err)
	}
	return nil
}
