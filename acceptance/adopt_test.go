//go:build acceptance

package acceptance_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	own "evenkeel/acceptance/checkout"
	"evenkeel/emulator"
	"evenkeel/internal/azure/sas"
)

// languageYAML is the module of Pulumi's language host for YAML, which keel does not build.
const languageYAML = "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml@v1.25.0"

// installYAMLHost builds the language host for YAML and returns its folder.
func installYAMLHost(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	install := bounded(t, "go", "install", languageYAML)
	install.Env = append(os.Environ(), "GOBIN="+folder, "GOFLAGS=-buildvcs=false -tags=osusergo")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("build the language host for YAML: %v\n%s", err, out)
	}
	return folder
}

// pulumiForYAML sets the variables with which this process and its children run Pulumi with programs in YAML, and with
// a backend of their own.
func pulumiForYAML(t *testing.T) {
	t.Helper()
	var built struct{ Pulumi, Bin string }
	if err := json.Unmarshal([]byte(mustKeel(t, "build", "--json")), &built); err != nil {
		t.Fatal(err)
	}
	hosts, home := installYAMLHost(t), t.TempDir()
	for name, value := range map[string]string{
		"PULUMI_HOME": home, "PULUMI_BACKEND_URL": "file://" + home, "PULUMI_CONFIG_PASSPHRASE": "adopted",
		"PULUMI_SKIP_UPDATE_CHECK": "true", "PATH": strings.Join([]string{filepath.Dir(built.Pulumi), built.Bin, hosts,
			os.Getenv("PATH")}, string(os.PathListSeparator)),
	} {
		t.Setenv(name, value)
	}
}

// TestAServiceOfOthersIsAdopted fills a provisioning service with plain requests, adopts it, and lets the real Pulumi
// import it: nothing changes at the service until the program changes, and then only what it changes.
func TestAServiceOfOthersIsAdopted(t *testing.T) {
	pulumiForYAML(t)
	for name, tc := range map[string]struct {
		project, setAbove string
		// edit changes press-7 in the files of the program.
		file, old, new string
	}{
		"as single resources": {"singles", "1000", "Pulumi.yaml", "deviceId: d-7$", "deviceId: another-7"},
		"as a set":            {"sets", "5", "enrollments.csv", "press-7,d-7", "press-7,another-7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newForeignService(t)
			folder := filepath.Join(t.TempDir(), "fleet")
			mustKeel(t, "adopt", "--to", folder, "--project", tc.project, "--set-above", tc.setAbove,
				"--connection-string", s.connection, "--endpoint", s.Endpoints().Data, "--ca-file",
				s.Endpoints().CAFile, "--keys")
			before := s.versions(t)
			pulumi(t, folder, "stack", "init", "main", "--secrets-provider", "passphrase")
			for op, n := range pulumiPlan(t, folder) {
				if op != "import" && (op != "create" || n != 1) { // the stack itself is created
					t.Errorf("first preview: got %d resources to %s, want imports only", n, op)
				}
			}
			pulumi(t, folder, "up", "--yes", "--skip-preview")
			pulumi(t, folder, "preview", "--expect-no-changes")
			pulumi(t, folder, "refresh", "--yes", "--skip-preview", "--expect-no-changes")
			pulumi(t, folder, "preview", "--refresh", "--expect-no-changes")
			if after := s.versions(t); !maps.Equal(before, after) {
				t.Errorf("the import changed the service: got %v, want %v", after, before)
			}
			edit(t, filepath.Join(folder, tc.file), tc.old, tc.new)
			pulumi(t, folder, "up", "--yes", "--skip-preview")
			after := s.versions(t)
			for id, version := range before {
				if isChanged := after[id] != version; isChanged != (id == "press-7") {
					t.Errorf("%s: got changed %t, want a change of press-7 alone", id, isChanged)
				}
			}
			pulumi(t, folder, "preview", "--expect-no-changes")
			if name == "as a set" {
				importAgain(t, folder, s.host+"/enrollmentSets/@enrollments.csv")
			}
		})
	}
}

// importAgain imports the set into another stack of the program by the command instead of the option: after it, the
// preview has nothing to import or change but the rest of the program.
func importAgain(t *testing.T, folder, id string) {
	t.Helper()
	settings, err := os.ReadFile(filepath.Join(folder, "Pulumi.main.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "Pulumi.again.yaml"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	pulumi(t, folder, "stack", "init", "again", "--secrets-provider", "passphrase")
	pulumi(t, folder, "import", "azure-dps:index:EnrollmentSet", "enrollments", id, "--yes", "--protect=false",
		"--generate-code=false")
	plan := pulumiPlan(t, folder)
	if plan["import"] != 2 || plan["update"]+plan["replace"]+plan["delete"] > 0 {
		t.Errorf("preview after pulumi import: got %v, want the two groups to import, and no change", plan)
	}
}

// TestTheAdoptionPageRuns runs docs/how-to/adopt.md.
func TestTheAdoptionPageRuns(t *testing.T) {
	own.TearDown(checkout)
	t.Cleanup(func() { own.TearDown(checkout) })
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(checkout, "fleet")) })
	pulumiForYAML(t)
	runPage(t, "docs/how-to/adopt.md")
}

