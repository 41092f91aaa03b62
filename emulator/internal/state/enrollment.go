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

// RegistrationStatus is where a registration stands.
type RegistrationStatus string

// Registration statuses, in Azure's words.
const (
	Unassigned RegistrationStatus = "unassigned"
	Assigning  RegistrationStatus = "assigning"
	Assigned   RegistrationStatus = "assigned"
	Failed     RegistrationStatus = "failed"
	Disabled   RegistrationStatus = "disabled"
)

// Registration is the record of a device at a provisioning service.
type Registration struct {
	RegistrationID string
	// GroupID is empty for an individual enrollment.
	GroupID     string
	DeviceID    string
	AssignedHub string
	Status      RegistrationStatus
	// Substatus: initialAssignment, deviceDataMigrated, deviceDataReset or reprovisionedToInitialAssignment; only with Assigned.
	Substatus string
	// ErrorCode and ErrorMessage are set with Failed: an Azure code as 400208.
	ErrorCode    int
	ErrorMessage string
	// Payload is what a webhook gave the device; JSON or nil.
	Payload          []byte
	ETag             string
	Created, Updated time.Time
}

// Operation is one run of a registration, found by its id until it is forgotten (a day after its end, unsure on Azure).
type Operation struct {
	ID string
	Registration
}
