package environment_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"evenkeel/internal/keel/environment"
)

// TestPulumiRunsTheProgramForStatesOfEarlierVersions: if the provider in the state has no secret, refresh and destroy
// take the provider from the program.
func TestPulumiRunsTheProgramForStatesOfEarlierVersions(t *testing.T) {
	t.Parallel()
	const stack = `{"urn":"urn:pulumi:local::p::pulumi:pulumi:Stack::p-local","type":"pulumi:pulumi:Stack"},`
	provider := func(name, inputs string) string {
		return stack + `{"urn":"urn:pulumi:local::p::pulumi:providers:azure-native::` + name +
			`","type":"pulumi:providers:azure-native","inputs":` + inputs + `}`
	}
	secret := `{"clientSecret":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","ciphertext":"v1:x"}}`
	for name, tc := range map[string]struct {
		resources, target string
		want              bool
	}{
		"without a secret":            {provider("emulator", `{"subscriptionId":"0"}`), "", true},
		"with one":                    {provider("emulator", secret), "", false},
		"another provider without":    {provider("default", `{}`) + "," + provider("emulator", secret), "", false},
		"no provider yet":             {stack[:len(stack)-1], "", false},
		"nothing":                     {"", "", false},
		"damaged":                     {`{`, "", false},
		"on Azure, where none is due": {provider("emulator", `{}`), environment.Azure, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			e.Target = tc.target
			folder := filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject")
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			text := `{"version":3,"checkpoint":{"stack":"x","latest":{"manifest":{"resources":"no"},"resources":[` +
				tc.resources + `]}}}`
			if err := os.WriteFile(filepath.Join(folder, e.Stack+".json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(e.Environ(), "PULUMI_RUN_PROGRAM=true"); got != tc.want {
				t.Errorf("%s: got that Pulumi runs the program: %v, want %v", name, got, tc.want)
			}
		})
	}
	if environ := newEnvironment(t).Environ(); slices.Contains(environ, "PULUMI_RUN_PROGRAM=true") {
		t.Error("a stack that is not there yet: got that Pulumi runs the program")
	}
}
