package provider

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
)

// SetDefaults are the settings of every enrollment of a set that does not say otherwise.
type SetDefaults struct {
	ProvisioningStatus *ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	Capabilities       *Capabilities       `pulumi:"capabilities,optional"`
	InitialTwin        *InitialTwin        `pulumi:"initialTwin,optional"`
	ReprovisionPolicy  *ReprovisionPolicy  `pulumi:"reprovisionPolicy,optional"`
	AllocationPolicy   *AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	CustomAllocation   *CustomAllocation   `pulumi:"customAllocation,optional"`
	IotHubs            []string            `pulumi:"iotHubs,optional"`
}

// Annotate describes the type in the schema.
func (d *SetDefaults) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetDefaults")
	an.Describe(d, "Settings of every enrollment of a set that does not say otherwise.")
	an.Describe(&d.ProvisioningStatus, "Whether devices may register: `enabled` (the default) or `disabled`.")
	an.Describe(&d.Capabilities, "Capabilities of the devices.")
	an.Describe(&d.InitialTwin, "Twin that a device gets when it is first assigned to a hub, or when its data are reset.")
	an.Describe(&d.ReprovisionPolicy, "What happens when a device registers again.")
	an.Describe(&d.AllocationPolicy, "How devices are spread over the hubs.")
	an.Describe(&d.CustomAllocation, "The webhook that decides, for the policy `custom`.")
	an.Describe(&d.IotHubs, "Host names of the linked hubs that devices may be assigned to.")
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
	EndorsementKey            *string             `pulumi:"endorsementKey,optional"`
	StorageRootKey            *string             `pulumi:"storageRootKey,optional"`
	ProvisioningStatus        *ProvisioningStatus `pulumi:"provisioningStatus,optional"`
	IotEdge                   *bool               `pulumi:"iotEdge,optional"`
	Tags                      map[string]any      `pulumi:"tags,optional"`
	DesiredProperties         map[string]any      `pulumi:"desiredProperties,optional"`
	AllocationPolicy          *AllocationPolicy   `pulumi:"allocationPolicy,optional"`
	IotHubs                   []string            `pulumi:"iotHubs,optional"`
}

// Annotate describes the type in the schema.
func (i *SetItem) Annotate(an infer.Annotator) {
	an.SetToken("index", "EnrollmentSetItem")
	an.Describe(i, "One enrollment of a set. It attests by a certificate, by a TPM's endorsement key, or else by symmetric keys.")
	an.Describe(&i.RegistrationID, "Id under which the device registers.")
	an.Describe(&i.DeviceID, "Id of the device at its hub. Left out, the registration id.")
	an.Describe(&i.OptionalDeviceInformation, "Information about the device, any JSON object.")
	an.Describe(&i.PrimaryKey, "Primary key, base64. Left out, made at creation and kept.")
	an.Describe(&i.SecondaryKey, "Secondary key, base64. Left out, made at creation and kept.")
	an.Describe(&i.Certificate, "The device's certificate: PEM text, or base64 of its DER form.")
	an.Describe(&i.SecondaryCertificate, "The device's other certificate, in the same forms.")
	an.Describe(&i.EndorsementKey, "Public endorsement key of the device's TPM.")
	an.Describe(&i.StorageRootKey, "Public storage root key of the device's TPM.")
	an.Describe(&i.ProvisioningStatus, "Whether the device may register, instead of the default.")
	an.Describe(&i.IotEdge, "Whether the device is an IoT Edge device, instead of the default.")
	an.Describe(&i.Tags, "Tags of the initial twin, instead of the default ones.")
	an.Describe(&i.DesiredProperties, "Desired properties of the initial twin, instead of the default ones.")
	an.Describe(&i.AllocationPolicy, "How the device is allocated, instead of the default.")
	an.Describe(&i.IotHubs, "Host names of the hubs that the device may be assigned to, instead of the default ones.")
}

