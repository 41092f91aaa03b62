package entry

import (
	"strings"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
)

// Declared is what a program declares of an enrollment of either kind; a group has no device id and no device
// information.
type Declared struct {
	ID                string
	DeviceID          *string
	DeviceInformation map[string]any
	Settings
	Cleanup
}

// Held is an enrollment as the service holds it. Its settings have the program's spelling wherever both mean the same.
type Held struct {
	Declared
	Record
	Life
}

// AttestationType returns the service's name for the type of an attestation.
func AttestationType(a *Attestation) string {
	switch {
	case a != nil && a.X509 != nil:
		return dpsservice.X509CertAttestation
	case a != nil && a.TPM != nil:
		return dpsservice.TPMModuleAttestation
	default:
		return dpsservice.SymmetricKeyAttestation
	}
}

// GivenKeys returns the keys that a declaration gives. The provider generates empty ones.
func GivenKeys(a *Attestation) dpsservice.SymmetricKey {
	if a == nil || a.SymmetricKey == nil {
		return dpsservice.SymmetricKey{}
	}
	return dpsservice.SymmetricKey{PrimaryKey: Text(a.SymmetricKey.PrimaryKey),
		SecondaryKey: Text(a.SymmetricKey.SecondaryKey)}
}

// ToService returns the whole entry to send: the declaration, with keys for symmetric-key attestation.
func ToService(d Declared, keys dpsservice.SymmetricKey) dpsservice.Enrollment {
	entry := dpsservice.Enrollment{
		ID:                        d.ID,
		DeviceID:                  d.DeviceID,
		OptionalDeviceInformation: d.DeviceInformation,
		Attestation:               attestationOf(d.Attestation, keys),
		IotHubHostName:            d.IotHubHostName,
		IotHubs:                   d.IotHubs,
		NamespaceName:             d.NamespaceName,
		CertificateAuthorityName:  d.CertificateAuthorityName,
		CertificatePolicyName:     d.CertificatePolicyName,
	}
	if d.ProvisioningStatus != nil {
		status := strings.ToLower(string(*d.ProvisioningStatus))
		entry.ProvisioningStatus = &status
	}
	if d.Capabilities != nil {
		entry.Capabilities = &dpsservice.Capabilities{IotEdge: d.Capabilities.IotEdge}
	}
	if t := d.InitialTwin; t != nil {
		entry.InitialTwin = &dpsservice.InitialTwin{Tags: t.Tags,
			Properties: &dpsservice.InitialTwinProperties{Desired: t.DesiredProperties}}
	}
	if r := d.ReprovisionPolicy; r != nil {
		entry.ReprovisionPolicy = &dpsservice.ReprovisionPolicy{UpdateHubAssignment: r.UpdateHubAssignment,
			MigrateDeviceData: r.MigrateDeviceData}
	}
	if d.AllocationPolicy != nil {
		policy, _ := enrollment.CanonicalPolicy(string(*d.AllocationPolicy))
		entry.AllocationPolicy = &policy
	}
	if c := d.CustomAllocation; c != nil {
		entry.CustomAllocationDefinition = &dpsservice.CustomAllocationDefinition{WebhookURL: c.WebhookURL,
			APIVersion: c.APIVersion}
	}
	return entry
}

func attestationOf(a *Attestation, keys dpsservice.SymmetricKey) *dpsservice.Attestation {
	wire := &dpsservice.Attestation{Type: AttestationType(a)}
	switch wire.Type {
	case dpsservice.TPMModuleAttestation:
		wire.TPM = &dpsservice.TPM{EndorsementKey: a.TPM.EndorsementKey, StorageRootKey: a.TPM.StorageRootKey}
	case dpsservice.X509CertAttestation:
		wire.X509 = &dpsservice.X509Attestation{
			ClientCertificates:  certificatesOf(a.X509.ClientCertificates),
			SigningCertificates: certificatesOf(a.X509.SigningCertificates),
		}
		if c := a.X509.CAReferences; c != nil {
			wire.X509.CAReferences = &dpsservice.X509CAReferences{Primary: c.Primary, Secondary: c.Secondary}
		}
	default:
		wire.SymmetricKey = &keys
	}
	return wire
}

func certificatesOf(pair *CertificatePair) *dpsservice.X509Certificates {
	if pair == nil {
		return nil
	}
	wire := &dpsservice.X509Certificates{
		Primary: &dpsservice.X509Certificate{Certificate: enrollment.CleanCertificate(pair.Primary)}}
	if pair.Secondary != nil {
		wire.Secondary = &dpsservice.X509Certificate{Certificate: enrollment.CleanCertificate(*pair.Secondary)}
	}
	return wire
}

