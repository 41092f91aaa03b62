package provider

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
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

// readCSV reads rows whose empty cells count as absent. Lists are separated by spaces, objects are JSON. One faulty line does not hide
// the others.
func readCSV(content []byte) ([]SetItem, error) {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.TrimLeadingSpace, reader.ReuseRecord, reader.FieldsPerRecord = true, true, -1
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
		if err == nil && len(row) == 1 && strings.TrimSpace(row[0]) == "" {
			continue // a line of spaces is as good as an empty one
		}
		var item SetItem
		if item.readRow(reader, header, row, err, &faults); len(faults) >= maxFaults {
			break
		}
		items = append(items, item)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return items, nil
}

// readRow takes over the cells of a row that the reader just read, with an error or without.
func (i *SetItem) readRow(reader *csv.Reader, header, row []string, err error, faults *rowFaults) {
	if err != nil {
		faults.add("read the manifest: %v", err)
		return
	}
	if line, _ := reader.FieldPos(0); len(row) != len(header) {
		faults.add("line %d of the manifest: it has %d cells, and the first line names %d columns", line, len(row), len(header))
		return
	}
	for n, cell := range row {
		if cell = strings.TrimSpace(cell); cell == "" {
			continue
		}
		line, _ := reader.FieldPos(n)
		if err := cells[header[n]](i, cell); err != nil && !faults.add("line %d of the manifest: %s: %v", line, header[n], err) {
			return
		}
	}
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