// foreignService is a provisioning service that other tools fill.
type foreignService struct {
	*emulator.Emulator
	connection, host, policy, key string
	client                        *http.Client
}

func newForeignService(t *testing.T) *foreignService {
	t.Helper()
	s := &foreignService{Emulator: emulator.RunT(t)}
	deployed, err := s.Deploy(t.Context(), emulator.Deployment{Service: "plant"})
	if err != nil {
		t.Fatal(err)
	}
	s.connection = deployed.Service
	fields := map[string]string{}
	for field := range strings.SplitSeq(deployed.Service, ";") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	s.host, s.policy, s.key = fields["HostName"], fields["SharedAccessKeyName"], fields["SharedAccessKey"]
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(s.Endpoints().CAPEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport, Timeout: time.Minute}
	for i := range 12 {
		s.call(t, http.MethodPut, fmt.Sprintf("/enrollments/press-%d", i), fmt.Sprintf(`{"registrationId":"press-%[1]d",`+
			`"deviceId":"d-%[1]d","attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"line":%[1]d,`+
			`"note":"${not} an $$expression"},"properties":{"desired":{"on":true,"rate":1.5}}},`+
			`"optionalDeviceInformation":{"built":"2020-01-01"},"capabilities":{"iotEdge":true},`+
			`"reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":false}}`, i), nil)
	}
	s.call(t, http.MethodPut, "/enrollmentGroups/presses", `{"enrollmentGroupId":"presses","attestation":`+
		`{"type":"symmetricKey"},"allocationPolicy":"static","iotHubs":["hub-2.azure-devices.net"]}`, nil)
	s.call(t, http.MethodPut, "/enrollmentGroups/by-authority", `{"enrollmentGroupId":"by-authority","attestation":`+
		`{"type":"x509","x509":{"caReferences":{"primary":"plant-ca"}}},"provisioningStatus":"disabled"}`, nil)
	return s
}

func (s *foreignService) call(t *testing.T, method, path, body string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.Endpoints().Data+path+"?api-version=2021-10-01",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sas.New(s.host, s.policy, s.key, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = s.host
	request.Header.Set("Authorization", token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v: %s", method, path, answer.Status, err, content)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

// versions are the etags of all entries by their ids.
func (s *foreignService) versions(t *testing.T) map[string]string {
	t.Helper()
	etags := map[string]string{}
	for path, id := range map[string]string{"/enrollments/query": "registrationId",
		"/enrollmentGroups/query": "enrollmentGroupId"} {
		var entries []map[string]any
		s.call(t, http.MethodPost, path, `{"query":"SELECT *"}`, &entries)
		for _, entry := range entries {
			etags[entry[id].(string)] = entry["etag"].(string)
		}
	}
	return etags
}

// pulumi runs Pulumi in a folder, and returns what it printed. Errors contain its output, which has no secret.
func pulumi(t *testing.T, folder string, args ...string) string {
	t.Helper()
	cmd := bounded(t, "pulumi", append(slices.Clone(args), "--non-interactive")...)
	cmd.Dir = folder
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pulumi %s: %v\n%s%s", strings.Join(args, " "), err, out, stderrOf(err))
	}
	return string(out)
}

// pulumiPlan returns how many resources a preview treats by each operation.
func pulumiPlan(t *testing.T, folder string) map[string]int {
	t.Helper()
	var preview struct{ ChangeSummary map[string]int }
	if err := json.Unmarshal([]byte(pulumi(t, folder, "preview", "--json")), &preview); err != nil {
		t.Fatal(err)
	}
	if preview.ChangeSummary["import"] == 0 {
		t.Errorf("preview: got %v, want imports", preview.ChangeSummary)
	}
	return preview.ChangeSummary
}

// edit replaces the one occurrence of a text in a file. A $ at its end is the end of a line.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if whole, isLine := strings.CutSuffix(old, "$"); isLine {
		old, new = whole+"\n", new+"\n"
	}
	if n := strings.Count(string(content), old); n != 1 {
		t.Fatalf("%s: got %d times %q, want it once", file, n, old)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(content), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}
