package provider

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

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
		return settleNumbers(any(*member(i)))
	}
}

// readCSV reads rows whose empty cells count as absent. Lists are separated by spaces, objects are JSON. One faulty
// cell does not hide the others; a row of empty cells is no row.
func readCSV(text string) (manifest, error) {
	separator, rest := enrollment.SeparatorOf(text)
	if !strings.ContainsRune(enrollment.Separators, separator) {
		return manifest{}, fmt.Errorf("line 1: the columns are separated by %q: use commas, semicolons or tabs", separator)
	}
	skipped := strings.Count(text[:len(text)-len(rest)], "\n")
	r := rowReader{Reader: csv.NewReader(strings.NewReader(rest)), skipped: skipped}
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = separator, true, -1
	r.TrimLeadingSpace = separator != '\t' // it would take tabs for spaces
	if err := r.readHeader(); err != nil {
		return manifest{}, err
	}
	for len(r.m.faults) < maxFaults {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, cause := r.told(err)
			r.m.fault(r.m.add(line), "", line, "%v", cause)
		} else if !isBlank(row) {
			r.readRow(row)
		}
	}
	return r.m, nil
}

func isBlank(row []string) bool {
	return !slices.ContainsFunc(row, func(cell string) bool { return strings.TrimSpace(cell) != "" })
}

// rowReader reads a CSV file into a manifest.
type rowReader struct {
	*csv.Reader
	// header are the names of the columns; one without a name has to be empty.
	header []string
	// skipped is how many lines of the file the reader has not seen.
	skipped int
	m       manifest
}

// line is that of a cell of the row that was read last.
func (r *rowReader) line(cell int) int {
	line, _ := r.FieldPos(cell)
	return line + r.skipped
}

// told says where in the file the reader failed, and why.
func (r *rowReader) told(err error) (line int, cause error) {
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		return parse.Line + r.skipped, fmt.Errorf("character %d: %w", parse.Column, parse.Err)
	}
	return r.skipped + 1, err
}

// readRow takes over the cells of a row.
func (r *rowReader) readRow(row []string) {
	var item SetItem
	index := r.m.add(r.line(0))
	for n, cell := range row {
		if cell = strings.TrimSpace(cell); cell == "" {
			continue
		}
		switch {
		case n >= len(r.header):
			r.m.fault(
				index,
				"",
				r.line(n),
				"it has %d cells, and the first line names %d columns",
				len(row),
				len(r.header),
			)
		case r.header[n] == "":
			r.m.fault(index, "", r.line(n), "column %d has a cell and no name", n+1)
		case enrollment.HoldsPrivateKey(cell):
			r.m.fault(index, r.header[n], r.line(n), "%v", errPrivateKeyCell)
			continue
		default:
			if err := cells[r.header[n]](&item, cell); err != nil {
				r.m.fault(index, r.header[n], r.line(n), "%v", err)
			}
			continue
		}
		break
	}
	if len(row) < len(r.header) {
		r.m.fault(index, "", r.line(0), "it has %d cells, and the first line names %d columns", len(row), len(r.header))
	}
	item.cleanKeys()
	r.m.items[index] = item
}

// columnNames are the names of columns by their lower case.
var columnNames = func() map[string]string {
	names := map[string]string{}
	for name := range cells {
		names[strings.ToLower(name)] = name
	}
	return names
}()

// readHeader reads the names of the columns, from the first line that is not empty.
func (r *rowReader) readHeader() error {
	row, err := r.Read()
	for err == nil && isBlank(row) {
		row, err = r.Read()
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the manifest has no line that names the columns")
	}
	if err != nil {
		line, cause := r.told(err)
		return fmt.Errorf("line %d: %w", line, cause)
	}
	line := r.line(0)
	for n, cell := range row {
		name := strings.TrimSpace(cell)
		known := columnNames[strings.ToLower(name)]
		switch {
		case name == "":
		case known == "":
			r.m.fault(-1, "", line, "column %d, %s, is not a property of an enrollment", n+1, enrollment.Quote(name))
		case slices.Contains(r.header, known):
			r.m.fault(-1, "", line, "column %d, %q, is there twice", n+1, name)
		}
		r.header = append(r.header, known)
	}
	if !slices.Contains(r.header, "registrationId") {
		r.m.fault(-1, "", line, "there is no column registrationId: the first line has to name the columns")
	}
	if len(r.m.faults) > 0 {
		return rowFaults(r.m.messages())
	}
	return nil
}
