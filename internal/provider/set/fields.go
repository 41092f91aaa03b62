package set

import (
	"reflect"
	"slices"
	"strings"

	"evenkeel/internal/provider/entry"
)

// itemField is one property of an item. The table below is the only list of them: the schema's texts, the columns and
// members of manifests, and the places of errors and changes are derived from it.
type itemField struct {
	// name is the property's in the schema, the column's of a CSV manifest, and the member's of a JSON one.
	name string
	// member returns the address of the property in an item.
	member func(*Item) any
	// path is the path of the property in an enrollment, and defaults that in the defaults, which is empty if they do
	// not have it.
	path, defaults string
	// isKey is true if line breaks in the value, which users may paste, are removed.
	isKey bool
	// isAllocation is true if the property has a meaning only together with the others that are marked so.
	isAllocation bool
	// text is the description in the schema.
	text string
}

// The places of the properties that enrollments, items and defaults spell alike.
const alike = "*"

var itemFields = []itemField{
	{
		name: "registrationId", member: func(i *Item) any { return &i.RegistrationID }, path: "registrationId",
		text: "Id under which the device registers.",
	}, {
		name: "deviceId", member: func(i *Item) any { return &i.DeviceID }, path: "deviceId",
		text: "Id of the device at its hub. Left out, the registration id.",
	}, {
		name: "optionalDeviceInformation", member: func(i *Item) any { return &i.OptionalDeviceInformation },
		path: alike,
		text: "Information about the device, any JSON object, instead of the default one.",
	}, {
		name: "primaryKey", member: func(i *Item) any { return &i.PrimaryKey }, isKey: true,
		path: "attestation.symmetricKey.primaryKey",
		text: "Primary key, base64. Left out, it is generated at creation and kept.",
	}, {
		name: "secondaryKey", member: func(i *Item) any { return &i.SecondaryKey }, isKey: true,
		path: "attestation.symmetricKey.secondaryKey",
		text: "Secondary key, base64. Left out, it is generated at creation and kept.",
	}, {
		name: "certificate", member: func(i *Item) any { return &i.Certificate },
		path: "attestation.x509.clientCertificates.primary",
		text: "The device's certificate: PEM text, or base64 of its DER form.",
	}, {
		name: "secondaryCertificate", member: func(i *Item) any { return &i.SecondaryCertificate },
		path: "attestation.x509.clientCertificates.secondary",
		text: "The device's other certificate, in the same forms.",
	}, {
		name: "caReference", member: func(i *Item) any { return &i.CAReference },
		path: "attestation.x509.caReferences.primary", defaults: "caReferences.primary",
		text: "Name of a certificate authority, known to the provisioning service, that signed the device's " +
			"certificate.",
	}, {
		name: "secondaryCaReference", member: func(i *Item) any { return &i.SecondaryCAReference },
		path: "attestation.x509.caReferences.secondary", defaults: "caReferences.secondary",
		text: "Name of another such authority.",
	}, {
		name: "endorsementKey", member: func(i *Item) any { return &i.EndorsementKey }, isKey: true,
		path: "attestation.tpm.endorsementKey",
		text: "Public endorsement key of the device's TPM.",
	}, {
		name: "storageRootKey", member: func(i *Item) any { return &i.StorageRootKey }, isKey: true,
		path: "attestation.tpm.storageRootKey",
		text: "Public storage root key of the device's TPM.",
	}, {
		name: "provisioningStatus", member: func(i *Item) any { return &i.ProvisioningStatus }, path: alike,
		text: "Whether the device may register, instead of the default.",
	}, {
		name: "iotEdge", member: func(i *Item) any { return &i.IotEdge },
		path: "capabilities.iotEdge", defaults: "capabilities.iotEdge",
		text: "Whether the device is an IoT Edge device, instead of the default.",
	}, {
		name: "tags", member: func(i *Item) any { return &i.Tags },
		path: "initialTwin.tags", defaults: "initialTwin.tags",
		text: "Tags of the initial twin, instead of the default ones.",
	}, {
		name: "desiredProperties", member: func(i *Item) any { return &i.DesiredProperties },
		path: "initialTwin.desiredProperties", defaults: "initialTwin.desiredProperties",
		text: "Desired properties of the initial twin, instead of the default ones.",
	}, {
		name: "reprovisionPolicy", member: func(i *Item) any { return &i.ReprovisionPolicy }, path: alike,
		text: "What happens when the device registers again, instead of the default.",
	}, {
		name: "allocationPolicy", member: func(i *Item) any { return &i.AllocationPolicy }, path: alike,
		isAllocation: true,
		text:         "How the device is allocated, instead of the default.",
	}, {
		name: "customAllocation", member: func(i *Item) any { return &i.CustomAllocation }, path: alike,
		isAllocation: true,
		text:         "The webhook that decides, for the policy `custom`, instead of the default one.",
	}, {
		name: "iotHubs", member: func(i *Item) any { return &i.IotHubs }, path: alike, isAllocation: true,
		text: "Host names of the hubs that the device may be assigned to, instead of the default ones.",
	}, {
		name: "iotHubHostName", member: func(i *Item) any { return &i.IotHubHostName }, path: alike, isAllocation: true,
		text: "The older property for the hub of the policy `static`, instead of the default; use `iotHubs`.",
	}, {
		name: "namespaceName", member: func(i *Item) any { return &i.NamespaceName }, path: alike,
		text: entry.NamespaceText,
	}, {
		name: "certificateAuthorityName", member: func(i *Item) any { return &i.CertificateAuthorityName }, path: alike,
		text: entry.AuthorityText,
	}, {
		name: "certificatePolicyName", member: func(i *Item) any { return &i.CertificatePolicyName }, path: alike,
		text: entry.PolicyText,
	},
}

