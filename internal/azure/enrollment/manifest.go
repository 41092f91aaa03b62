package enrollment

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Separators may separate the cells of a CSV file: spreadsheets of many countries write semicolons, and
// "Unicode Text" has tabs.
const Separators = ",;\t"

// separatorLine declares a file's separator to a spreadsheet, before the line that names the columns.
var separatorLine = regexp.MustCompile(`^"?sep=(.)"?\s*$`)

// SeparatorOf returns the separator of the cells of a CSV text, and the text without a line that declares it. A
// separator that is not in Separators is returned as declared.
func SeparatorOf(text string) (separator rune, rest string) {
	first, after, _ := strings.Cut(text, "\n")
	if declared := separatorLine.FindStringSubmatch(first); declared != nil {
		return []rune(declared[1])[0], after
	}
	for header := range strings.Lines(text) {
		if strings.Trim(header, Separators+" \r\n") == "" {
			continue
		}
		for _, separator := range Separators {
			if strings.ContainsRune(header, separator) {
				return separator, text
			}
		}
		break
	}
	return ',', text
}

// ManifestIDs returns the registration ids of a manifest: a JSON array of enrollments, or CSV whose first line names
// the columns. It returns those that it can read: the provider reports the errors of a manifest.
func ManifestIDs(content []byte) []string {
	text, err := DecodeText(content)
	if err != nil {
		return nil
	}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		var rows []struct{ RegistrationID string }
		_ = json.Unmarshal([]byte(text), &rows) // what was read counts
		ids := make([]string, 0, len(rows))
		for _, row := range rows {
			ids = append(ids, row.RegistrationID)
		}
		return ids
	}
	return csvIDs(text)
}

func csvIDs(text string) []string {
	separator, text := SeparatorOf(text)
	if !strings.ContainsRune(Separators, separator) {
		return nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = separator, -1, separator != '\t', true
	column := -1
	var ids []string
	for {
		row, err := r.Read()
		if err == io.EOF {
			return ids
		}
		if err != nil {
			continue
		}
		if column < 0 {
			column = slices.IndexFunc(row, func(cell string) bool {
				return strings.EqualFold(strings.TrimSpace(cell), "registrationId")
			})
			if column < 0 && strings.TrimSpace(strings.Join(row, "")) != "" {
				return nil
			}
		} else if column < len(row) {
			ids = append(ids, strings.Clone(strings.TrimSpace(row[column])))
		}
	}
}
