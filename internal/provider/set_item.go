package provider

import "github.com/pulumi/pulumi-go-provider/infer"

// SetDefaults are the settings of every enrollment of a set that does not say otherwise.
type SetDefaults struct {
	CAReferences              *CAReferences       `pulumi:"caReferences,optional"`
	OptionalDeviceInformation map[string]any      `pulumi:"optionalDeviceInformation,optional"`
	ProvisioningStatus        *ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	Capabilities              *Capabilities       `pulumi:"capabilities,optional"`
	InitialTwin               *InitialTwin        `pulumi:"initialTwin,optional"`
	ReprovisionPolicy         *ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy          *AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation          *CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs                   []string            `pulumi:"iotHubs,optional"`
	IotHubHostName            *string             `pulumi:"iotHubHostName,optional"`
}

// Annotate describes the type in the schema.
func (d *SetDefaults) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetDefaults")
	an.Describe(d, "Settings of every enrollment of a set that does not say otherwise.")
	an.Describe(&d.CAReferences, "Names of the certificate authorities, known to the provisioning service, that attest every device whose item says nothing about attestation.")
	an.Describe(&d.OptionalDeviceInformation, "Information about the devices, any JSON object.")
	an.Describe(&d.ProvisioningStatus, "Whether devices may register: `enabled` (the default) or `disabled`.")
	an.Describe(&d.Capabilities, "Capabilities of the devices.")
	an.Describe(&d.InitialTwin, "Twin that a device gets when it is first assigned to a hub, or when its data are reset.")
	an.Describe(&d.ReprovisionPolicy, "What happens when a device registers again.")
	an.Describe(&d.AllocationPolicy, "How devices are spread over the hubs.")
	an.Describe(&d.CustomAllocation, "The webhook that decides, for the policy `custom`.")
	an.Describe(&d.IotHubs, "Host names of the linked hubs that devices may be assigned to.")
	an.Describe(&d.IotHubHostName, "The older way to name the one hub of the policy `static`; use `iotHubs`.")
}

// SetItem is one enrollment of a set, inline or as a row of a manifest. What it leaves out is that of the defaults.
type SetItem struct {
	RegistrationID            string              `pulumi:"registrationId"`
	DeviceID                  *string             `pulumi:"deviceId,optional"`
	OptionalDeviceInformation map[string]any      `pulumi:"optionalDeviceInformation,optional"`
	PrimaryKey                *string             `pulumi:"primaryKey,optional" provider:"secret"`
	SecondaryKey              *string             `pulumi:"secondaryKey,optional" provider:"secret"`
	Certificate               *string             `pulumi:"certificate,optional"`
	SecondaryCertificate      *string             `pulumi:"secondaryCertificate,optional"`
	CAReference               *string             `pulumi:"caReference,optional"`
	SecondaryCAReference      *string             `pulumi:"secondaryCaReference,optional"`
	EndorsementKey            *string             `pulumi:"endorsementKey,optional"`
	StorageRootKey            *string             `pulumi:"storageRootKey,optional"`
	ProvisioningStatus        *ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	IotEdge                   *bool               `pulumi:"iotEdge,optional"`
	Tags                      map[string]any      `pulumi:"tags,optional"`
	DesiredProperties         map[string]any      `pulumi:"desiredProperties,optional"`
	ReprovisionPolicy         *ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy          *AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation          *CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs                   []string            `pulumi:"iotHubs,optional"`
	IotHubHostName            *string             `pulumi:"iotHubHostName,optional"`
}

// Annotate describes the type in the schema.
func (i *SetItem) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetItem")
	an.Describe(i, "One enrollment of a set. It attests by certificates, by certificate authorities, by a TPM's endorsement key, or else by symmetric keys.")
	an.Describe(&i.RegistrationID, "Id under which the device registers.")
	an.Describe(&i.DeviceID, "Id of the device at its hub. Left out, the registration id.")
	an.Describe(&i.OptionalDeviceInformation, "Information about the device, any JSON object, instead of the default one.")
	an.Describe(&i.PrimaryKey, "Primary key, base64. Left out, made at creation and kept.")
	an.Describe(&i.SecondaryKey, "Secondary key, base64. Left out, made at creation and kept.")
	an.Describe(&i.Certificate, "The device's certificate: PEM text, or base64 of its DER form.")
	an.Describe(&i.SecondaryCertificate, "The device's other certificate, in the same forms.")
	an.Describe(&i.CAReference, "Name of a certificate authority, known to the provisioning service, that signed the device's certificate.")
	an.Describe(&i.SecondaryCAReference, "Name of another such authority.")
	an.Describe(&i.EndorsementKey, "Public endorsement key of the device's TPM.")
	an.Describe(&i.StorageRootKey, "Public storage root key of the device's TPM.")
	an.Describe(&i.ProvisioningStatus, "Whether the device may register, instead of the default.")
	an.Describe(&i.IotEdge, "Whether the device is an IoT Edge device, instead of the default.")
	an.Describe(&i.Tags, "Tags of the initial twin, instead of the default ones.")
	an.Describe(&i.DesiredProperties, "Desired properties of the initial twin, instead of the default ones.")
	an.Describe(&i.ReprovisionPolicy, "What happens when the device registers again, instead of the default.")
	an.Describe(&i.AllocationPolicy, "How the device is allocated, instead of the default.")
	an.Describe(&i.CustomAllocation, "The webhook that decides, for the policy `custom`, instead of the default one.")
	an.Describe(&i.IotHubs, "Host names of the hubs that the device may be assigned to, instead of the default ones.")
	an.Describe(&i.IotHubHostName, "The older way to name the one hub of the policy `static`, instead of the default; use `iotHubs`.")
}

