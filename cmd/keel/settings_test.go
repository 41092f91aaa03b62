package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/keel/environment"
)

// configured returns an environment whose stack file has these lines.
func configured(t *testing.T, lines ...string) *environment.Environment {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte("name: myiot\nstackConfigDir: stacks\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "stacks"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "config:\n"
	for _, line := range lines {
		text += "  myiot:" + line + "\n"
	}
	if err := os.WriteFile(filepath.Join(root, "stacks", "Pulumi.mine.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &environment.Environment{
		Folder: environment.Folder{Root: root}, Stack: "mine",
		Endpoints: environment.Endpoints{ARM: "https://127.0.0.1:1", TenantID: "t", ClientID: "c",
			SecretFile: "/secret"},
	}
}

func TestAStackWithCertificatesGetsAnAuthorityUnlessItNamesOne(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lines []string
		want  bool
	}{
		"keys":                     {[]string{"attestation: symmetricKey"}, false},
		"no setting":               {nil, false},
		"certificates":             {[]string{"attestation: X509"}, true},
		"an authority of the user": {[]string{"attestation: x509", "certificate: ca.pem"}, false},
		"an authority as text": {[]string{"attestation: x509", "certificate: '-----BEGIN CERTIFICATE-----'"},
			false},
		"its own, which is kept": {[]string{"attestation: x509",
			"certificate: ROOT/.evenkeel/devices/mine/authority/ca.pem"}, true},
		"another environment's one": {[]string{"attestation: x509",
			"certificate: ROOT/.evenkeel/devices/other/authority/ca.pem"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := configured(t, tc.lines...)
			file := filepath.Join(e.Folder.Root, "stacks", "Pulumi.mine.yaml")
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "ROOT", e.Folder.Root)),
				0o600); err != nil {
				t.Fatal(err)
			}
			got, err := authoritySettings(e)
			if err != nil {
				t.Fatal(err)
			}
			authority := filepath.Join(e.Folder.DeviceAuthority("mine"), "ca.pem")
			_, missing := os.Stat(authority)
			if (len(got) == 1) != tc.want || (missing == nil) != tc.want || tc.want &&
				(got[0].Key != "certificate" || got[0].Value != authority) {
				t.Errorf("got settings %v and a file: %v; want one: %v", got, missing == nil, tc.want)
			}
		})
	}
}

func TestAStackWithASharedServiceLogsInToARMAndRefreshes(t *testing.T) {
	t.Parallel()
	const login = `emulator: '{"arm":"https://127.0.0.1:9"}'`
	for name, tc := range map[string]struct {
		lines          []string
		login, refresh bool
	}{
		"alone":    {nil, false, false},
		"an owner": {[]string{"shared: true", login}, true, true},
		// up writes the settings of the login before it computes the arguments.
		"an owner from today": {[]string{`shared: "true"`}, true, false},
		"without the owner":   {[]string{login}, true, true},
		"a guest":             {[]string{"provisioningService: /subscriptions/s", login}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := configured(t, tc.lines...)
			settings, err := loginSettings(e)
			if err != nil || (len(settings) == 1) != tc.login {
				t.Fatalf("got settings %v, %v; want a login: %v", settings, err, tc.login)
			}
			if want := `{"arm":"https://127.0.0.1:1","clientId":"c","secretFile":"/secret","tenantId":"t"}`; tc.login &&
				settings[0].Value != want {
				t.Errorf("got login %s, want %s", settings[0].Value, want)
			}
			args, err := upArgs(e)
			if err != nil || slices.Contains(args, "--refresh") != tc.refresh {
				t.Errorf("got arguments %v, %v; want --refresh: %v", args, err, tc.refresh)
			}
		})
	}
}
