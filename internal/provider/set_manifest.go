package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
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
	switch trimmed := bytes.TrimSpace(content); {
	case len(trimmed) == 0:
		return nil, errors.New("the manifest is empty: one without enrollments is a first line that names the columns, or []")
	case trimmed[0] == '[':
		return readJSON(trimmed)
	case trimmed[0] == '{':
		return nil, errors.New("the manifest is a JSON object: it has to be an array of them, or CSV")
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
		fault := decodeStrictly(raw, &row)
		if fault == nil {
			fault = errors.Join(settleNumbers(row.Tags), settleNumbers(row.DesiredProperties), settleNumbers(row.OptionalDeviceInformation))
		}
		if fault != nil && !faults.add("row %d of the manifest is no enrollment: %v", len(items)+1, withoutValue(fault)) {
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

// errDigits says that a number would be another one after it was sent: every number of Pulumi is a float64.
var errDigits = errors.New("a number has more digits than are kept: write it as a text")

// settleNumbers makes numbers of the JSON numbers in free JSON, in place.
func settleNumbers(value any) error {
	var faults []error
	settle := func(part any, set func(float64)) {
		number, is := part.(json.Number)
		if !is {
			faults = append(faults, settleNumbers(part))
			return
		}
		settled, err := number.Float64()
		whole, isWhole := new(big.Int).SetString(number.String(), 10)
		sent, _ := new(big.Int).SetString(strconv.FormatFloat(settled, 'f', -1, 64), 10)
		if err != nil || isWhole && (sent == nil || sent.Cmp(whole) != 0) {
			faults = append(faults, errDigits)
		}
		set(settled)
	}
	switch value := value.(type) {
	case map[string]any:
		for name, part := range value {
			settle(part, func(n float64) { value[name] = n })
		}
	case []any:
		for i, part := range value {
			settle(part, func(n float64) { value[i] = n })
		}
	}
	return errors.Join(faults...)
}

// decodeStrictly refuses members that the value does not have, and what comes after it. Numbers in free JSON are left to settleNumbers.
func decodeStrictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more comes after its end")
	}
	return nil
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
	if !errors.As(err, &mismatch) {
		return err
	}
	kind := strings.Fields(mismatch.Value)[0]
	if mismatch.Field == "" {
		return fmt.Errorf("it is of the kind %s", kind)
	}
	return fmt.Errorf("%s cannot be of the kind %s", mismatch.Field, kind)
}
