package dpsservice

import "cmp"

// Enrollment is an entry of the service: an individual enrollment for one device, or an enrollment group for every
// device that proves its membership. A nil field is not sent, and is absent from the answer; a PUT without it removes
// it.
type Enrollment struct {
	// ID is the registration id of an individual enrollment, or the id of a group. Each kind has its own JSON name for
	// it.
	ID string `json:"-"`

	// A group has none of these three. The service writes RegistrationState, and leaves it out of some answers.
	DeviceID                  *string        `json:"deviceId,omitempty"`
	OptionalDeviceInformation map[string]any `json:"optionalDeviceInformation,omitempty"`
	RegistrationState         *Registration  `json:"registrationState,omitempty"`

	Attestation                *Attestation                `json:"attestation,omitempty"`
	Capabilities               *Capabilities               `json:"capabilities,omitempty"`
	IotHubHostName             *string                     `json:"iotHubHostName,omitempty"`
	InitialTwin                *InitialTwin                `json:"initialTwin,omitempty"`
	ProvisioningStatus         *string                     `json:"provisioningStatus,omitempty"`
	ReprovisionPolicy          *ReprovisionPolicy          `json:"reprovisionPolicy,omitempty"`
	AllocationPolicy           *string                     `json:"allocationPolicy,omitempty"`
	IotHubs                    []string                    `json:"iotHubs,omitempty"`
	CustomAllocationDefinition *CustomAllocationDefinition `json:"customAllocationDefinition,omitempty"`

	// The certificate policy of Azure Device Registry by which the service issues certificates to devices that ask for
	// one. Answers have the names only with Collection.WithIssuance.
	NamespaceName            *string `json:"namespaceName,omitempty"`
	CertificateAuthorityName *string `json:"certificateAuthorityName,omitempty"`
	CertificatePolicyName    *string `json:"certificatePolicyName,omitempty"`

	// The service writes these three. Etag is sent only in bulk operations, whose entries have no header of their own.
	Etag                   string `json:"etag,omitempty"`
	CreatedDateTimeUtc     string `json:"createdDateTimeUtc,omitempty"`
	LastUpdatedDateTimeUtc string `json:"lastUpdatedDateTimeUtc,omitempty"`
}

// issues reports whether the entry has a name of a certificate policy.
func (e Enrollment) issues() bool {
	return e.NamespaceName != nil || e.CertificateAuthorityName != nil || e.CertificatePolicyName != nil
}

// identity is the id of an entry in JSON: the two kinds differ in its name.
type identity struct {
	RegistrationID    string `json:"registrationId,omitempty"`
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
}

func (i identity) id() string { return cmp.Or(i.RegistrationID, i.EnrollmentGroupID) }

// wireEntry is an Enrollment in JSON.
type wireEntry struct {
	identity
	Enrollment
}

func (w wireEntry) enrollment() Enrollment {
	w.Enrollment.ID = w.id()
	return w.Enrollment
}

// The values of Attestation.Type.
const (
	SymmetricKeyAttestation = "symmetricKey"
	X509CertAttestation     = "x509"
	TPMModuleAttestation    = "tpm"
)

// Attestation is the attestation mechanism of an entry. GET and queries leave out symmetric keys; AttestationMechanism
// returns them.
type Attestation struct {
	Type         string           `json:"type"`
	TPM          *TPM             `json:"tpm,omitempty"`
	X509         *X509Attestation `json:"x509,omitempty"`
	SymmetricKey *SymmetricKey    `json:"symmetricKey,omitempty"`
}

// TPM names a Trusted Platform Module by its public keys.
type TPM struct {
	EndorsementKey string  `json:"endorsementKey"`
	StorageRootKey *string `json:"storageRootKey,omitempty"`
}

// SymmetricKey is a pair of keys in base64. A PUT without keys generates new ones.
type SymmetricKey struct {
	PrimaryKey   string `json:"primaryKey,omitempty"`
	SecondaryKey string `json:"secondaryKey,omitempty"`
}

// X509Attestation holds certificates or names of certificates.
type X509Attestation struct {
	ClientCertificates  *X509Certificates `json:"clientCertificates,omitempty"`
	SigningCertificates *X509Certificates `json:"signingCertificates,omitempty"`
	CAReferences        *X509CAReferences `json:"caReferences,omitempty"`
}

// X509Certificates is a pair of certificates. The service fills in a secondary one equal to the primary when it is left
// out.
type X509Certificates struct {
	Primary   *X509Certificate `json:"primary,omitempty"`
	Secondary *X509Certificate `json:"secondary,omitempty"`
}

// X509Certificate is a certificate: its text in requests, its properties in answers.
type X509Certificate struct {
	Certificate string               `json:"certificate,omitempty"`
	Info        *X509CertificateInfo `json:"info,omitempty"`
}

// X509CertificateInfo holds the properties of a certificate; thumbprints and serial number are hexadecimal digits.
type X509CertificateInfo struct {
	SubjectName      string `json:"subjectName"`
	SHA1Thumbprint   string `json:"sha1Thumbprint"`
	SHA256Thumbprint string `json:"sha256Thumbprint"`
	IssuerName       string `json:"issuerName"`
	NotBeforeUtc     string `json:"notBeforeUtc"`
	NotAfterUtc      string `json:"notAfterUtc"`
	SerialNumber     string `json:"serialNumber"`
	Version          int    `json:"version"`
}

// X509CAReferences names certificates of the provisioning service.
type X509CAReferences struct {
	Primary   string  `json:"primary,omitempty"`
	Secondary *string `json:"secondary,omitempty"`
}

// Capabilities are a device's capabilities.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// InitialTwin is the twin that a device starts with.
type InitialTwin struct {
	Tags       map[string]any         `json:"tags,omitempty"`
	Properties *InitialTwinProperties `json:"properties,omitempty"`
}

// InitialTwinProperties holds the desired properties of an initial twin.
type InitialTwinProperties struct {
	Desired map[string]any `json:"desired,omitempty"`
}

// ReprovisionPolicy defines what happens when a device registers again.
type ReprovisionPolicy struct {
	UpdateHubAssignment bool `json:"updateHubAssignment"`
	MigrateDeviceData   bool `json:"migrateDeviceData"`
}

// CustomAllocationDefinition names the webhook of the policy custom. Answers mask the query of its URL as "?****".
type CustomAllocationDefinition struct {
	WebhookURL string `json:"webhookUrl"`
	APIVersion string `json:"apiVersion"`
}

// Registration is the record of a device's registration, DeviceRegistrationState in the API.
type Registration struct {
	RegistrationID         string `json:"registrationId"`
	CreatedDateTimeUtc     string `json:"createdDateTimeUtc,omitempty"`
	AssignedHub            string `json:"assignedHub,omitempty"`
	DeviceID               string `json:"deviceId,omitempty"`
	Status                 string `json:"status"`
	Substatus              string `json:"substatus,omitempty"`
	ErrorCode              int    `json:"errorCode,omitempty"`
	ErrorMessage           string `json:"errorMessage,omitempty"`
	LastUpdatedDateTimeUtc string `json:"lastUpdatedDateTimeUtc,omitempty"`
	Etag                   string `json:"etag,omitempty"`
	Payload                any    `json:"payload,omitempty"`
}
