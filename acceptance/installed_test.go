//go:build acceptance

package acceptance_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	own "evenkeel/acceptance/checkout"
	"evenkeel/internal/version"
)

// outsiders are programs outside this repository that declare the same enrollment group, in a folder of their own and
// without a path to the provider.
var outsiders = map[string]map[string]string{
	"go": {
		"Pulumi.yaml": "name: outside\nruntime: go\n",
		"go.mod":      "module outside\n\ngo 1.26.0\n\nrequire evenkeel v0.0.0\n\nreplace evenkeel => CHECKOUT\n",
		"main.go": `package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	azuredps "evenkeel/sdks/azure-dps"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		_, err := azuredps.NewEnrollmentGroup(ctx, "presses", &azuredps.EnrollmentGroupArgs{
			EnrollmentGroupId: pulumi.String("presses-go"),
		})
		return err
	})
}
`,
	},
	"yaml": {
		"Pulumi.yaml": `name: outside
runtime: yaml
resources:
  presses:
    type: azure-dps:EnrollmentGroup
    properties:
      enrollmentGroupId: presses-yaml
`,
	},
}

// TestTheProviderIsInstalledFromItsArchive installs the provider with `pulumi plugin install --file`, as a user without
// this repository does, and lets programs in Go and YAML use it. Their PATH contains Pulumi and its language hosts, and
// no program of this project.
func TestTheProviderIsInstalledFromItsArchive(t *testing.T) {
	o := newOutside(t)
	o.pulumi(t.TempDir(), "plugin", "install", "resource", "azure-dps", "v"+version.Version, "--file", o.archive)
	for language, files := range outsiders {
		t.Run(language, func(t *testing.T) {
			o := *o
			o.T = t
			folder := o.project(files)
			o.pulumi(folder, "stack", "init", language, "--secrets-provider", "passphrase")
			for key, value := range o.settings {
				args := []string{"config", "set", "azure-dps:" + key, value}
				if key == "connectionString" {
					args = append(args, "--secret")
				}
				o.pulumi(folder, args...)
			}
			o.pulumi(folder, "up", "--yes", "--skip-preview")
			if !o.holds("presses-" + language) {
				t.Errorf("the service has no group presses-%s", language)
			}
			o.pulumi(folder, "preview", "--refresh", "--expect-no-changes")
			o.pulumi(folder, "destroy", "--yes", "--skip-preview")
			if o.holds("presses-" + language) {
				t.Errorf("the service still has the group presses-%s", language)
			}
		})
	}
}

// outside is a user of the provider without this repository, beside an environment with a provisioning service.
type outside struct {
	*testing.T
	program, archive string
	env              []string
	// settings are the provider's configuration in the stacks.
	settings map[string]string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	t.Cleanup(func() { own.TearDown(checkout) })
	mustKeel(t, "up")
	var built struct{ Pulumi, LanguageHost string }
	if err := json.Unmarshal([]byte(mustKeel(t, "build", "--json")), &built); err != nil {
		t.Fatal(err)
	}
	status, err := own.EmulatorStatus(checkout)
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{T: t, program: built.Pulumi, settings: map[string]string{
		"endpoint": status.Endpoints.Data, "caFile": status.Endpoints.CAFile,
		"connectionString": strings.TrimSpace(mustKeel(t, "exec", "--", "pulumi", "stack", "output", "--show-secrets",
			"serviceConnectionString")),
	}}
	o.buildArchive()
	hosts, home := installYAMLHost(t), t.TempDir()
	o.env = append(os.Environ(), "PULUMI_HOME="+home, "PULUMI_BACKEND_URL=file://"+home,
		"PULUMI_CONFIG_PASSPHRASE=outside", "PULUMI_SKIP_UPDATE_CHECK=true", "GOFLAGS=-mod=mod -buildvcs=false",
		"PATH="+strings.Join([]string{filepath.Dir(built.Pulumi), filepath.Dir(built.LanguageHost), hosts,
			os.Getenv("PATH")}, string(os.PathListSeparator)))
	if path, err := exec.LookPath("pulumi-resource-azure-dps"); err == nil {
		t.Fatalf("PATH contains the provider: %s", path)
	}
	return o
}

// buildArchive builds the provider's archive for this machine.
func (o *outside) buildArchive() {
	o.Helper()
	folder, platform := o.TempDir(), runtime.GOOS+"/"+runtime.GOARCH
	build := bounded(o.T, "go", "run", "./tools/dist", "-to", folder, "-platforms", platform, "-commands",
		"pulumi-resource-azure-dps")
	build.Dir = checkout
	if out, err := build.CombinedOutput(); err != nil {
		o.Fatalf("build the archive: %v\n%s", err, out)
	}
	archives, err := filepath.Glob(filepath.Join(folder, "pulumi-resource-azure-dps-*.tar.gz"))
	if err != nil || len(archives) != 1 {
		o.Fatalf("got archives %v, %v, want one", archives, err)
	}
	o.archive = archives[0]
}

// project writes a program's files to a new folder.
func (o *outside) project(files map[string]string) string {
	o.Helper()
	folder := o.TempDir()
	for name, text := range files {
		text = strings.ReplaceAll(text, "CHECKOUT", `"`+checkout+`"`)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			o.Fatal(err)
		}
	}
	if _, isGo := files["go.mod"]; isGo {
		// The replaced module's own replace does not apply here, and the program does not need that module.
		tidy := bounded(o.T, "go", "get", "./...")
		tidy.Dir, tidy.Env = folder, o.env
		if out, err := tidy.CombinedOutput(); err != nil {
			o.Fatalf("go get: %v\n%s", err, out)
		}
	}
	return folder
}

// pulumi runs Pulumi in a folder. Errors contain the name of the operation only, since an argument may be a key.
func (o *outside) pulumi(folder string, args ...string) {
	o.Helper()
	cmd := bounded(o.T, o.program, append(slices.Clone(args), "--non-interactive")...)
	cmd.Dir, cmd.Env = folder, o.env
	if out, err := cmd.CombinedOutput(); err != nil {
		o.Fatalf("pulumi %s: %v\n%s", args[0], err, out)
	}
}

// holds reports whether the provisioning service has an enrollment group.
func (o *outside) holds(group string) bool {
	o.Helper()
	_, is := versions(o.T, own.Stack)[own.Stack+"/enrollmentGroups/"+group]
	return is
}
