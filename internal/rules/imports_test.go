package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// owned lists the only folders that may import a path, and the reason. Tests may import anything, except where the
// reason is that the path is for tests.
var owned = []struct {
	path   string
	owners []string
	reason string
}{
	{"github.com/mochi-mqtt/server", []string{"emulator/internal/broker"},
		"the MQTT server stays behind one small interface of our own"},
	{"github.com/gorilla/websocket", []string{"emulator/internal/broker"}, "a WebSocket is one more way to the broker"},
	{"github.com/google/go-tpm", []string{"emulator/internal/tpmseal"},
		"the emulator needs it only to seal keys to a TPM"},
	{"github.com/pulumi/pulumi-go-provider", []string{"internal/provider", "cmd/pulumi-resource-azure-dps",
		"tools/generate"}, "only the provider knows the provider framework"},
	{"github.com/pulumi/pulumi-azure-native-sdk", []string{".", "internal/program"},
		"Azure resources are declared by the program alone"},
	{"github.com/pulumi/pulumi/pkg", []string{"tools/generate"},
		"code generation is a tool, not a part of the product"},
	{"github.com/cockroachdb/pebble", []string{"emulator/internal/state", "internal/durable/durabletest"},
		"one package owns the store; tests use its file system in memory"},
	{module + "/internal/durable/durabletest", nil, "it is for tests"},
	{"github.com/hashicorp/go-azure-sdk", nil, "tests prove with it that Terraform can log in"},
	{"software.sslmate.com/src/go-pkcs12", nil, "tests create with it the file that Terraform reads"},
	{"gonum.org/v1/gonum", []string{"internal/fleet/spread"}, "statistics are those of the spread"},
	{"github.com/spf13/cobra", []string{"cmd/keel"}, "flags belong to the command line"},
	{module + "/emulator", []string{"cmd", "emulator"}, "the product works without the emulator"},
	{module + "/emulator/internal/amqp", []string{"emulator/internal/broker"},
		"the package that accepts connections also refuses them"},
	{module + "/dpsservice", []string{"internal/provider", "dpsservice", "cmd", "acceptance",
		"internal/keel/assignment", "internal/keel/adopt"},
		"fake and client share no wire types: a misspelt field shared by both would pass every test"},
	{module + "/emulator/internal/dpswire", []string{"emulator/internal/dpsservice", "emulator/internal/registration"},
		"its words are those of the two APIs of DPS"},
	{module + "/internal/azure/arm", []string{"internal/keel/azurenative", "internal/keel/environment",
		"internal/azure/hublink", "internal/provider", "internal/keel/adopt"},
		"only packages that change or examine resources of other owners need raw requests"},
	{module + "/internal/azure/hublink", []string{"internal/provider", "internal/keel/environment",
		"internal/keel/adopt"},
		"only the resource LinkedHub changes single links; keel doctor and keel adopt read with it"},
	{module + "/internal/azure/login", []string{"internal/provider", "internal/keel/environment",
		"internal/keel/adopt"},
		"clients of Azure log in; the local plugin gets its credentials from keel"},
	{module + "/emulator/internal/domain", []string{"emulator"}, "it is the emulator's side of the wire"},
	{module + "/internal/authority", []string{"emulator/internal/localca", "emulator/internal/entra",
		"emulator/internal/issuer", "internal/fleet/deviceca"},
		"only these issue certificates; other packages load them"},
	{module + "/internal/conformance", nil, "it is a suite of tests"},
	{module + "/internal/await", nil, "it is for tests"},
	{module + "/internal/azure/hub", []string{"cmd"}, "only keel manages the devices of a hub"},
	{module + "/internal/fleet/deviceca", []string{"cmd", "acceptance"},
		"it issues certificates for users and tests; the program reads the certificate of the authority"},
	{module + "/internal/keel/controlapi", []string{"cmd"}, "only keel controls the emulator"},
	{module + "/internal/keel/assignment", []string{"cmd", "internal/keel/hubplan", "internal/keel/reprovision"},
		"keel plans with the assignments of devices; devices and programs do not read them"},
	{module + "/internal/keel/hubplan", []string{"cmd"}, "only keel plans changes of hubs"},
	{module + "/internal/keel/reprovision", []string{"cmd"}, "only keel moves devices"},
	{module + "/internal/keel/errorcodes", []string{"cmd"},
		"it explains error codes to users; programs handle the codes themselves"},
	{module + "/internal/keel/azurenative", []string{"cmd"},
		"keel serves the local plugin, and no other package knows it"},
	{module + "/dpsdevice", []string{"cmd", "dpsdevice", "acceptance"}, "devices are not part of what is deployed"},
	{module + "/internal/program/topology", []string{".", "internal/program"},
		"only the program turns configuration into resources"},
	{module + "/internal/keel/adopt", []string{"cmd"}, "programs are written for people, by the command line"},
	{module + "/internal/keel/environment", []string{"cmd", "acceptance"},
		"only the command line, stories and benchmarks run Pulumi"},
	{module + "/internal/keel/toolchain", []string{"cmd"}, "only the command line builds tools"},
	{module + "/internal/keel/background", []string{"cmd"}, "only the command line starts processes that outlive it"},
	{module + "/internal/fleet/spread", []string{"cmd", "emulator/internal/control", "tools/generate"},
		"it draws the distribution of devices: on a terminal, on the page and in the documents"},
	{module + "/cmd", nil, "a command is not a library"},
	{module + "/internal/provider", []string{"cmd/pulumi-resource-azure-dps", "tools/generate"},
		"the provider is a process of its own"},
}

