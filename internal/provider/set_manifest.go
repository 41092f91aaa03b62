package provider

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// errElided says that an asset came without its path: the engine hands only hashes to Diff.
var errElided = errors.New("the manifest's path is not told")

type manifestsKey struct{}

// withManifests gives operations the rows of manifests that Check read in this process, by the hashes of the assets.
func withManifests(ctx context.Context, manifests *sync.Map) context.Context {
	return context.WithValue(ctx, manifestsKey{}, manifests)
}

func manifestsFrom(ctx context.Context) *sync.Map {
	if manifests, ok := ctx.Value(manifestsKey{}).(*sync.Map); ok {
		return manifests
	}
	return &sync.Map{}
}

// rows returns the items, wherever they come from, and the property that they come from.
func (a EnrollmentSetArgs) rows(ctx context.Context) (path string, items []SetItem, err error) {
	switch {
	case a.ManifestText != nil:
		items, err = readManifest([]byte(*a.ManifestText))
		return "manifestText", items, err
	case a.Manifest != nil:
		items, err = a.manifestRows(manifestsFrom(ctx))
		return "manifest", items, err
	}
	return "items", a.Items, nil
}

func (a EnrollmentSetArgs) manifestRows(known *sync.Map) ([]SetItem, error) {
	asset := a.Manifest.Asset
	if asset != nil && asset.Path == "" && asset.Text == "" && asset.URI == "" && asset.Hash != "" {
		items, exists := known.Load(asset.Hash)
		if !exists {
			return nil, errElided
		}
		return items.([]SetItem), nil
	}
	if asset == nil || asset.Path == "" {
		return nil, errors.New("the manifest has to be a file asset: give text as manifestText, and download what is remote")
	}
	content, err := asset.Bytes()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	items, err := readManifest(content)
	if err == nil {
		known.Store(asset.Hash, items)
	}
	return items, err
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
	CAReference               *string             `json:"caReference"`
	SecondaryCAReference      *string             `json:"secondaryCaReference"`
	EndorsementKey            *string             `json:"endorsementKey"`
	StorageRootKey            *string             `json:"storageRootKey"`
	ProvisioningStatus        *ProvisioningStatus `json:"provisioningStatus"`
	IotEdge                   *bool               `json:"iotEdge"`
	Tags                      map[string]any      `json:"tags"`
	DesiredProperties         map[string]any      `json:"desiredProperties"`
	ReprovisionPolicy         *ReprovisionPolicy  `json:"reprovisionPolicy"`
	AllocationPolicy          *AllocationPolicy   `json:"allocationPolicy"`
	CustomAllocation          *CustomAllocation   `json:"customAllocation"`
	IotHubs                   []string            `json:"iotHubs"`
	IotHubHostName            *string             `json:"iotHubHostName"`
}

// rowFaults are what is wrong with single rows of a manifest.
type rowFaults []string

// Error returns the faults on one line.
func (f rowFaults) Error() string { return strings.Join(f, "; ") }

// add notes a fault, and reports whether there is room for more.
func (f *rowFaults) add(format string, values ...any) bool {
	*f = append(*f, fmt.Sprintf(format, values...))
	return len(*f) < maxFaults
}

// readManifest reads the rows of a manifest: a JSON array of items, or CSV whose first line names their properties. When rows are
// faulty, its error is rowFaults, and tells of every one of them.
func readManifest(content []byte) ([]SetItem, error) {
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	if trimmed := bytes.TrimSpace(content); len(trimmed) > 0 && trimmed[0] == '[' {
		return readJSON(trimmed)
	}
	return readCSV(content)
}

