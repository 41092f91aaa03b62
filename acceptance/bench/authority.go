package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/deviceprovisioningservices/armdeviceprovisioningservices"

	"evenkeel/dpsservice"
	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/keel/environment"
)

// certifiedGroup is the enrollment group for the devices with certificates.
const certifiedGroup = "bench-certificates"

// authority signs the certificates of devices: ECDSA P-256, each a leaf of one root.
type authority struct{ *deviceca.Authority }

func newAuthority(folder string) (authority, error) {
	own, err := deviceca.Open(filepath.Join(folder, ".evenkeel", "bench", "devices-ca"), time.Now())
	return authority{own}, err
}

// leaf is the certificate of one device; its common name is the registration id.
func (a authority) leaf(id string) (*tls.Certificate, error) {
	chain, key, err := a.Issue(id, time.Now())
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	return &pair, err
}

// root is the root certificate in DER.
func (a authority) root() []byte {
	block, _ := pem.Decode(a.PEM())
	return block.Bytes
}

// verify uploads the root as a verified certificate to the provisioning service with a host name. The service rejects
// devices of an unverified root, whatever their enrollment.
func (a authority) verify(ctx context.Context, host string, e environment.Endpoints) error {
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
	name, _, _ := strings.Cut(host, ".")
	at := slices.IndexFunc(page.Value, func(
		s *armdeviceprovisioningservices.ProvisioningServiceDescription) bool {
		return *s.Name == name
	})
	if at < 0 {
		return fmt.Errorf("the emulator has no provisioning service %s", name)
	}
	id, err := arm.ParseResourceID(*page.Value[at].ID)
	if err != nil {
		return err
	}
	verified := true
	_, err = certificates.CreateOrUpdate(ctx, id.ResourceGroupName, id.Name, certifiedGroup,
		armdeviceprovisioningservices.CertificateResponse{
			Properties: &armdeviceprovisioningservices.CertificateProperties{Certificate: a.root(),
				IsVerified: &verified},
		}, nil)
	if err != nil {
		return fmt.Errorf("upload the devices' CA: %w", err)
	}
	return nil
}

// enroll creates an enrollment group with the authority's certificate, so that its devices are accepted.
func (a authority) enroll(ctx context.Context, service *dpsservice.Client) error {
	certificates := &dpsservice.X509Certificates{
		Primary: &dpsservice.X509Certificate{Certificate: base64.StdEncoding.EncodeToString(a.root())}}
	group := dpsservice.Enrollment{ID: certifiedGroup}
	group.Attestation = &dpsservice.Attestation{Type: dpsservice.X509CertAttestation,
		X509: &dpsservice.X509Attestation{SigningCertificates: certificates}}
	_, err := service.Groups().Put(ctx, certifiedGroup, group, "")
	if err != nil {
		return fmt.Errorf("enroll the devices with certificates: %w", err)
	}
	return nil
}
