package set

import (
	"evenkeel/internal/provider/entry"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// Defaults are the settings of every enrollment of a set whose item does not set them.
type Defaults struct {
	CAReferences              *entry.CAReferences       `pulumi:"caReferences,optional"`
	OptionalDeviceInformation map[string]any            `pulumi:"optionalDeviceInformation,optional"`
	ProvisioningStatus        *entry.ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	Capabilities              *entry.Capabilities       `pulumi:"capabilities,optional"`
	InitialTwin               *entry.InitialTwin        `pulumi:"initialTwin,optional"`
	ReprovisionPolicy         *entry.ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy          *entry.AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation          *entry.CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs                   []string                  `pulumi:"iotHubs,optional"`
	IotHubHostName            *string                   `pulumi:"iotHubHostName,optional"`
	entry.Issuance
}

// Annotate describes the type in the schema.
func (d *Defaults) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetDefaults")
	an.Describe(d, "Settings of every enrollment of a set whose item does not set them.")
	an.Describe(&d.CAReferences,
		"Names of the certificate authorities, known to the provisioning service, that attest every device whose "+
			"item sets no attestation.")
	an.Describe(&d.OptionalDeviceInformation, "Information about the devices, any JSON object.")
	an.Describe(&d.ProvisioningStatus, "Whether devices may register: `enabled` (the default) or `disabled`.")
	an.Describe(&d.Capabilities, "Capabilities of the devices.")
	an.Describe(&d.InitialTwin,
		"Twin that a device gets when it is first assigned to a hub, or when its data is reset.")
	an.Describe(&d.ReprovisionPolicy, "What happens when a device registers again.")
	an.Describe(&d.AllocationPolicy, "How devices are distributed over the hubs.")
	an.Describe(&d.CustomAllocation, "The webhook that decides, for the policy `custom`.")
	an.Describe(&d.IotHubs, "Host names of the linked hubs that devices may be assigned to.")
	an.Describe(&d.IotHubHostName, "The older property for the hub of the policy `static`; use `iotHubs`.")
}

// Item is one enrollment of a set, inline or as a row of a manifest. What it leaves out comes from the defaults.
type Item struct {
	RegistrationID            string                    `pulumi:"registrationId"`
	DeviceID                  *string                   `pulumi:"deviceId,optional"`
	OptionalDeviceInformation map[string]any            `pulumi:"optionalDeviceInformation,optional"`
	PrimaryKey                *string                   `pulumi:"primaryKey,optional" provider:"secret"`
	SecondaryKey              *string                   `pulumi:"secondaryKey,optional" provider:"secret"`
	Certificate               *string                   `pulumi:"certificate,optional"`
	SecondaryCertificate      *string                   `pulumi:"secondaryCertificate,optional"`
	CAReference               *string                   `pulumi:"caReference,optional"`
	SecondaryCAReference      *string                   `pulumi:"secondaryCaReference,optional"`
	EndorsementKey            *string                   `pulumi:"endorsementKey,optional"`
	StorageRootKey            *string                   `pulumi:"storageRootKey,optional"`
	ProvisioningStatus        *entry.ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	IotEdge                   *bool                     `pulumi:"iotEdge,optional"`
	Tags                      map[string]any            `pulumi:"tags,optional"`
	DesiredProperties         map[string]any            `pulumi:"desiredProperties,optional"`
	ReprovisionPolicy         *entry.ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy          *entry.AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation          *entry.CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs                   []string                  `pulumi:"iotHubs,optional"`
	IotHubHostName            *string                   `pulumi:"iotHubHostName,optional"`
	entry.Issuance
}

// Annotate describes the type in the schema.
func (i *Item) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetItem")
	an.Describe(i, "One enrollment of a set. Its device authenticates by certificates, by certificate authorities, "+
		"by a TPM's endorsement key, or otherwise by symmetric keys.")
	for _, f := range itemFields {
		an.Describe(f.member(i), f.text)
	}
}

