package main

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/keel/errorcodes"
)

// TestErrorCodeReferenceMatchesTheTable compares docs/reference/error-codes.md with what keel doctor explains.
func TestErrorCodeReferenceMatchesTheTable(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString("# Error codes\n\nWhat the error codes of the provisioning service and of hubs mean, for people " +
		"who " +
		"debug a device or a client.\n`keel doctor CODE` prints the same. A code marked with * is the emulator's " +
		"choice: " +
		"no source says what Azure sends.\n\n" +
		"Written by `go test ./cmd/keel -run Reference -update`.\n\n" +
		"| Code | Name | From | Cause | What to do |\n| --- | --- | --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`, "\n", " ", "*", `\*`)
	entries := errorcodes.All()
	if len(entries) < 20 {
		t.Fatalf("got %d codes, want those of all services", len(entries))
	}
	for _, e := range entries {
		code := ""
		if e.Code != 0 {
			code = fmt.Sprint(e.Code)
		}
		if e.EmulatorOnly {
			code += "*"
		}
		fmt.Fprintf(&page, "| %s | %s | %s | %s | %s |\n", code, e.Name, e.Source, cell.Replace(e.Cause),
			cell.Replace(e.Remedy))
	}
	sameAsWritten(t, codesReference, page.String())
}
