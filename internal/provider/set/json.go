package set

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// errServiceForm is the one error of a manifest that the Azure CLI wrote.
var errServiceForm = errors.New(
	"the manifest has entries in the format of the service (as `az iot dps enrollment list` prints them): " +
		`a manifest says everything of a device on one level, as [{"registrationId":"press-1","primaryKey":"…","tags":{}}]`,
)

// readJSON reads a JSON array row by row, so that an invalid member does not hide others.
func readJSON(text string) (manifest, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	line, counted := 1, 0
	lineAt := func(offset int) int {
		offset = min(offset, len(text))
		line += strings.Count(text[counted:offset], "\n")
		counted = offset
		return line
	}
	_, err := decoder.Token()
	var m manifest
	for err == nil && decoder.More() && len(m.faults) < maxFaults {
		var raw json.RawMessage
		if err = decoder.Decode(&raw); err != nil {
			break
		}
		if err := m.readObject(raw, lineAt(int(decoder.InputOffset())-len(raw))); err != nil {
			return manifest{}, err
		}
	}
	if len(m.faults) >= maxFaults {
		return m, nil
	}
	if err == nil {
		_, err = decoder.Token()
	}
	if err != nil {
		offset := brokenAt(text, int(decoder.InputOffset()))
		return manifest{}, fmt.Errorf(
			"line %d: the manifest is not a JSON array of enrollments: %w",
			lineAt(offset),
			withoutValue(err),
		)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return manifest{}, fmt.Errorf(
			"line %d: unexpected data after the manifest's JSON array",
			lineAt(max(int(decoder.InputOffset()), counted)),
		)
	}
	return m, nil
}

// brokenAt returns where a JSON array becomes invalid that can be read up to an offset: the decoder of a stream does
// not report it.
func brokenAt(text string, offset int) int {
	rest := strings.TrimLeft(text[offset:], ", \t\r\n")
	offset = len(text) - len(rest)
	var value json.RawMessage
	if syntax := (*json.SyntaxError)(nil); errors.As(json.Unmarshal([]byte(rest), &value), &syntax) {
		return min(offset+int(syntax.Offset), len(text))
	}
	return offset
}

// readObject adds the item of a row that begins at a line.
func (m *manifest) readObject(raw []byte, line int) error {
	index := m.add(line)
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		m.fault(index, "", line, "not an enrollment: it must be a JSON object")
		return nil
	}
	if _, is := members["attestation"]; is {
		return errServiceForm
	}
	var item Item
	for _, name := range slices.Sorted(maps.Keys(members)) {
		field, known := fieldNamed(name)
		if !known {
			m.fault(index, "", line, "unknown property %s", enrollment.Quote(name))
			continue
		}
		if enrollment.HoldsPrivateKey(string(members[name])) {
			m.fault(index, field.name, line, "%v", errPrivateKeyCell)
			continue
		}
		if err := field.setJSON(&item, members[name]); err != nil {
			m.fault(index, field.name, line, "%v", err)
		}
	}
	item.cleanKeys()
	m.items[index] = item
	return nil
}
