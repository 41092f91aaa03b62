package entry

import "github.com/pulumi/pulumi-go-provider/infer"

// Attestation is how a device, or every device of a group, authenticates. At most one member is set; without any, the
// provider generates symmetric keys.
//
// Source: AttestationMechanism of the service API 2021-10-01.
type Attestation struct {
	SymmetricKey *SymmetricKey    `pulumi:"symmetricKey,optional"`
	X509         *X509Attestation `pulumi:"x509,optional"`
	TPM          *TPMAttestation  `pulumi:"tpm,optional"`
}

// Annotate describes the type in the schema.
func (a *Attestation) Annotate(an infer.Annotator) {
	an.SetToken("index", "Attestation")
	an.Describe(a, "How devices authenticate. Set at most one member; without one, the provider generates a pair of "+
		"symmetric keys.")
	an.Describe(&a.SymmetricKey,
		"Symmetric keys: a device signs its token with either of them. For a group, the key of each device is "+
			"derived from them.")
	an.Describe(&a.X509, "X.509 certificates.")
	an.Describe(&a.TPM, "A Trusted Platform Module. For individual enrollments only.")
}

// SymmetricKey is a pair of keys. A key that is left out is generated at creation and then kept: leaving it out never
// renews it.
type SymmetricKey struct {
	PrimaryKey   *string `pulumi:"primaryKey,optional" provider:"secret"`
	SecondaryKey *string `pulumi:"secondaryKey,optional" provider:"secret"`
}

// Annotate describes the type in the schema.
func (k *SymmetricKey) Annotate(an infer.Annotator) {
	an.SetToken("index", "SymmetricKey")
	an.Describe(k, "A pair of symmetric keys. A key that is left out is generated when the enrollment is created, "+
		"and kept from then on; it is never written into the inputs.")
	an.Describe(&k.PrimaryKey, "Primary key: base64 of 16 to 64 bytes.")
	an.Describe(&k.SecondaryKey, "Secondary key: base64 of 16 to 64 bytes.")
}

// X509Attestation holds certificates, or names of certificates of the provisioning service. Exactly one member is set.
type X509Attestation struct {
	ClientCertificates  *CertificatePair `pulumi:"clientCertificates,optional"`
	SigningCertificates *CertificatePair `pulumi:"signingCertificates,optional"`
	CAReferences        *CAReferences    `pulumi:"caReferences,optional"`
}

// Annotate describes the type in the schema.
func (x *X509Attestation) Annotate(an infer.Annotator) {
	an.SetToken("index", "X509Attestation")
	an.Describe(x, "X.509 attestation. Set exactly one member.")
	an.Describe(&x.ClientCertificates,
		"The device's own certificates. For individual enrollments only; their common name is the registration id.")
	an.Describe(&x.SigningCertificates, "Root or intermediate certificates that sign the device certificates.")
	an.Describe(&x.CAReferences,
		"Names of certificates that were uploaded to the provisioning service and verified there.")
}

// CertificatePair holds one or two certificates. They are compared by thumbprint: the service never returns their
// bytes.
type CertificatePair struct {
	Primary   string  `pulumi:"primary"`
	Secondary *string `pulumi:"secondary,optional"`
}

// Annotate describes the type in the schema.
func (c *CertificatePair) Annotate(an infer.Annotator) {
	an.SetToken("index", "CertificatePair")
	an.Describe(c, "One or two certificates, so that one can be rolled while the other is in use.")
	an.Describe(&c.Primary, "Primary certificate: PEM text, or base64 of its DER form.")
	an.Describe(&c.Secondary,
		"Secondary certificate, in the same forms. The service repeats the primary one when it is left out.")
}

// CAReferences names certificates of the provisioning service.
type CAReferences struct {
	Primary   string  `pulumi:"primary"`
	Secondary *string `pulumi:"secondary,optional"`
}

// Annotate describes the type in the schema.
func (c *CAReferences) Annotate(an infer.Annotator) {
	an.SetToken("index", "CAReferences")
	an.Describe(c, "Names of certificate authorities known to the provisioning service.")
	an.Describe(&c.Primary, "Name of the primary certificate authority.")
	an.Describe(&c.Secondary, "Name of the secondary certificate authority.")
}

// TPMAttestation names a Trusted Platform Module by its public keys.
type TPMAttestation struct {
	EndorsementKey string  `pulumi:"endorsementKey"`
	StorageRootKey *string `pulumi:"storageRootKey,optional"`
}

// Annotate describes the type in the schema.
func (t *TPMAttestation) Annotate(an infer.Annotator) {
	an.SetToken("index", "TpmAttestation")
	an.Describe(t, "A Trusted Platform Module, named by its public keys.")
	an.Describe(&t.EndorsementKey, "Public endorsement key: base64 of its TPM2B_PUBLIC form.")
	an.Describe(&t.StorageRootKey, "Public storage root key, in the same form.")
}

// CertificateInfo is what the service returns about a certificate.
type CertificateInfo struct {
	SubjectName      string `pulumi:"subjectName"`
	IssuerName       string `pulumi:"issuerName"`
	SHA1Thumbprint   string `pulumi:"sha1Thumbprint"`
	SHA256Thumbprint string `pulumi:"sha256Thumbprint"`
	SerialNumber     string `pulumi:"serialNumber"`
	NotBeforeUtc     string `pulumi:"notBeforeUtc"`
	NotAfterUtc      string `pulumi:"notAfterUtc"`
}

// Annotate describes the type in the schema.
func (c *CertificateInfo) Annotate(an infer.Annotator) {
	an.SetToken("index", "CertificateInfo")
	an.Describe(c, "What the service returns about a certificate that it has.")
	an.Describe(&c.SubjectName, "Subject of the certificate.")
	an.Describe(&c.IssuerName, "Issuer of the certificate.")
	an.Describe(&c.SHA1Thumbprint, "SHA-1 thumbprint, in hexadecimal digits.")
	an.Describe(&c.SHA256Thumbprint, "SHA-256 thumbprint, in hexadecimal digits.")
	an.Describe(&c.SerialNumber, "Serial number, in hexadecimal digits.")
	an.Describe(&c.NotBeforeUtc, "Start of validity, in UTC.")
	an.Describe(&c.NotAfterUtc, "End of validity, in UTC.")
}
