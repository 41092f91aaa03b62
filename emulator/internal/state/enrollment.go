package state

import "time"

// Attestation is how a device proves what it is. Exactly one member is set.
type Attestation struct {
	SymmetricKey *SymmetricKey
	X509         *X509Attestation
	TPM          *TPMAttestation
}

// SymmetricKey is a pair of base64 keys; empty ones are made by the state when an enrollment is put.
type SymmetricKey struct {
	Primary, Secondary string
}

// X509Attestation holds certificates in DER, or names of certificates uploaded to the service.
type X509Attestation struct {
	// Client: leafs of an individual enrollment. Signing: root or intermediate of a group.
	ClientPrimary, ClientSecondary   []byte
	SigningPrimary, SigningSecondary []byte
	CAPrimary, CASecondary           string
}

// TPMAttestation: public parts in base64 of a TPM2B_PUBLIC.
type TPMAttestation struct {
	EndorsementKey, StorageRootKey string
}

// Reprovision says what happens when an assigned device registers again; nil on an enrollment means the service's default.
type Reprovision struct {
	UpdateHubAssignment, MigrateDeviceData bool
}

// Settings are what individual enrollments and groups share.
type Settings struct {
	Attestation Attestation
	Disabled    bool
	// ProvisioningStatusNull: the request said null, and replies echo that.
	ProvisioningStatusNull bool
	Edge                   bool
	// Capabilities: the request carried the object, and replies echo it.
	Capabilities bool
	IotHubHost   string
	// Hubs are host names; empty: every linked hub.
	Hubs []string
	// Allocation empty: the service's policy.
	Allocation  AllocationPolicy
	Webhook     *Webhook
	Reprovision *Reprovision
	// InitialTwin, DeviceInformation: JSON documents as sent; nil when absent.
	InitialTwin       []byte
	DeviceInformation []byte
	ETag              string
	Created, Updated  time.Time
}

// Webhook is the custom allocation definition.
type Webhook struct {
	URL, APIVersion string
}

// Enrollment is an individual enrollment.
type Enrollment struct {
	RegistrationID string
	DeviceID       string
	Settings
}

// EnrollmentGroup lets in every device whose key derives from, or whose certificate chains to, its attestation.
type EnrollmentGroup struct {
	ID string
	Settings
}