func TestEachHeavyDependencyAndEachPackageHasItsOwners(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		if f.test {
			continue
		}
		for _, imported := range f.imports() {
			for _, rule := range owned {
				if !under(imported, rule.path) || under(module+"/"+f.dir, rule.path) {
					continue
				}
				if !anyUnder(f.dir, rule.owners) {
					t.Errorf("%s imports %s: %s; it belongs to %s", f.path, imported, rule.reason,
						strings.Join(rule.owners, ", "))
				}
			}
		}
	}
}

// banned lists what a folder must not import. tests means that its tests must not either.
var banned = []struct {
	dir    string
	paths  []string
	tests  bool
	reason string
}{
	{"emulator", []string{module + "/internal/azure/domain", "github.com/pulumi", module + "/dpsservice", module +
		"/internal/provider", module + "/internal/program/topology", module + "/internal/keel/environment"}, false,
		"the emulator must not depend on its clients"},
	{"emulator/internal/dpswire", []string{module + "/emulator/internal/dpsservice", module +
		"/emulator/internal/registration", module + "/dpsservice"}, false,
		"the code that the two APIs share depends on neither, and clients share no code with it"},
	{"emulator/internal/state", []string{"net/http", "github.com/mochi-mqtt", module + "/emulator/internal/arm",
		module + "/emulator/internal/broker"}, false, "the state speaks no protocol"},
	{"internal/conformance", []string{module + "/emulator", module + "/dpsservice", module + "/internal/azure/hub",
		module + "/dpsdevice", module + "/internal/provider"}, true,
		"the expected values must not come from the code under test"},
	{"internal/keel/azurenative", []string{module + "/emulator"}, false,
		"the local plugin must behave like the real one, whatever the emulator accepts"},
	{"internal/program/topology", []string{"net/http", "net", "os", "os/exec"}, false,
		"it is pure: no network, files or environment"},
	{"internal/azure/enrollment", []string{"net/http", "os", "github.com/pulumi"}, false, "its rules are pure"},
	{"dpsservice", []string{"github.com/pulumi"}, false, "a client of the service, for anyone"},
	{"internal/azure/login", []string{"github.com/pulumi", module + "/emulator"}, false,
		"logging in is the same for anyone"},
	{"internal/azure/hublink", []string{"github.com/pulumi", module + "/emulator"}, false,
		"a client of Azure, for anyone"},
	{"dpsdevice", []string{"github.com/pulumi", module + "/emulator/internal"}, false, "a device knows neither"},
}

func TestFoldersDoNotImportWhatIsBanned(t *testing.T) {
	t.Parallel()
	for _, rule := range banned {
		for _, f := range files(t) {
			if !under(f.dir, rule.dir) || f.test && !rule.tests {
				continue
			}
			for _, imported := range f.imports() {
				for _, path := range rule.paths {
					if imported == path || strings.Contains(path, "/") && under(imported, path) ||
						path == "github.com/pulumi" && under(imported, path) {
						t.Errorf("%s imports %s: %s", f.path, imported, rule.reason)
					}
				}
			}
		}
	}
}

// surfaces implement one protocol each; what they share is in state, sas and broker.
var surfaces = []string{"arm", "dpsservice", "registration", "iothub", "control"}

func TestSurfacesNeverImportEachOther(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, from := range surfaces {
			if f.test || !under(f.dir, "emulator/internal/"+from) {
				continue
			}
			for _, to := range surfaces {
				if from != to && contains(f.imports(), module+"/emulator/internal/"+to) {
					t.Errorf("%s imports the surface %s: move what they share to state", f.path, to)
				}
			}
		}
	}
}

func TestSharedAccessSignaturesNeedTheStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, imported := range f.imports() {
			if f.dir == "internal/azure/sas" && !f.test && strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s: fake and client share this package, so it stays on the standard library",
					f.path, imported)
			}
		}
	}
}

// TestPathsInTheRulesExist finds rules for folders that were moved.
func TestPathsInTheRulesExist(t *testing.T) {
	t.Parallel()
	var dirs []string
	for _, rule := range owned {
		if own, ok := strings.CutPrefix(rule.path, module+"/"); ok {
			dirs = append(dirs, own)
		}
		dirs = append(dirs, rule.owners...)
	}
	for _, rule := range banned {
		dirs = append(dirs, rule.dir)
	}
	for _, surface := range surfaces {
		dirs = append(dirs, "emulator/internal/"+surface)
	}
	for _, dir := range dirs {
		if info, err := os.Stat(filepath.Join(root, dir)); err != nil || !info.IsDir() {
			t.Errorf("a rule names the folder %s, which is not there: change the rule with the folder", dir)
		}
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range owned {
		if !strings.HasPrefix(rule.path, module+"/") && !strings.Contains(string(mod), rule.path) {
			t.Errorf("a rule names %s, which go.mod does not require any more", rule.path)
		}
	}
}

func anyUnder(dir string, places []string) bool {
	for _, place := range places {
		if dir == place || place != "." && under(dir, place) {
			return true
		}
	}
	return false
}

func contains(list []string, want string) bool {
	for _, item := range list {
		if under(item, want) {
			return true
		}
	}
	return false
}