// declared returns the enrollment that an item and the defaults declare.
func (i Item) declared(d Defaults) entry.Declared {
	want := entry.Declared{ID: i.RegistrationID, DeviceID: i.DeviceID, DeviceInformation: i.OptionalDeviceInformation,
		Settings: entry.Settings{
			Attestation: i.attestation(d), ProvisioningStatus: orDefault(i.ProvisioningStatus, d.ProvisioningStatus),
			Capabilities: d.Capabilities, InitialTwin: d.InitialTwin, ReprovisionPolicy: orDefault(i.ReprovisionPolicy,
				d.ReprovisionPolicy),
			AllocationPolicy: orDefault(i.AllocationPolicy, d.AllocationPolicy),
			CustomAllocation: orDefault(i.CustomAllocation, d.CustomAllocation),
			IotHubs:          i.IotHubs, IotHubHostName: orDefault(i.IotHubHostName, d.IotHubHostName),
			Issuance: entry.Issuance{
				NamespaceName:            orDefault(i.NamespaceName, d.NamespaceName),
				CertificateAuthorityName: orDefault(i.CertificateAuthorityName, d.CertificateAuthorityName),
				CertificatePolicyName:    orDefault(i.CertificatePolicyName, d.CertificatePolicyName),
			},
		}}
	if want.DeviceInformation == nil {
		want.DeviceInformation = d.OptionalDeviceInformation
	}
	if i.IotEdge != nil {
		want.Capabilities = &entry.Capabilities{IotEdge: *i.IotEdge}
	}
	if i.Tags != nil || i.DesiredProperties != nil {
		twin := entry.TwinOf(want.Settings)
		if i.Tags != nil {
			twin.Tags = i.Tags
		}
		if i.DesiredProperties != nil {
			twin.DesiredProperties = i.DesiredProperties
		}
		want.InitialTwin = &twin
	}
	if want.IotHubs == nil {
		want.IotHubs = d.IotHubs
	}
	return want
}

func orDefault[T any](own, shared *T) *T {
	if own != nil {
		return own
	}
	return shared
}

// attestation returns the item's attestation, or else the default. An item that sets several kinds keeps them all:
// Check refuses it.
func (i Item) attestation(d Defaults) *entry.Attestation {
	a := &entry.Attestation{}
	if i.Certificate != nil || i.SecondaryCertificate != nil {
		a.X509 = &entry.X509Attestation{ClientCertificates: &entry.CertificatePair{Primary: entry.Text(i.Certificate),
			Secondary: i.SecondaryCertificate}}
	}
	if i.CAReference != nil || i.SecondaryCAReference != nil {
		if a.X509 == nil {
			a.X509 = &entry.X509Attestation{}
		}
		a.X509.CAReferences = &entry.CAReferences{Primary: entry.Text(i.CAReference), Secondary: i.SecondaryCAReference}
	}
	if i.EndorsementKey != nil || i.StorageRootKey != nil {
		a.TPM = &entry.TPMAttestation{EndorsementKey: entry.Text(i.EndorsementKey), StorageRootKey: i.StorageRootKey}
	}
	switch {
	case i.PrimaryKey != nil || i.SecondaryKey != nil:
		a.SymmetricKey = &entry.SymmetricKey{PrimaryKey: i.PrimaryKey, SecondaryKey: i.SecondaryKey}
	case a.X509 != nil || a.TPM != nil:
	case d.CAReferences != nil:
		a.X509 = &entry.X509Attestation{CAReferences: d.CAReferences}
	default:
		a.SymmetricKey = &entry.SymmetricKey{}
	}
	return a
}

// itemOf returns the item for an enrollment. It has the keys that the declaration gives.
func itemOf(d entry.Declared) Item {
	s := d.Settings
	edge, keys, references, tpm := entry.IsEdge(s), entry.SymmetricOf(s.Attestation), entry.ReferencesOf(s.Attestation),
		entry.TPMOf(s.Attestation)
	item := Item{
		RegistrationID: d.ID, DeviceID: d.DeviceID, OptionalDeviceInformation: entry.PlainJSON(d.DeviceInformation),
		PrimaryKey: keys.PrimaryKey, SecondaryKey: keys.SecondaryKey, SecondaryCAReference: references.Secondary,
		StorageRootKey:     tpm.StorageRootKey,
		ProvisioningStatus: s.ProvisioningStatus, IotEdge: &edge,
		Tags:              entry.PlainJSON(entry.TwinOf(s).Tags),
		DesiredProperties: entry.PlainJSON(entry.TwinOf(s).DesiredProperties), ReprovisionPolicy: s.ReprovisionPolicy,
		AllocationPolicy: s.AllocationPolicy, CustomAllocation: s.CustomAllocation, IotHubs: s.IotHubs,
		IotHubHostName: s.IotHubHostName, Issuance: s.Issuance,
	}
	if pair := entry.ClientPair(s.Attestation); pair != nil {
		item.Certificate, item.SecondaryCertificate = &pair.Primary, pair.Secondary
	}
	if references.Primary != "" {
		item.CAReference = &references.Primary
	}
	if tpm.EndorsementKey != "" {
		item.EndorsementKey = &tpm.EndorsementKey
	}
	return item
}