// value is the property in an item.
func (f itemField) value(i *Item) reflect.Value { return reflect.ValueOf(f.member(i)).Elem() }

func (f itemField) isAttestation() bool { return strings.HasPrefix(f.path, entry.AttestationPath+".") }

// fieldsByName are the properties by their names in lower case: manifests may spell them in any letter case.
var fieldsByName = func() map[string]itemField {
	byName := make(map[string]itemField, len(itemFields))
	for _, f := range itemFields {
		byName[strings.ToLower(f.name)] = f
	}
	return byName
}()

func fieldNamed(name string) (itemField, bool) {
	f, exists := fieldsByName[strings.ToLower(name)]
	return f, exists
}

func namesOf(is func(itemField) bool) []string {
	var names []string
	for _, f := range itemFields {
		if is(f) {
			names = append(names, f.name)
		}
	}
	return names
}

var (
	// attestationNames are the properties of an item for the device's attestation.
	attestationNames = namesOf(itemField.isAttestation)
	// allocationNames are those that have a meaning only together.
	allocationNames = namesOf(func(f itemField) bool { return f.isAllocation })
)

// place holds the paths of a property of an enrollment in an item and in the defaults; each is empty if they do not
// have the property.
type place struct{ item, defaults string }

// placeOf returns the place of an enrollment's path in a set.
func placeOf(path string) place {
	for _, f := range itemFields {
		if path == f.path || strings.HasPrefix(path, f.path+".") {
			return place{f.name, f.defaults}
		}
	}
	if path == entry.AttestationPath || strings.HasPrefix(path, entry.AttestationPath+".") {
		return place{} // which kind it is
	}
	return place{path, path}
}

// property returns the item's property that contains the place, or "".
func (p place) property() string {
	name, _, _ := strings.Cut(p.item, ".")
	return name
}

// has reports whether the item itself has one of the properties.
func (i Item) has(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		f, exists := fieldNamed(name)
		return exists && !f.value(&i).IsZero()
	})
}

// take copies the property from another item.
func (i *Item) take(name string, from Item) {
	if f, exists := fieldNamed(name); exists {
		f.value(i).Set(f.value(&from))
	}
}

// cleanKeys removes line breaks from the item's keys, whatever their source.
func (i *Item) cleanKeys() {
	for _, f := range itemFields {
		if key, is := f.member(i).(**string); is && f.isKey {
			entry.CleanKey(key)
		}
	}
}
