package provider_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pairs reads a file of lines with two words each; lines that begin with # are comments.
func pairs(t *testing.T, name string) [][2]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	must(t, err)
	var list [][2]string
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] != "#" {
			list = append(list, [2]string{words[0], words[1]})
		}
	}
	if len(list) < 40 {
		t.Fatalf("%s: got %d lines of two words, want 40 or more", name, len(list))
	}
	return list
}

// spelled maps fields of the service that have another name in the provider to that name. "" is a field that no program
// has to set, for the given reason.
var spelled = map[string]string{
	"attestation.type":                      "attestation", // implied by the member that is set
	"initialTwin.properties.desired":        "initialTwin.desiredProperties",
	"customAllocationDefinition.webhookUrl": "customAllocation.webhookUrl",
	"customAllocationDefinition.apiVersion": "customAllocation.apiVersion",
	"etag":                                  "", // the provider sends the etag of the state with each update
}

// TestEveryWritableFieldOfTheServiceIsAProperty compares the fields of the service's own description with the schema.
func TestEveryWritableFieldOfTheServiceIsAProperty(t *testing.T) {
	t.Parallel()
	spec := readSchema(t)
	fields := pairs(t, "fields-2021-10-01.txt")
	for _, kind := range []string{"IndividualEnrollment", "EnrollmentGroup"} { // what 2026-11-01 adds
		for _, path := range []string{"namespaceName", "certificateAuthorityName", "certificatePolicyName"} {
			fields = append(fields, [2]string{kind, path})
		}
	}
	for _, field := range fields {
		kind, path := field[0], field[1]
		if strings.HasSuffix(path, ".info") {
			continue // the service reads it from the certificate
		}
		want := strings.TrimSuffix(path, ".certificate") // the property is the text itself
		if own, ok := spelled[path]; ok {
			want = own
		}
		if _, known := inputPaths(t, spec, "azure-dps:index:"+kind)[want]; want != "" && !known {
			t.Errorf("%s: the service's field %s has no property %s", kind, path, want)
		}
	}
}

// laterOptions are of the preview branch of azure-iot of autumn 2026, of all four commands.
var laterOptions = []string{"--adr-namespace", "--adr-ca-name", "--adr-cert-policy-name"}

// TestTheTableOfOptionsNamesEveryOption looks for each option of the Azure CLI in the table of
// docs/reference/provider.md.
func TestTheTableOfOptionsNamesEveryOption(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "provider.md"))
	must(t, err)
	table, _, _ := strings.Cut(string(text), "\n## Many at once")
	rows := map[string][]string{} // the commands of a row, by option
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		commands := []string{"enrollment", "enrollment-group"}
		switch option := strings.TrimSpace(cells[1]); {
		case strings.HasSuffix(option, "(i)"):
			commands = commands[:1]
		case strings.HasSuffix(option, "(g)"):
			commands = commands[1:]
		}
		for _, option := range regexp.MustCompile("--[a-z][a-z-]+").FindAllString(cells[1], -1) {
			rows[option] = append(rows[option], commands...)
		}
	}
	known := map[string][]string{}
	options := pairs(t, "options-azure-iot.txt")
	for _, option := range laterOptions {
		options = append(options, [2]string{"enrollment", option}, [2]string{"enrollment-group", option})
	}
	for _, option := range options {
		known[option[1]] = append(known[option[1]], option[0])
		if !slices.Contains(rows[option[1]], option[0]) {
			t.Errorf("the table has no row for the option %s of %s", option[1], option[0])
		}
	}
	for option, commands := range rows {
		for _, command := range commands {
			if !slices.Contains(known[option], command) {
				t.Errorf("the table has the option %s of %s, which the Azure CLI does not have", option, command)
			}
		}
	}
}