// declared is the enrollment that an item and the defaults declare.
func (i SetItem) declared(d SetDefaults) declared {
	want := declared{ID: i.RegistrationID, DeviceID: i.DeviceID, DeviceInformation: i.OptionalDeviceInformation, Settings: Settings{
		Attestation: i.attestation(d), ProvisioningStatus: orDefault(i.ProvisioningStatus, d.ProvisioningStatus),
		Capabilities: d.Capabilities, InitialTwin: d.InitialTwin, ReprovisionPolicy: orDefault(i.ReprovisionPolicy, d.ReprovisionPolicy),
		AllocationPolicy: orDefault(i.AllocationPolicy, d.AllocationPolicy), CustomAllocation: orDefault(i.CustomAllocation, d.CustomAllocation),
		IotHubs: i.IotHubs, IotHubHostName: orDefault(i.IotHubHostName, d.IotHubHostName),
	}}
	if want.DeviceInformation == nil {
		want.DeviceInformation = d.OptionalDeviceInformation
	}
	if i.IotEdge != nil {
		want.Capabilities = &Capabilities{IotEdge: *i.IotEdge}
	}
	if i.Tags != nil || i.DesiredProperties != nil {
		twin := twinOf(want.Settings)
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

// attestation is what the item says of it, or else the default. An item that says several things keeps them all: Check tells.
func (i SetItem) attestation(d SetDefaults) *Attestation {
	a := &Attestation{}
	if i.Certificate != nil || i.SecondaryCertificate != nil {
		a.X509 = &X509Attestation{ClientCertificates: &CertificatePair{Primary: text(i.Certificate), Secondary: i.SecondaryCertificate}}
	}
	if i.CAReference != nil || i.SecondaryCAReference != nil {
		if a.X509 == nil {
			a.X509 = &X509Attestation{}
		}
		a.X509.CAReferences = &CAReferences{Primary: text(i.CAReference), Secondary: i.SecondaryCAReference}
	}
	if i.EndorsementKey != nil || i.StorageRootKey != nil {
		a.TPM = &TPMAttestation{EndorsementKey: text(i.EndorsementKey), StorageRootKey: i.StorageRootKey}
	}
	switch {
	case i.PrimaryKey != nil || i.SecondaryKey != nil:
		a.SymmetricKey = &SymmetricKey{i.PrimaryKey, i.SecondaryKey}
	case a.X509 != nil || a.TPM != nil:
	case d.CAReferences != nil:
		a.X509 = &X509Attestation{CAReferences: d.CAReferences}
	default:
		a.SymmetricKey = &SymmetricKey{}
	}
	return a
}

// itemOf says everything of an enrollment that an item can say. Keys are said where the declaration gives them.
func itemOf(d declared) SetItem {
	s := d.Settings
	edge, keys, references, tpm := isEdge(s), symmetricOf(s.Attestation), referencesOf(s.Attestation), tpmOf(s.Attestation)
	item := SetItem{
		RegistrationID: d.ID, DeviceID: d.DeviceID, OptionalDeviceInformation: plainJSON(d.DeviceInformation),
		PrimaryKey: keys.PrimaryKey, SecondaryKey: keys.SecondaryKey, SecondaryCAReference: references.Secondary, StorageRootKey: tpm.StorageRootKey,
		ProvisioningStatus: s.ProvisioningStatus, IotEdge: &edge,
		Tags: plainJSON(twinOf(s).Tags), DesiredProperties: plainJSON(twinOf(s).DesiredProperties), ReprovisionPolicy: s.ReprovisionPolicy,
		AllocationPolicy: s.AllocationPolicy, CustomAllocation: s.CustomAllocation, IotHubs: s.IotHubs, IotHubHostName: s.IotHubHostName,
	}
	if pair := clientPair(s.Attestation); pair != nil {
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

// cleanKeys takes line breaks out of the item's keys, wherever they came from.
func (i *SetItem) cleanKeys() {
	for _, key := range []**string{&i.PrimaryKey, &i.SecondaryKey, &i.EndorsementKey, &i.StorageRootKey} {
		cleanKey(key)
	}
}
