package set

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

	"evenkeel/internal/azure/enrollment"
)

// errElided is the error of an asset without its path: the engine passes only hashes to Diff.
var errElided = errors.New("the manifest's path is not known")

type manifestsKey struct{}

// WithManifests gives operations access to the rows of manifests that Check read in this process, by the hashes of the
// assets.
func WithManifests(ctx context.Context, manifests *sync.Map) context.Context {
	return context.WithValue(ctx, manifestsKey{}, manifests)
}

func manifestsFrom(ctx context.Context) *sync.Map {
	if manifests, ok := ctx.Value(manifestsKey{}).(*sync.Map); ok {
		return manifests
	}
	return &sync.Map{}
}

// rows returns the items and the property that they come from.
func (a EnrollmentSetArgs) rows(ctx context.Context) (path string, items []Item, err error) {
	path, m, err := a.read(ctx)
	if err == nil && len(m.faults) > 0 {
		err = rowFaults(m.messages())
	}
	return path, m.items, err
}

// read is like rows, with the errors of a manifest's rows and their lines.
func (a EnrollmentSetArgs) read(ctx context.Context) (path string, m manifest, err error) {
	switch {
	case a.ManifestText != nil:
		m, err = readManifest([]byte(*a.ManifestText))
		return "manifestText", m, err
	case a.Manifest != nil:
		m, err = a.readFile(manifestsFrom(ctx))
		return "manifest", m, err
	}
	return "items", manifest{items: a.Items}, nil
}

func (a EnrollmentSetArgs) readFile(known *sync.Map) (manifest, error) {
	asset := a.Manifest.Asset
	if asset != nil && asset.Path == "" && asset.Text == "" && asset.URI == "" && asset.Hash != "" {
		items, exists := known.Load(asset.Hash)
		if !exists {
			return manifest{}, errElided
		}
		return manifest{items: items.([]Item)}, nil
	}
	if asset == nil || asset.Path == "" {
		return manifest{}, errors.New(
			"the manifest must be a file asset: use manifestText for text, and download remote files",
		)
	}
	content, err := asset.Bytes()
	if err != nil {
		return manifest{}, fmt.Errorf("read the manifest: %w", err)
	}
	m, err := readManifest(content)
	if err == nil && len(m.faults) == 0 {
		known.Store(asset.Hash, m.items)
	}
	return m, err
}

// manifest is the content of a manifest.
type manifest struct {
	items []Item
	// lines are the first lines of the items in the file, counted from 1; nil for items without a file.
	lines  []int
	faults []rowFault
}

// rowFault is an error of a row.
type rowFault struct {
	// item is the index of the row's item, -1 for a fault of the columns.
	item int
	// column is the property that could not be read, empty for the row as a whole.
	column  string
	line    int
	message string
}

// add appends an item for the row that begins at a line, and returns its index.
func (m *manifest) add(line int) int {
	m.items, m.lines = append(m.items, Item{}), append(m.lines, line)
	return len(m.items) - 1
}

func (m *manifest) fault(item int, column string, line int, format string, values ...any) {
	m.faults = append(m.faults, rowFault{item, column, line, fmt.Sprintf(format, values...)})
}

// describe returns a row's error with its line and device.
func (m manifest) describe(f rowFault) string {
	place := fmt.Sprintf("line %d", f.line)
	if f.item >= 0 && m.items[f.item].RegistrationID != "" {
		place += ", " + enrollment.Quote(m.items[f.item].RegistrationID)
	}
	if f.column != "" {
		place += ": " + f.column
	}
	return place + ": " + f.message
}

func (m manifest) messages() []string {
	messages := make([]string, 0, len(m.faults))
	for _, f := range m.faults[:min(len(m.faults), maxFaults)] {
		messages = append(messages, m.describe(f))
	}
	return messages
}

// errPrivateKeyCell is the error of a cell with a private key, most likely pasted with the certificate.
var errPrivateKeyCell = errors.New("contains a private key: remove it, only the device may have it")

// rowFaults are the errors of single rows of a manifest.
type rowFaults []string

// Error returns the faults on one line.
func (f rowFaults) Error() string { return strings.Join(f, "; ") }

// workbooks are the first bytes of binary files of spreadsheet programs.
var workbooks = []string{"PK\x03\x04", "\xd0\xcf\x11\xe0"}

// readManifest reads the rows of a manifest: a JSON array of items, or CSV whose first line names their properties. The
// result contains the errors of rows; the error is one of the manifest as a whole.
func readManifest(content []byte) (manifest, error) {
	for _, beginning := range workbooks {
		if bytes.HasPrefix(content, []byte(beginning)) {
			return manifest{}, errors.New(
				"the manifest is a workbook of a spreadsheet program: save it as \"CSV UTF-8\"",
			)
		}
	}
	text, err := enrollment.DecodeText(content)
	if err != nil {
		return manifest{}, fmt.Errorf("the manifest cannot be read: %w (in a spreadsheet: \"CSV UTF-8\")", err)
	}
	switch trimmed := strings.TrimSpace(text); {
	case trimmed == "":
		return manifest{}, errors.New(
			"the manifest is empty: for no enrollments, write a first line that names the columns, or []",
		)
	case trimmed[0] == '[':
		return readJSON(text)
	case trimmed[0] == '{':
		return manifest{}, errors.New("the manifest is a JSON object: it must be an array of objects, or CSV")
	}
	return readCSV(text)
}

// errDigits is the error of a number that would lose digits: every number of Pulumi is a float64.
var errDigits = errors.New("the number has more digits than a float64 can represent: write it as a string")

// settleNumbers converts the JSON numbers in free JSON to float64, in place.
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

// decodeStrictly refuses unknown members and data after the value. settleNumbers converts the numbers in free JSON.
func decodeStrictly(raw []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	decoder.UseNumber()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("unexpected data after the value")
	}
	return nil
}

// withoutValue removes values, which may be keys, from an error of the JSON decoder.
func withoutValue(err error) error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return err
	}
	kind := strings.Fields(mismatch.Value)[0]
	if mismatch.Field == "" {
		return fmt.Errorf("it must not be a JSON %s", kind)
	}
	return fmt.Errorf("%s must not be a JSON %s", mismatch.Field, kind)
}
