package state

import "time"

// Attestation is how a device proves its identity. Exactly one field is set.
type Attestation struct {
	SymmetricKey *SymmetricKey
	X509         *X509Attestation
	TPM          *TPMAttestation
}

// SymmetricKey is a pair of base64 keys. Empty ones are generated when an enrollment is created.
type SymmetricKey struct {
	Primary, Secondary string
}

// X509Attestation holds certificates in DER, or names of certificates uploaded to the service.
type X509Attestation struct {
	// Client: leaf certificates of an individual enrollment. Signing: root or intermediate certificates of a group.
	ClientPrimary, ClientSecondary   []byte
	SigningPrimary, SigningSecondary []byte
	CAPrimary, CASecondary           string
}

// TPMAttestation holds the public parts in base64 of a TPM2B_PUBLIC.
type TPMAttestation struct {
	EndorsementKey, StorageRootKey string
}

// Reprovision is the policy for a device that registers again. An enrollment with nil follows the service's default.
type Reprovision struct {
	UpdateHubAssignment, MigrateDeviceData bool
}

// Settings are what individual enrollments and groups share.
type Settings struct {
	Attestation Attestation
	Disabled    bool
	// ProvisioningStatusNull: the request contained null, and responses repeat it.
	ProvisioningStatusNull bool
	Edge                   bool
	// Capabilities: the request contained the object, and responses repeat it.
	Capabilities bool
	IotHubHost   string
	// Hubs are host names. Empty means all linked hubs.
	Hubs []string
	// Allocation is empty if the service's policy applies.
	Allocation  AllocationPolicy
	Webhook     *Webhook
	Reprovision *Reprovision
	// InitialTwin and DeviceInformation are JSON documents as sent, or nil.
	InitialTwin       []byte
	DeviceInformation []byte
	// Issuance names who signs the certificates of devices that register with a certificate signing request.
	Issuance         Issuance
	ETag             string
	Created, Updated time.Time
}

// Issuance names a certificate policy of Azure Device Registry. Each part may be empty.
type Issuance struct {
	Namespace, Authority, Policy string
}

// IsComplete reports whether all parts are named.
func (i Issuance) IsComplete() bool { return i.Namespace != "" && i.Authority != "" && i.Policy != "" }

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

// EnrollmentGroup authenticates every device whose key derives from its attestation, or whose certificate chains to
// it.
type EnrollmentGroup struct {
	ID string
	Settings
}

func (e *Enrollment) fields(c *codec) {
	text(c, "registrationId", &e.RegistrationID)
	text(c, "deviceId", &e.DeviceID)
	e.Settings.fields(c)
}

func (g *EnrollmentGroup) fields(c *codec) {
	text(c, "id", &g.ID)
	g.Settings.fields(c)
}

func (s *Settings) fields(c *codec) {
	s.Attestation.fields(c)
	flags := []flag{{"disabled", &s.Disabled}, {"provisioningStatusNull", &s.ProvisioningStatusNull}, {"edge", &s.Edge},
		{"capabilities", &s.Capabilities}}
	issues := s.Issuance != Issuance{}
	if c.doc == nil {
		flags = append(flags, flag{"", &issues}) // rows of earlier versions do not have the names
	}
	c.flags(flags...)
	text(c, "iotHubHost", &s.IotHubHost)
	texts(c, "hubs", &s.Hubs)
	text(c, "allocation", &s.Allocation)
	optional(c, "webhook", &s.Webhook, func(w *Webhook) {
		text(c, "url", &w.URL)
		text(c, "apiVersion", &w.APIVersion)
	})
	optional(c, "reprovision", &s.Reprovision, func(r *Reprovision) {
		c.flags(flag{"updateHubAssignment", &r.UpdateHubAssignment}, flag{"migrateDeviceData", &r.MigrateDeviceData})
	})
	c.bytes("initialTwin", &s.InitialTwin)
	c.bytes("deviceInformation", &s.DeviceInformation)
	text(c, "etag", &s.ETag)
	c.time("created", &s.Created)
	c.time("updated", &s.Updated)
	if issues || c.doc != nil {
		text(c, "namespaceName", &s.Issuance.Namespace)
		text(c, "certificateAuthorityName", &s.Issuance.Authority)
		text(c, "certificatePolicyName", &s.Issuance.Policy)
	}
}

func (a *Attestation) fields(c *codec) {
	optional(c, "symmetricKey", &a.SymmetricKey, func(k *SymmetricKey) { k.fields(c) })
	optional(c, "x509", &a.X509, func(x *X509Attestation) {
		c.bytes("clientPrimary", &x.ClientPrimary)
		c.bytes("clientSecondary", &x.ClientSecondary)
		c.bytes("signingPrimary", &x.SigningPrimary)
		c.bytes("signingSecondary", &x.SigningSecondary)
		text(c, "caPrimary", &x.CAPrimary)
		text(c, "caSecondary", &x.CASecondary)
	})
	optional(c, "tpm", &a.TPM, func(t *TPMAttestation) {
		text(c, "endorsementKey", &t.EndorsementKey)
		text(c, "storageRootKey", &t.StorageRootKey)
	})
}

func (k *SymmetricKey) fields(c *codec) {
	text(c, "primaryKey", &k.Primary)
	text(c, "secondaryKey", &k.Secondary)
}

// Enrollment returns an individual enrollment. svc is the ID scope of its service.
func (s *State) Enrollment(svc, id string) (Enrollment, error) {
	e, err := s.Entry(Individuals, svc, id)
	return e.individual(), err
}

// PutEnrollment is PutEntry for an individual enrollment.
func (s *State) PutEnrollment(svc string, e Enrollment, etag string) (Enrollment, bool, error) {
	put, created, err := s.PutEntry(svc, e.Entry(), etag)
	return put.individual(), created, err
}

// EnrollmentGroup returns an enrollment group.
func (s *State) EnrollmentGroup(svc, id string) (EnrollmentGroup, error) {
	e, err := s.Entry(Groups, svc, id)
	return e.group(), err
}

// PutEnrollmentGroup is PutEntry for a group.
func (s *State) PutEnrollmentGroup(svc string, g EnrollmentGroup, etag string) (EnrollmentGroup, bool, error) {
	put, created, err := s.PutEntry(svc, g.Entry(), etag)
	return put.group(), created, err
}

// EnrollmentGroups is Entries for groups.
func (s *State) EnrollmentGroups(svc, after string, limit int) ([]EnrollmentGroup, string, error) {
	entries, next, err := s.Entries(Groups, svc, after, limit)
	groups := make([]EnrollmentGroup, len(entries))
	for i, e := range entries {
		groups[i] = e.group()
	}
	return groups, next, err
}
