package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"evenkeel/internal/keel/adopt"
	"evenkeel/internal/keel/controlapi"
	"evenkeel/internal/keel/errorcodes"
)

var update = flag.Bool("update", false, "write docs/reference/keel.md and error-codes.md")

const (
	reference      = "../../docs/reference/keel.md"
	codesReference = "../../docs/reference/error-codes.md"
)

// results are the values that commands print with --json.
var results = map[string]any{
	"keel adopt": adopt.Result{},
	"keel build": buildResult{}, "keel devices ca": authorityResult{}, "keel devices cert": issuedCertificate{},
	"keel devices find": findResult{}, "keel devices list": listResult{},
	"keel devices key":       deviceKeyResult{},
	"keel devices provision": provisionResult{}, "keel devices status": []deviceState{},
	"keel devices reprovision": reprovisionResult{},
	"keel devices token":       deviceToken{}, "keel doctor": doctorResult{}, "keel down": downResult{},
	"keel emulator logs": map[string]string{}, "keel emulator reset": emulatorResetResult{},
	"keel emulator run": status{}, "keel emulator start": status{},
	"keel emulator status": status{}, "keel emulator stop": emulatorStopResult{}, "keel env": map[string]string{},
	"keel exec":   execResult{},
	"keel extend": extendResult{}, "keel hosts": []hostLine{}, "keel hub drain": hubChange{},
	"keel hub add":    hubChange{},
	"keel hub remove": hubChange{}, "keel ls": []summary{}, "keel reap": reapResult{},
	"keel reset": resetResult{}, "keel show": shown{}, "keel up": upResult{}, "keel version": versionResult{},
	"keel emulator page": pageAddress{}, "keel emulator snapshot delete": snapshotResult{},
	"keel emulator snapshot list":    []controlapi.Snapshot{},
	"keel emulator snapshot restore": snapshotResult{}, "keel emulator snapshot save": snapshotResult{},
	"keel emulator snapshot show": json.RawMessage{},
}

// otherResults are the values that some commands print instead when they are given an argument.
var otherResults = map[string]any{"keel devices status": deviceState{}, "keel doctor": []errorcodes.Entry{}}

// TestReferenceMatchesCommands compares docs/reference/keel.md with the commands, their help and the shapes of their
// results.
func TestReferenceMatchesCommands(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString("# keel\n\nThe commands, as `keel --help` prints them, and their output with `--json`: one " +
		"document on standard " +
		"output, or for\nlogs one a line.\nA member with a `?` may be absent. Members may be added; none is renamed " +
		"or removed without a line in the changelog.\n\n" +
		"Results go to standard output, everything else to standard error. The exit code is 0 when done, 1 when " +
		"failed, 2 for a wrong command line,\n" +
		"and that of the command for `keel exec`. Progress is a bar or a spinner on a terminal, and plain lines " +
		"elsewhere and in CI. keel writes no\n" +
		"colours; Pulumi does on a terminal, unless NO_COLOR is set. Tab completion: `source <(keel completion " +
		"bash)`, or zsh, fish, powershell.\n\n" +
		"Written by `go test ./cmd/keel -run Reference -update`.\n")
	visitCommands(newRoot(&app{}), func(cmd *cobra.Command) { describeCommand(t, &page, cmd) })
	sameAsWritten(t, reference, page.String())
}

// sameAsWritten compares a generated page with the file, which -update writes.
func sameAsWritten(t *testing.T, file, page string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Errorf("%s is not what the commands say; write it with: go test ./cmd/keel -run Reference -update, "+
			"and look at git diff: are scripts concerned?", file)
	}
}

// visitCommands calls f for every command that the help lists.
func visitCommands(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
		return
	}
	f(cmd)
	for _, child := range cmd.Commands() {
		visitCommands(child, f)
	}
}

func describeCommand(t *testing.T, page *strings.Builder, cmd *cobra.Command) {
	t.Helper()
	path := cmd.CommandPath()
	fmt.Fprintf(page, "\n## %s\n\n%s\n\n```sh\n%s\n```\n", path, strings.TrimSpace(cmd.Long),
		strings.ReplaceAll(cmd.Example, "  keel", "keel"))
	if flags := cmd.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(page, "\n```\n%s```\n", flags)
	}
	value, documented := results[path]
	if speaks := cmd.Flags().Lookup("json") != nil; speaks != documented || !speaks && !cmd.HasSubCommands() {
		t.Errorf("%s: got --json %v and a documented result %v, want both", path, speaks, documented)
	}
	if !documented {
		return
	}
	fmt.Fprintf(page, "\n```\n%s\n```\n", shape(reflect.TypeOf(value), ""))
	if other, ok := otherResults[path]; ok {
		fmt.Fprintf(page, "\nwith an argument\n\n```\n%s\n```\n", shape(reflect.TypeOf(other), ""))
	}
}

// shape writes what JSON of a type looks like.
func shape(kind reflect.Type, indent string) string {
	switch {
	case kind == reflect.TypeFor[time.Time]():
		return "time"
	case kind == reflect.TypeFor[json.RawMessage]():
		return "any"
	}
	switch kind.Kind() {
	case reflect.Pointer:
		return shape(kind.Elem(), indent)
	case reflect.Slice:
		return "[" + shape(kind.Elem(), indent) + ", ...]"
	case reflect.Map:
		return "{<name>: " + shape(kind.Elem(), indent) + ", ...}"
	case reflect.Struct:
		return "{\n" + members(kind, indent+"  ") + indent + "}"
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "number"
	case reflect.Bool:
		return "boolean"
	}
	return "text"
}

func members(kind reflect.Type, indent string) string {
	var all string
	for field := range reflect.VisibleFields(kind) {
		f := reflect.VisibleFields(kind)[field]
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		shadowed := len(f.Index) > 1 && hasMember(kind, name)
		if f.Anonymous || name == "" || shadowed {
			continue
		}
		if strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero") {
			name += "?"
		}
		all += indent + name + ": " + shape(f.Type, indent) + "\n"
	}
	return all
}

// hasMember reports whether the type declares a member of that name itself, which hides an embedded one.
func hasMember(kind reflect.Type, name string) bool {
	for i := range kind.NumField() {
		if own, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ","); own == name {
			return true
		}
	}
	return false
}

// shaped: `shaped COMMAND...` fails unless the last standard output has exactly the form that the reference documents
// for the command.
func shaped(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: shaped COMMAND...")
	}
	path := "keel " + strings.Join(args, " ")
	text := []byte(ts.ReadFile("stdout"))
	var tried []string
	for _, table := range []map[string]any{results, otherResults} {
		example, ok := table[path]
		if !ok {
			continue
		}
		into := reflect.New(reflect.TypeOf(example))
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(into.Interface())
		if err == nil {
			var have, again any
			back, marshalErr := json.Marshal(into.Interface())
			ts.Check(marshalErr)
			ts.Check(json.Unmarshal(text, &have))
			ts.Check(json.Unmarshal(back, &again))
			if reflect.DeepEqual(have, again) {
				return
			}
			err = fmt.Errorf("members are missing: got %s, want %s", text, back)
		}
		tried = append(tried, err.Error())
	}
	ts.Fatalf("%s: the result is not what docs/reference/keel.md says: %s", path, strings.Join(tried, "; "))
}
