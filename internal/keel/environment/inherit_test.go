package environment_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/keel/environment"
)

const rich = `secretsprovider: passphrase
encryptionsalt: v1:salt
config:
  azure-native:location: northeurope
  evenkeel:allocationPolicy: GeoLatency
  evenkeel:caFile: /a/ca.pem
  evenkeel:createdAt: "2026-01-01T00:00:00Z"
  evenkeel:devices:
    - plain
    - id: keyed
      primaryKey:
        secure: v1:one
    - secure: v1:two
  evenkeel:endpoint: https://127.0.0.1:1
  evenkeel:enrollmentGroup:
    secure: v1:three
  evenkeel:expiresAt: "2026-01-02T00:00:00Z"
  evenkeel:hubSettings:
    hub-1:
      name: global-name
      weight: 3
  evenkeel:hubs: "3"
  evenkeel:owner: anna
  evenkeel:target: local
`

func checkoutOf(t *testing.T, files map[string]string) environment.Folder {
	t.Helper()
	root := t.TempDir()
	files["Pulumi.yaml"] = "name: evenkeel\nstackConfigDir: stacks\n"
	for name, text := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return environment.Folder{Root: root}
}

func TestSettingsAreCopiedWithoutSecretsAndOwnKeys(t *testing.T) {
	t.Parallel()
	f := checkoutOf(t, map[string]string{"stacks/Pulumi.rich.yaml": rich,
		"stacks/Pulumi.bare.yaml": "encryptionsalt: v1:salt\n"})
	e := &environment.Environment{Folder: f, Stack: "mine"}
	left, err := e.Inherit(t.Context(), "rich")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"devices[1].primaryKey", "devices[2]", "enrollmentGroup",
		"hubSettings.hub-1.name"}; !slices.Equal(left, want) {
		t.Errorf("got left out %v, want %v", left, want)
	}
	text, err := os.ReadFile(filepath.Join(f.Root, "stacks", "Pulumi.mine.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"azure-native:location: northeurope", "GeoLatency", "- plain", "id: keyed",
		"weight: 3", `hubs: "3"`} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(string(text), want) {
				t.Errorf("got\n%swant %q in it", text, want)
			}
		})
	}
	for _, unwanted := range []string{"secure", "v1:", "anna", "2026", "global-name", "127.0.0.1", "ca.pem", "target"} {
		t.Run(unwanted, func(t *testing.T) {
			if strings.Contains(string(text), unwanted) {
				t.Errorf("got\n%swant no %q in it", text, unwanted)
			}
		})
	}
	if left, err := (&environment.Environment{Folder: f, Stack: "other"}).Inherit(t.Context(), "bare"); err != nil ||
		len(left) > 0 {
		t.Errorf("got %v, %v from a stack without settings, want none", left, err)
	}
}

func TestSettingsAreCopiedOnlyFromAnExistingToANewEnvironment(t *testing.T) {
	t.Parallel()
	f := checkoutOf(t, map[string]string{"stacks/Pulumi.rich.yaml": rich,
		".evenkeel/backend/.pulumi/stacks/evenkeel/there.json": "{}"})
	var notices []string
	for stack, c := range map[string]struct {
		from  string
		fails bool
	}{"new": {"absent", true}, "there": {"rich", false}} {
		t.Run(stack, func(t *testing.T) {
			e := &environment.Environment{Folder: f, Stack: stack,
				Notice: func(text string) { notices = append(notices, text) }}
			if _, err := e.Inherit(t.Context(), c.from); (err != nil) != c.fails {
				t.Errorf("%s from %s: got %v, want failure %v", stack, c.from, err, c.fails)
			}
			if _, err := os.Stat(filepath.Join(f.Root, "stacks", "Pulumi."+stack+".yaml")); err == nil {
				t.Errorf("%s from %s: got a stack file", stack, c.from)
			}
		})
	}
	if len(notices) != 1 || !strings.Contains(notices[0], "environment there already exists") {
		t.Errorf("got %v, want a notice about the one that is there", notices)
	}
}
