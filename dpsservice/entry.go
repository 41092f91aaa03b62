package dpsservice

// Entry holds the fields that individual enrollments and enrollment groups have in common. A nil field is not sent, and is
// absent in the answer; a PUT without it removes it.
type Entry struct {
	Attestation                *Attestation                `json:"attestation,omitempty"`
	Capabilities               *Capabilities               `json:"capabilities,omitempty"`
	IotHubHostName             *string                     `json:"iotHubHostName,omitempty"`
	InitialTwin                *InitialTwin                `json:"initialTwin,omitempty"`
	ProvisioningStatus         *string                     `json:"provisioningStatus,omitempty"`
	ReprovisionPolicy          *ReprovisionPolicy          `json:"reprovisionPolicy,omitempty"`
	AllocationPolicy           *string                     `json:"allocationPolicy,omitempty"`
	IotHubs                    []string                    `json:"iotHubs,omitempty"`
	CustomAllocationDefinition *CustomAllocationDefinition `json:"customAllocationDefinition,omitempty"`

	// The three below are made by the service. Etag is sent only in bulk operations, whose entries have no header of their own.
	Etag                   string `json:"etag,omitempty"`
	CreatedDateTimeUtc     string `json:"createdDateTimeUtc,omitempty"`
	LastUpdatedDateTimeUtc string `json:"lastUpdatedDateTimeUtc,omitempty"`
}

// IndividualEnrollment is the enrollment of one device.
type IndividualEnrollment struct {
	RegistrationID            string         `json:"registrationId"`
	DeviceID                  *string        `json:"deviceId,omitempty"`
	OptionalDeviceInformation map[string]any `json:"optionalDeviceInformation,omitempty"`
	// RegistrationState is made by the service; nil unless the answer holds it.
	RegistrationState *Registration `json:"registrationState,omitempty"`
	Entry
}

// EnrollmentGroup is the enrollment of all devices that prove to belong to it.
type EnrollmentGroup struct {
	EnrollmentGroupID string `json:"enrollmentGroupId"`
	Entry
}

// The values of Attestation.Type.
const (
	SymmetricKeyAttestation = "symmetricKey"
	X509CertAttestation     = "x509"
	TPMModuleAttestation    = "tpm"
)

// Attestation is the attestation mechanism of an entry. GET and queries leave out symmetric keys; AttestationMechanism returns them.
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

// SymmetricKey is a pair of keys in base64. A PUT without keys makes new ones.
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

// X509Certificates is a pair of certificates. The service fills in a secondary one equal to the primary when it is left out.
type X509Certificates struct {
	Primary   *X509Certificate `json:"primary,omitempty"`
	Secondary *X509Certificate `json:"secondary,omitempty"`
}

// X509Certificate is a certificate: its text in requests, what the service tells of it in answers.
type X509Certificate struct {
	Certificate string               `json:"certificate,omitempty"`
	Info        *X509CertificateInfo `json:"info,omitempty"`
}

// X509CertificateInfo is what the service tells of a certificate; thumbprints and serial number are hexadecimal digits.
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

// ReprovisionPolicy says what happens when a device registers again.
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
