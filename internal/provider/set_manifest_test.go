package provider_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"
	"github.com/pulumi/pulumi/sdk/v3/go/property"
)

// reasons checks a manifest in a file and returns the errors.
func reasons(t *testing.T, content string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "devices.csv")
	must(t, os.WriteFile(file, []byte(content), 0o600))
	manifest, err := asset.FromPath(file)
	must(t, err)
	checked, err := startProvider(t, object{}).Check(p.CheckRequest{
		Urn:    "urn:pulumi:test::test::azure-dps:index:EnrollmentSet::x",
		Inputs: object{"manifest": property.New(manifest)}.properties(),
	})
	must(t, err)
	var failures []string
	for _, failure := range checked.Failures {
		if plainPath(failure) != "manifest" {
			t.Errorf("a failure is at %s: %s", failure.Property, failure.Reason)
		}
		failures = append(failures, failure.Reason)
	}
	return failures
}

func utf16Of(order binary.AppendByteOrder, text string) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

// The formats of spreadsheets are accepted: Azure/AzureStorageExplorer issue 3136, CGI-FR/IoT-Hub-Portal issue 3250,
// TheThingsNetwork/lorawan-stack issue 5632.
func TestManifestsOfSpreadsheetsAreAccepted(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"rows of empty cells":      "registrationId,deviceId\r\nc-1,d\r\n,\r\n , \r\n",
		"empty rows before":        ",\r\n\r\nregistrationId,deviceId\r\nc-1,d\r\n",
		"blanks around names":      " registrationId ,deviceId\u00a0\nc-1 , d \n",
		"letter case of names":     "RegistrationID,deviceid\nc-1,d\n",
		"empty columns at the end": "registrationId,deviceId,,\nc-1,d,,\nc-2,,,\n",
		"empty cells at the end":   "registrationId,deviceId\nc-1,d,,\n",
		"semicolons":               "registrationId;tags;iotHubs\nc-1;\"{\"\"a\"\":[1,2]}\";\n",
		"tabs":                     "registrationId\tdeviceId\ttags\nc-1\t\t\"{\"\"a\"\":1}\"\n",
		"a line that says the sep": "sep=;\r\nregistrationId;deviceId\r\nc-1;d\r\n",
		"UTF-16 with tabs": utf16Of(binary.LittleEndian,
			"registrationId\ttags\r\nc-1\t\"{\"\"site\"\":\"\"Köln\"\"}\"\r\n"),
		"UTF-16 with commas":        utf16Of(binary.BigEndian, "registrationId,deviceId\r\nc-1,d\r\n"),
		"UTF-16 JSON":               utf16Of(binary.LittleEndian, `[{"registrationId":"c-1"}]`),
		"byte order mark and JSON":  "\ufeff\n[{\"registrationId\":\"c-1\"}]\n",
		"letter case of JSON names": `[{"RegistrationId":"c-1","IoTEdge":true}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if failures := reasons(t, content); failures != nil {
				t.Errorf("%s: got %q, want nothing", name, failures)
			}
		})
	}
}

func TestErrorsInManifestsNameTheirLines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"two rows, empty lines between": {
			"registrationId,provisioningStatus,iotEdge\nl-1,,\n\n\nl-2,on,\n\nl-3,,maybe\n", []string{
				`line 5, "l-2": provisioningStatus: unknown provisioning status "on": use enabled or disabled`,
				`line 7, "l-3": iotEdge: must be true or false`}},
		"all of one row": {"registrationId,provisioningStatus,iotEdge,tags\na b,on,maybe,\"{\n\"\"x y\"\":1}\"\n",
			[]string{
				`line 2, "a b": iotEdge: must be true or false`, `line 2, "a b": provisioningStatus:`,
				`line 2, "a b": registrationId: the registration id "a b" contains ' '`,
				`line 2, "a b": tags: the name "x y" contains ' '`}},
		"a cell of several lines": {"registrationId,tags,iotEdge\n\"l-1\",\"{\n\n}\",perhaps\n",
			[]string{`line 4, "l-1": iotEdge: must be true or false`}},
		"ids twice": {"\nregistrationId\nl-1\n\nL-1\n",
			[]string{`line 5, "L-1": registrationId: "L-1" is a duplicate, first on line 3`}},
		"the first row":   {"registrationId\na b\n", []string{`line 2, "a b": registrationId:`}},
		"with a sep line": {"sep=;\nregistrationId;iotEdge\na;maybe\n", []string{`line 3, "a": iotEdge`}},
		"another sep": {"sep=|\nregistrationId|iotEdge\na|maybe\n",
			[]string{"line 1: the columns are separated by '|': use commas, semicolons or tabs"}},
		"columns": {"\nregistrationId,color,deviceId,DEVICEID\na,b,c,d\n",
			[]string{`line 2: column 2: unknown property "color"`, `line 2: column 4, "DEVICEID", is a duplicate`}},
		"no ids": {"deviceId\na\n", []string{"line 1: missing column registrationId"}},
		"a cell without a column": {"registrationId,,\na,x,\nb,,,y\n",
			[]string{`line 2, "a": column 2 has a value but no name`, `line 3, "b": the row has 4 cells`}},
		"a quote": {"registrationId,deviceId\na,\"b\" c\nd e,f\n",
			[]string{"line 2: character 5:", `line 3, "d e"`}},
		"Windows-1252": {"registrationId,tags\nl-1,\"{\"\"site\"\": \"\"K\xf6ln\"\"}\"\n",
			[]string{`line 2 is not UTF-8: save the file as UTF-8 (in a spreadsheet: "CSV UTF-8")`}},
		"a workbook": {"PK\x03\x04\x14\x00", []string{"workbook"}},
		"JSON": {"[\n{\"registrationId\":\"a\",\n\"iotEdge\":\"x\",\"color\":1},\n\n{\"registrationId\":\"A\", " +
			"\"provisioningStatus\":\"on\"},\n7]", []string{
			`line 2, "a": iotEdge: it must not be a JSON string`, `line 2, "a": unknown property "color"`,
			`line 5, "A": provisioningStatus`, `line 6: not an enrollment`}},
		"JSON, ids twice": {"[{\"registrationId\":\"a\"},\n{\"registrationId\":\"A\"}]",
			[]string{`line 2, "A": registrationId: "A" is a duplicate, first on line 1`}},
		"JSON that breaks": {"[{\"registrationId\":\"a\"},\n\n{\"registrationId\":\"b\" \"deviceId\":1}]",
			[]string{"line 3: the manifest is not a JSON array of enrollments: invalid character"}},
		"JSON that ends": {"[{\"registrationId\":\"a\"},\n",
			[]string{"line 2: the manifest is not a JSON array of enrollments"}},
		"more after JSON":   {"[]\n\n[]", []string{"line 3: unexpected data after the manifest's JSON array"}},
		"the Azure CLI's":   {`[{"registrationId":"a","attestation":{"type":"symmetricKey"},"etag":"x"},{"registrationId":"b","attestation":{}}]`, []string{"on one level"}},
		"twins hubs refuse": {"registrationId,tags,desiredProperties\na,\"{\"\"a.b\"\":1}\",\"{\"\"n\"\":9007199254740992}\"\n", []string{`line 2, "a": desiredProperties: "n": the whole number`, `line 2, "a": tags: the name "a.b"`}},
		"hubs, no policy": {"registrationId,iotHubs\na,hub-1.azure-devices.net\n",
			[]string{`line 2, "a": allocationPolicy: required with iotHubs`}},
	} {
		t.Run(name, func(t *testing.T) {
			failures := reasons(t, test.content)
			slices.Sort(failures)
			if !slices.EqualFunc(failures, test.want, strings.Contains) {
				t.Errorf("%s: got %q, want %q", name, failures, test.want)
			}
		})
	}
}

func TestErrorsInManifestsAreInTheOrderOfTheirLines(t *testing.T) {
	t.Parallel()
	failures := reasons(t, "registrationId,iotEdge\na b,\nc,maybe\nd e,\n\"f\"g,\nh i,\n")
	var lines []string
	for _, reason := range failures {
		line, _, _ := strings.Cut(strings.ReplaceAll(reason, ",", ":"), ":")
		lines = append(lines, line)
	}
	if want := []string{"line 2", "line 3", "line 4", "line 5", "line 6"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want one for each of %q", failures, want)
	}
}