// readJSON reads a JSON array row by row, so that one faulty row does not hide the others.
func readJSON(content []byte) ([]SetItem, error) {
	decoder := json.NewDecoder(bytes.NewReader(content))
	_, err := decoder.Token()
	var items []SetItem
	var faults rowFaults
	for err == nil && decoder.More() {
		var raw json.RawMessage
		if err = decoder.Decode(&raw); err != nil {
			break
		}
		var row manifestItem
		if fault := decodeStrictly(raw, &row); fault != nil && !faults.add("row %d of the manifest is no enrollment: %v", len(items)+1, withoutValue(fault)) {
			return nil, faults
		}
		items = append(items, SetItem(row))
	}
	if err == nil {
		_, err = decoder.Token()
	}
	if err != nil {
		return nil, fmt.Errorf("the manifest is no JSON array of enrollments: %w", withoutValue(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the manifest goes on after its JSON array")
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return items, nil
}

// decodeStrictly refuses members that the value does not have.
func decodeStrictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	return decoder.Decode(value)
}

// UnmarshalJSON reads the policy in a manifest. Both members are required, as in a program.
func (r *ReprovisionPolicy) UnmarshalJSON(raw []byte) error {
	var both struct{ UpdateHubAssignment, MigrateDeviceData *bool }
	if err := decodeStrictly(raw, &both); err != nil {
		return err
	}
	if both.UpdateHubAssignment == nil || both.MigrateDeviceData == nil {
		return errors.New("reprovisionPolicy needs updateHubAssignment and migrateDeviceData")
	}
	*r = ReprovisionPolicy{*both.UpdateHubAssignment, *both.MigrateDeviceData}
	return nil
}

// withoutValue keeps values, which may be keys, out of an error of the JSON decoder.
func withoutValue(err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("%s cannot be a %s", mismatch.Field, strings.Fields(mismatch.Value)[0])
	}
	return err
}

// cells set a property of an item from the text of a CSV cell.
var cells = map[string]func(i *SetItem, cell string) error{
	"registrationId":            func(i *SetItem, c string) error { i.RegistrationID = strings.Clone(c); return nil },
	"deviceId":                  textCell(func(i *SetItem) **string { return &i.DeviceID }),
	"primaryKey":                textCell(func(i *SetItem) **string { return &i.PrimaryKey }),
	"secondaryKey":              textCell(func(i *SetItem) **string { return &i.SecondaryKey }),
	"certificate":               textCell(func(i *SetItem) **string { return &i.Certificate }),
	"secondaryCertificate":      textCell(func(i *SetItem) **string { return &i.SecondaryCertificate }),
	"caReference":               textCell(func(i *SetItem) **string { return &i.CAReference }),
	"secondaryCaReference":      textCell(func(i *SetItem) **string { return &i.SecondaryCAReference }),
	"endorsementKey":            textCell(func(i *SetItem) **string { return &i.EndorsementKey }),
	"storageRootKey":            textCell(func(i *SetItem) **string { return &i.StorageRootKey }),
	"provisioningStatus":        textCell(func(i *SetItem) **ProvisioningStatus { return &i.ProvisioningStatus }),
	"allocationPolicy":          textCell(func(i *SetItem) **AllocationPolicy { return &i.AllocationPolicy }),
	"iotHubs":                   func(i *SetItem, c string) error { i.IotHubs = strings.Fields(strings.Clone(c)); return nil },
	"iotHubHostName":            textCell(func(i *SetItem) **string { return &i.IotHubHostName }),
	"tags":                      objectCell(func(i *SetItem) *map[string]any { return &i.Tags }),
	"desiredProperties":         objectCell(func(i *SetItem) *map[string]any { return &i.DesiredProperties }),
	"optionalDeviceInformation": objectCell(func(i *SetItem) *map[string]any { return &i.OptionalDeviceInformation }),
	"reprovisionPolicy":         objectCell(func(i *SetItem) **ReprovisionPolicy { return &i.ReprovisionPolicy }),
	"customAllocation":          objectCell(func(i *SetItem) **CustomAllocation { return &i.CustomAllocation }),
	"iotEdge": func(i *SetItem, c string) error {
		edge, err := strconv.ParseBool(strings.ToLower(c))
		if i.IotEdge = &edge; err != nil {
			return errors.New("it is neither true nor false")
		}
		return nil
	},
}

func textCell[T ~string](member func(*SetItem) **T) func(*SetItem, string) error {
	return func(i *SetItem, cell string) error {
		value := T(strings.Clone(cell)) // not a part of its row, which would live as long
		*member(i) = &value
		return nil
	}
}

func objectCell[T any](member func(*SetItem) *T) func(*SetItem, string) error {
	return func(i *SetItem, cell string) error {
		if err := decodeStrictly([]byte(cell), member(i)); err != nil {
			return fmt.Errorf("it is not the JSON object that is needed: %w", withoutValue(err))
		}
		return nil
	}
}

// readCSV reads rows whose empty cells count as absent. Lists are separated by spaces, objects are JSON.
func readCSV(content []byte) ([]SetItem, error) {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.TrimLeadingSpace, reader.ReuseRecord = true, true
	header, err := readHeader(reader)
	if err != nil {
		return nil, err
	}
	var items []SetItem
	var faults rowFaults
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		var item SetItem
		for n, cell := range row {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			line, _ := reader.FieldPos(n)
			if err := cells[header[n]](&item, cell); err != nil && !faults.add("line %d of the manifest: %s: %v", line, header[n], err) {
				return nil, faults
			}
		}
		items = append(items, item)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return items, nil
}

// readHeader reads the names of the columns.
func readHeader(reader *csv.Reader) ([]string, error) {
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("the manifest's first line does not name the columns: %w", err)
	}
	header = slices.Clone(header)
	var faults rowFaults
	if !slices.Contains(header, "registrationId") {
		faults.add("the manifest has no column registrationId: its first line has to name the columns")
	}
	for n, name := range header {
		if cells[name] == nil || slices.Index(header, name) != n {
			faults.add("the manifest's column %d, %q, is none that an enrollment has, or stands twice", n+1, name)
		}
	}
	if len(faults) > 0 {
		return nil, faults[:min(len(faults), maxFaults)]
	}
	return header, nil
}