// declared is the enrollment that an item and the defaults declare.
func (i SetItem) declared(d SetDefaults) declared {
	want := declared{ID: i.RegistrationID, DeviceID: i.DeviceID, DeviceInformation: i.OptionalDeviceInformation, Settings: Settings{
		Attestation: i.attestation(), ProvisioningStatus: i.ProvisioningStatus, Capabilities: d.Capabilities, InitialTwin: d.InitialTwin,
		ReprovisionPolicy: d.ReprovisionPolicy, AllocationPolicy: i.AllocationPolicy, CustomAllocation: d.CustomAllocation, IotHubs: i.IotHubs,
	}}
	if want.ProvisioningStatus == nil {
		want.ProvisioningStatus = d.ProvisioningStatus
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
	if want.AllocationPolicy == nil {
		want.AllocationPolicy = d.AllocationPolicy
	}
	if want.IotHubs == nil {
		want.IotHubs = d.IotHubs
	}
	return want
}

func (i SetItem) attestation() *Attestation {
	a := &Attestation{}
	if i.Certificate != nil || i.SecondaryCertificate != nil {
		a.X509 = &X509Attestation{ClientCertificates: &CertificatePair{Primary: text(i.Certificate), Secondary: i.SecondaryCertificate}}
	}
	if i.EndorsementKey != nil || i.StorageRootKey != nil {
		a.TPM = &TPMAttestation{EndorsementKey: text(i.EndorsementKey), StorageRootKey: i.StorageRootKey}
	}
	if i.PrimaryKey != nil || i.SecondaryKey != nil || a.X509 == nil && a.TPM == nil {
		a.SymmetricKey = &SymmetricKey{i.PrimaryKey, i.SecondaryKey}
	}
	return a
}

// manifestItem is a SetItem in JSON. The two have the same fields in the same order: infer reads json tags too, and takes them for
// required properties.
type manifestItem struct {
	RegistrationID            string              `json:"registrationId"`
	DeviceID                  *string             `json:"deviceId"`
	OptionalDeviceInformation map[string]any      `json:"optionalDeviceInformation"`
	PrimaryKey                *string             `json:"primaryKey"`
	SecondaryKey              *string             `json:"secondaryKey"`
	Certificate               *string             `json:"certificate"`
	SecondaryCertificate      *string             `json:"secondaryCertificate"`
	EndorsementKey            *string             `json:"endorsementKey"`
	StorageRootKey            *string             `json:"storageRootKey"`
	ProvisioningStatus        *ProvisioningStatus `json:"provisioningStatus"`
	IotEdge                   *bool               `json:"iotEdge"`
	Tags                      map[string]any      `json:"tags"`
	DesiredProperties         map[string]any      `json:"desiredProperties"`
	AllocationPolicy          *AllocationPolicy   `json:"allocationPolicy"`
	IotHubs                   []string            `json:"iotHubs"`
}

// readManifest reads the rows of a manifest: a JSON array of items, or CSV whose first line names their properties.
func readManifest(content []byte) ([]SetItem, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] == '[' {
		var rows []manifestItem
		decoder := json.NewDecoder(bytes.NewReader(trimmed))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&rows); err != nil {
			return nil, fmt.Errorf("the manifest is no JSON array of enrollments: %w", withoutValue(err))
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, errors.New("the manifest goes on after its JSON array")
		}
		items := make([]SetItem, len(rows))
		for i, row := range rows {
			items[i] = SetItem(row)
		}
		return items, nil
	}
	return readCSV(content)
}

// withoutValue keeps values, which may be keys, out of an error of the JSON decoder.
func withoutValue(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("byte %d: %s cannot be a %s", mismatch.Offset, mismatch.Field, strings.Fields(mismatch.Value)[0])
	}
	return err
}

// cells set a property of an item from the text of a CSV cell.
var cells = map[string]func(i *SetItem, cell string) error{
	"registrationId":       func(i *SetItem, c string) error { i.RegistrationID = c; return nil },
	"deviceId":             textCell(func(i *SetItem) **string { return &i.DeviceID }),
	"primaryKey":           textCell(func(i *SetItem) **string { return &i.PrimaryKey }),
	"secondaryKey":         textCell(func(i *SetItem) **string { return &i.SecondaryKey }),
	"certificate":          textCell(func(i *SetItem) **string { return &i.Certificate }),
	"secondaryCertificate": textCell(func(i *SetItem) **string { return &i.SecondaryCertificate }),
	"endorsementKey":       textCell(func(i *SetItem) **string { return &i.EndorsementKey }),
	"storageRootKey":       textCell(func(i *SetItem) **string { return &i.StorageRootKey }),
	"provisioningStatus": func(i *SetItem, c string) error {
		i.ProvisioningStatus = (*ProvisioningStatus)(&c)
		return nil
	},
	"allocationPolicy":          func(i *SetItem, c string) error { i.AllocationPolicy = (*AllocationPolicy)(&c); return nil },
	"iotHubs":                   func(i *SetItem, c string) error { i.IotHubs = strings.Fields(c); return nil },
	"tags":                      objectCell(func(i *SetItem) *map[string]any { return &i.Tags }),
	"desiredProperties":         objectCell(func(i *SetItem) *map[string]any { return &i.DesiredProperties }),
	"optionalDeviceInformation": objectCell(func(i *SetItem) *map[string]any { return &i.OptionalDeviceInformation }),
	"iotEdge": func(i *SetItem, c string) error {
		edge, err := strconv.ParseBool(strings.ToLower(c))
		if i.IotEdge = &edge; err != nil {
			return errors.New("it is neither true nor false")
		}
		return nil
	},
}

func textCell(member func(*SetItem) **string) func(*SetItem, string) error {
	return func(i *SetItem, cell string) error { *member(i) = &cell; return nil }
}

func objectCell(member func(*SetItem) *map[string]any) func(*SetItem, string) error {
	return func(i *SetItem, cell string) error {
		if json.Unmarshal([]byte(cell), member(i)) != nil {
			return errors.New("it is no JSON object")
		}
		return nil
	}
}

// readCSV reads rows whose empty cells count as absent. Lists are separated by spaces, objects are JSON.
func readCSV(content []byte) ([]SetItem, error) {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.TrimLeadingSpace = true
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("the manifest's first line does not name the columns: %w", err)
	}
	if !slices.Contains(header, "registrationId") {
		return nil, errors.New("the manifest has no column registrationId: its first line has to name the columns")
	}
	for n, name := range header {
		if cells[name] == nil || slices.Index(header, name) != n {
			return nil, fmt.Errorf("the manifest's column %d, %q, is none that an enrollment has, or stands twice", n+1, name)
		}
	}
	var items []SetItem
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		var item SetItem
		for n, cell := range row {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			if err := cells[header[n]](&item, cell); err != nil {
				line, _ := reader.FieldPos(n)
				return nil, fmt.Errorf("line %d of the manifest: %s: %w", line, header[n], err)
			}
		}
		items = append(items, item)
	}
}
