package set

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// readCSV reads rows whose empty cells count as absent. Lists are separated by spaces, objects are JSON. An invalid
// cell does not hide others; a row of empty cells is skipped.
func readCSV(text string) (manifest, error) {
	separator, rest := enrollment.SeparatorOf(text)
	if !strings.ContainsRune(enrollment.Separators, separator) {
		return manifest{}, fmt.Errorf("line 1: the columns are separated by %q: use commas, semicolons or tabs",
			separator)
	}
	skipped := strings.Count(text[:len(text)-len(rest)], "\n")
	r := rowReader{Reader: csv.NewReader(strings.NewReader(rest)), skipped: skipped}
	r.Comma, r.ReuseRecord, r.FieldsPerRecord = separator, true, -1
	r.TrimLeadingSpace = separator != '\t' // it would treat tabs as spaces
	if err := r.readHeader(); err != nil {
		return manifest{}, err
	}
	for len(r.m.faults) < maxFaults {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, cause := r.position(err)
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
	// header are the properties of the columns, nil for a column without a name, which must be empty.
	header []itemField
	// skipped is the number of lines of the file before the reader's first one.
	skipped int
	m       manifest
}

// line returns the line of a cell of the last row.
func (r *rowReader) line(cell int) int {
	line, _ := r.FieldPos(cell)
	return line + r.skipped
}

// position returns where in the file the reader failed, and the cause.
func (r *rowReader) position(err error) (line int, cause error) {
	if parse := (*csv.ParseError)(nil); errors.As(err, &parse) {
		return parse.Line + r.skipped, fmt.Errorf("character %d: %w", parse.Column, parse.Err)
	}
	return r.skipped + 1, err
}

// readRow adds the item of a row.
func (r *rowReader) readRow(row []string) {
	var item Item
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
				"the row has %d cells, but the first line names %d columns",
				len(row),
				len(r.header),
			)
		case r.header[n].name == "":
			r.m.fault(index, "", r.line(n), "column %d has a value but no name", n+1)
		case enrollment.HoldsPrivateKey(cell):
			r.m.fault(index, r.header[n].name, r.line(n), "%v", errPrivateKeyCell)
			continue
		default:
			if err := r.header[n].setCell(&item, cell); err != nil {
				r.m.fault(index, r.header[n].name, r.line(n), "%v", err)
			}
			continue
		}
		break
	}
	if len(row) < len(r.header) {
		r.m.fault(index, "", r.line(0), "the row has %d cells, but the first line names %d columns", len(row),
			len(r.header))
	}
	item.cleanKeys()
	r.m.items[index] = item
}

// readHeader reads the names of the columns, from the first line that is not empty.
func (r *rowReader) readHeader() error {
	row, err := r.Read()
	for err == nil && isBlank(row) {
		row, err = r.Read()
	}
	if errors.Is(err, io.EOF) {
		return errors.New("the manifest has no line with the names of the columns")
	}
	if err != nil {
		line, cause := r.position(err)
		return fmt.Errorf("line %d: %w", line, cause)
	}
	line := r.line(0)
	for n, cell := range row {
		name := strings.TrimSpace(cell)
		column, known := fieldNamed(name)
		switch {
		case name == "":
		case !known:
			r.m.fault(-1, "", line, "column %d: unknown property %s", n+1, enrollment.Quote(name))
		case r.hasColumn(column.name):
			r.m.fault(-1, "", line, "column %d, %q, is a duplicate", n+1, name)
		}
		r.header = append(r.header, column)
	}
	if !r.hasColumn("registrationId") {
		r.m.fault(-1, "", line, "missing column registrationId: the first line must name the columns")
	}
	if len(r.m.faults) > 0 {
		return rowFaults(r.m.messages())
	}
	return nil
}

func (r *rowReader) hasColumn(name string) bool {
	return slices.ContainsFunc(r.header, func(f itemField) bool { return f.name == name })
}
