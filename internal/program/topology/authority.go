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

// How devices prove themselves.
const (
	// SymmetricKey is by a key that is derived from the enrollment group's, or their own.
	SymmetricKey = "symmetricKey"
	// X509 is by a certificate that one authority has signed.
	X509 = "x509"
)

// certificateBegin is what a certificate's text holds and a file's name does not.
const certificateBegin = "-----BEGIN"

// maxCertificateName is how many characters the name of a certificate may have at a provisioning service.
const maxCertificateName = 64

// Files is a Source that can also read the files which the configuration names.
type Files interface {
	// File returns the content of a file; a relative name is relative to the project.
	File(name string) ([]byte, error)
}

// Authority is what signs the certificates of the devices, where those prove themselves by X.509.
type Authority struct {
	// Name is the certificate's name at the provisioning service. It follows from the certificate: another one is another resource,
	// made before the old one is removed, since Azure takes a change only from those who name the present version.
	Name string
	// Thumbprint is the SHA-256 thumbprint in lower-case hexadecimal digits.
	Thumbprint string
	// text is the certificate as PEM, and nothing else that stood beside it.
	text string
}

// authority reads the certificate of the devices' authority; nil where devices have symmetric keys.
func (r *reader) authority(attestation, stack string) *Authority {
	const key = "certificate"
	if attestation != X509 {
		return nil
	}
	text := r.text(key, "")
	if text == "" {
		r.fault(key, "attestation x509 needs the certificate of the authority that signs the devices' certificates, as PEM text or as the name "+
			"of a file; `keel up` makes an authority for a local stack that names none")
		return nil
	}
	certificate, err := r.signer(text)
	if err != nil {
		r.fault(key, "%v", err)
		return nil
	}
	// Whether it has expired needs a clock: Azure looks at that.
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

// maxFileName is how long a text may be to name a file.
const maxFileName = 1024

// signer reads a certificate that is given as a text or as the name of a file. The text must not hold a private key: Pulumi keeps the
// configuration of every update.
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

// Succeeded replaces a certificate only after those who refer to the old one have been given the new one's name.
var Succeeded = pulumi.DeleteBeforeReplace(false)

// Certificate are the arguments of the authority's certificate at the provisioning service. It is declared as verified: who may
// deploy the service may say whom it trusts, and needs no proof that the key is at hand.
func (t *Topology) Certificate(service Provisioning) *devices.DpsCertificateArgs {
	return &devices.DpsCertificateArgs{
		ResourceGroupName:       service.group,
		ProvisioningServiceName: service.name,
		CertificateName:         pulumi.String(t.Authority.Name),
		Properties:              devices.CertificatePropertiesArgs{Certificate: pulumi.String(t.Authority.text), IsVerified: pulumi.Bool(true)},
	}
}

// attestation is that of devices whose certificates the authority has signed. It refers to the certificate at the service by its name:
// the service wants it there anyway, as verified, and so it stands in one place. The name is known in every preview, unlike the
// resource's own output; so who is given this has to depend on the certificate.
func (a *Authority) attestation() azuredps.AttestationPtrInput {
	return azuredps.AttestationArgs{X509: azuredps.X509AttestationArgs{CaReferences: a.references()}}
}

func (a *Authority) references() azuredps.CAReferencesArgs {
	return azuredps.CAReferencesArgs{Primary: pulumi.String(a.Name)}
}
