package topology

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/pulumi/pulumi-azure-native-sdk/devices/v2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"evenkeel/internal/azure/enrollment"
	azuredps "evenkeel/sdks/azure-dps"
)

// How devices authenticate.
const (
	// SymmetricKey is a key derived from the enrollment group's key, or a key of the device.
	SymmetricKey = "symmetricKey"
	// X509 is a certificate signed by the environment's authority.
	X509 = "x509"
)

// certificateBegin occurs in the text of a certificate, but not in a file name.
const certificateBegin = "-----BEGIN"

// maxCertificateName is the maximum length of a certificate's name at a provisioning service.
const maxCertificateName = 64

// Files is a Source that can also read the files named in the configuration.
type Files interface {
	// File returns the content of a file; a relative name is relative to the project.
	File(name string) ([]byte, error)
}

// Authority is the certificate authority of devices that authenticate by X.509.
type Authority struct {
	// Name is the certificate's name at the provisioning service. It contains the thumbprint, so another certificate is
	// another resource, created before the old one is deleted: Azure accepts a change only with the current etag.
	Name string
	// Thumbprint is the SHA-256 thumbprint in lower-case hexadecimal digits.
	Thumbprint string
	// text is the certificate as PEM, without anything else from its source.
	text string
}

// authority reads the certificate of the devices' authority, and returns nil for symmetric keys.
func (r *reader) authority(attestation, stack string) *Authority {
	const key = "certificate"
	if attestation != X509 {
		return nil
	}
	text := r.text(key, "")
	if text == "" {
		r.fault(key,
			"attestation x509 needs the certificate of the authority that signs the devices' certificates, as PEM "+
				"text or as the name "+
				"of a file; `keel up` makes an authority for a local stack that names none")
		return nil
	}
	certificate, err := r.signer(text)
	if err != nil {
		r.fault(key, "%v", err)
		return nil
	}
	// Azure checks the validity period, which needs a clock.
	if faults := enrollment.CheckAuthority(key, certificate, time.Time{}); len(faults) > 0 {
		r.faults = append(r.faults, faults...)
		return nil
	}
	thumbprint := enrollment.Thumbprint(certificate)
	suffix := "-" + thumbprint[:8]
	return &Authority{
		Name: stack[:min(len(stack), maxCertificateName-len(suffix))] + suffix, Thumbprint: thumbprint,
		text: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})),
	}
}

// maxFileName is the maximum length of a value that can be a file name.
const maxFileName = 1024

// signer reads a certificate from its text or from a file. The text must not contain a private key, since Pulumi stores
// the configuration of every update.
func (r *reader) signer(text string) (*x509.Certificate, error) {
	if strings.Contains(text, certificateBegin) || len(text) > maxFileName || enrollment.HoldsPrivateKey(text) {
		return enrollment.ParseCertificate(text)
	}
	content, err := r.file(text)
	if err == nil {
		return enrollment.ParseCertificateFile(content)
	}
	if certificate, err := enrollment.ParseCertificate(text); err == nil {
		return certificate, nil
	}
	return nil, fmt.Errorf("is neither the PEM text of a certificate nor a file that can be read: %w", err)
}

// CreateFirst creates a new certificate before it deletes the old one, so that enrollments can switch in between.
var CreateFirst = pulumi.DeleteBeforeReplace(false)

// Certificate returns the arguments of the authority's certificate at the provisioning service. It is declared as
// verified, without a proof of possession, since the owner of the service decides which authorities it trusts.
func (t *Topology) Certificate(service Provisioning) *devices.DpsCertificateArgs {
	return &devices.DpsCertificateArgs{
		ResourceGroupName:       service.group,
		ProvisioningServiceName: service.name,
		CertificateName:         pulumi.String(t.Authority.Name),
		Properties: devices.CertificatePropertiesArgs{Certificate: pulumi.String(t.Authority.text),
			IsVerified: pulumi.Bool(true)},
	}
}

// attestation returns the attestation of devices whose certificates the authority signed. It refers to the certificate
// at the service by name. Every preview knows the name, unlike the resource's output, so enrollments with this
// attestation must depend on the certificate explicitly.
func (a *Authority) attestation() azuredps.AttestationPtrInput {
	return azuredps.AttestationArgs{X509: azuredps.X509AttestationArgs{CaReferences: a.references()}}
}

func (a *Authority) references() azuredps.CAReferencesArgs {
	return azuredps.CAReferencesArgs{Primary: pulumi.String(a.Name)}
}