// FromService reads an entry as the service answered it. Its attestation holds symmetric keys where the answer did.
func FromService(host string, entry dpsservice.Enrollment) Held {
	h := Held{
		Declared: Declared{ID: entry.ID, DeviceID: entry.DeviceID, DeviceInformation: entry.OptionalDeviceInformation},
		Record: Record{
			ServiceHost: host, Etag: entry.Etag,
			CreatedDateTimeUtc: entry.CreatedDateTimeUtc, LastUpdatedDateTimeUtc: entry.LastUpdatedDateTimeUtc,
		},
	}
	h.Settings = Settings{
		ProvisioningStatus: (*ProvisioningStatus)(entry.ProvisioningStatus),
		AllocationPolicy:   (*AllocationPolicy)(entry.AllocationPolicy),
		IotHubs:            entry.IotHubs,
		IotHubHostName:     entry.IotHubHostName,
		Issuance:           Issuance{entry.NamespaceName, entry.CertificateAuthorityName, entry.CertificatePolicyName},
	}
	if c := entry.Capabilities; c != nil {
		h.Capabilities = &Capabilities{IotEdge: c.IotEdge}
	}
	if t := entry.InitialTwin; t != nil {
		h.InitialTwin = &InitialTwin{Tags: t.Tags}
		if t.Properties != nil {
			h.InitialTwin.DesiredProperties = t.Properties.Desired
		}
	}
	if r := entry.ReprovisionPolicy; r != nil {
		h.ReprovisionPolicy = &ReprovisionPolicy{UpdateHubAssignment: r.UpdateHubAssignment,
			MigrateDeviceData: r.MigrateDeviceData}
	}
	if c := entry.CustomAllocationDefinition; c != nil {
		h.CustomAllocation = &CustomAllocation{WebhookURL: c.WebhookURL, APIVersion: c.APIVersion}
	}
	if entry.Attestation != nil {
		h.readAttestation(*entry.Attestation)
	}
	return h
}

func (h *Held) readAttestation(a dpsservice.Attestation) {
	h.Attestation = &Attestation{}
	switch {
	case a.X509 != nil:
		x := &X509Attestation{}
		h.Attestation.X509 = x
		if c := a.X509.ClientCertificates; c != nil {
			x.ClientCertificates = h.readCertificates(*c)
		}
		if c := a.X509.SigningCertificates; c != nil {
			x.SigningCertificates = h.readCertificates(*c)
		}
		if c := a.X509.CAReferences; c != nil {
			x.CAReferences = &CAReferences{Primary: c.Primary, Secondary: c.Secondary}
		}
	case a.TPM != nil:
		h.Attestation.TPM = &TPMAttestation{EndorsementKey: a.TPM.EndorsementKey, StorageRootKey: a.TPM.StorageRootKey}
	default:
		h.Attestation.SymmetricKey = &SymmetricKey{}
		h.readKeys(a)
	}
}

// readKeys copies the symmetric keys of an answer; empty ones change nothing.
func (h *Held) readKeys(a dpsservice.Attestation) {
	if a.SymmetricKey == nil {
		return
	}
	if key := a.SymmetricKey.PrimaryKey; key != "" {
		h.PrimaryKey = &key
	}
	if key := a.SymmetricKey.SecondaryKey; key != "" {
		h.SecondaryKey = &key
	}
}

// readCertificates records what the service returns about a pair, and returns the pair with thumbprints for
// certificates.
func (h *Held) readCertificates(c dpsservice.X509Certificates) *CertificatePair {
	pair := &CertificatePair{}
	if c.Primary != nil && c.Primary.Info != nil {
		h.PrimaryCertificate = infoOf(*c.Primary.Info)
		pair.Primary = enrollment.ThumbprintMark + strings.ToLower(c.Primary.Info.SHA256Thumbprint)
	}
	if c.Secondary != nil && c.Secondary.Info != nil {
		h.SecondaryCertificate = infoOf(*c.Secondary.Info)
		if secondary := enrollment.ThumbprintMark +
			strings.ToLower(c.Secondary.Info.SHA256Thumbprint); secondary != pair.Primary {
			pair.Secondary = &secondary
		}
	}
	return pair
}

func infoOf(i dpsservice.X509CertificateInfo) *CertificateInfo {
	return &CertificateInfo{
		SubjectName: i.SubjectName, IssuerName: i.IssuerName, SerialNumber: i.SerialNumber,
		SHA1Thumbprint: i.SHA1Thumbprint, SHA256Thumbprint: i.SHA256Thumbprint,
		NotBeforeUtc: i.NotBeforeUtc, NotAfterUtc: i.NotAfterUtc,
	}
}
