package environment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// newEnvironment returns an environment in its own checkout, whose path contains spaces, with the fake pulumi.
func newEnvironment(t *testing.T) *environment.Environment {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "a checkout")
	self, err := os.Executable()
	for _, sub := range []string{"stacks", "deep/er", "fake", "tools/pulumi"} {
		err = errors.Join(err, os.MkdirAll(filepath.Join(folder, sub), 0o700))
	}
	err = errors.Join(err, os.Symlink(self, filepath.Join(folder, "fake", "pulumi")))
	for name, text := range map[string]string{"Pulumi.yaml": "name: myproject\nstackConfigDir: stacks\n",
		"tools/pulumi/go.mod": "module x\n"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return &environment.Environment{
		Folder: environment.Folder{Root: folder}, Stack: environment.Local, Pulumi: filepath.Join(folder, "fake",
			"pulumi"),
		Endpoints: environment.Endpoints{PluginPort: 4711}, Stdout: io.Discard, Stderr: io.Discard,
	}
}

// ran returns the calls of the fake pulumi since the last call of ran.
func ran(t *testing.T, e *environment.Environment) []string {
	t.Helper()
	file := filepath.Join(filepath.Dir(e.Pulumi), "log")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := errors.Join(err, os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestTheCheckoutIsFoundFromItsFolders(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	got, err := environment.Find(filepath.Join(e.Folder.Root, "deep", "er"))
	if err != nil || got != e.Folder {
		t.Errorf("got %v, %v, want %v", got, err, e.Folder)
	}
	if _, err := environment.Find(t.TempDir()); err == nil || hint.Of(err) == "" {
		t.Errorf("outside: got %v, want an error with a hint", err)
	}
}

func TestThePassphraseIsCreatedOnceAndForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	for _, want := range []bool{true, false} {
		if fresh, err := e.Folder.Prepare(); err != nil || fresh != want {
			t.Fatalf("got %v, %v, want %v", fresh, err, want)
		}
	}
	info, err := os.Stat(e.Folder.Passphrase())
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() < 64 {
		t.Errorf("got %v, %v, want 64 characters with mode 0600", info, err)
	}
}

func TestAnEmptyPassphraseOrIdentityIsNamed(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	write(t, e.Folder.Passphrase(), "\n")
	if _, err := e.Folder.Prepare(); err == nil || !strings.Contains(err.Error(), e.Folder.Passphrase()) ||
		hint.Of(err) == "" {
		t.Errorf("got %v, want the file named", err)
	}
	write(t, filepath.Join(e.Folder.Backend(), "evenkeel-origin"), "")
	if origin, err := e.Origin(t.Context()); err == nil || !strings.Contains(err.Error(), "evenkeel-origin is empty") ||
		hint.Of(err) == "" {
		t.Errorf("got %q, %v, want the file named: all empty ones would be one origin", origin, err)
	}
}

func TestAStackFileIsReplacedAndNotWrittenInPlace(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	file := filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml")
	const old = "encryptionsalt: old\nconfig:\n  myproject:hubs: 3\n"
	write(t, file, old)
	before := filepath.Join(t.TempDir(), "before")
	if err := os.Link(file, before); err != nil {
		t.Fatal(err)
	}
	if err := e.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || strings.Contains(string(text), "encryptionsalt") {
		t.Errorf("got %q, %v, want no salt", text, err)
	}
	if text, err := os.ReadFile(before); err != nil || string(text) != old {
		t.Errorf("got %q, %v, want the old file as it was", text, err)
	}
}

func TestChildrenGetOnlyAllowedVariables(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	var out bytes.Buffer
	e.Stdout = &out
	e.Program = "/x/program"
	e.Inherited = []string{
		"PATH=/usr/bin:/bin", "HOME=/home/me", "GOFLAGS=-mod=mod", "LC_ALL=C", "https_proxy=http://p",
		"SSL_CERT_FILE=/c",
		"PULUMI_CONFIG_PASSPHRASE=other", "PULUMI_ACCESS_TOKEN=secret", "PULUMI_STACK=theirs",
		"ARM_CLIENT_SECRET=secret",
		"AZURE_CLIENT_ID=id", "GOOGLE_CREDENTIALS=secret", "AWS_SECRET_ACCESS_KEY=secret", "EVENKEEL_PROGRAM=/old",
	}
	if err := e.Run(t.Context(), "env"); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	for _, want := range []string{
		"HOME=/home/me", "GOFLAGS=-mod=mod", "LC_ALL=C", "https_proxy=http://p", "SSL_CERT_FILE=/c",
		"PULUMI_STACK=local",
		"PATH=" + filepath.Dir(e.Pulumi) + ":/usr/bin:/bin", "PULUMI_HOME=" + e.Folder.PulumiHome(),
		"PULUMI_DEBUG_PROVIDERS=azure-native:4711",
		"PULUMI_BACKEND_URL=file://" + strings.ReplaceAll(e.Folder.Backend(), " ", "%20") + "?metadata=skip",
		"EVENKEEL_PROGRAM=/x/program",
		"PULUMI_CONFIG_PASSPHRASE_FILE=" + e.Folder.Passphrase(), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
	} {
		t.Run(want, func(t *testing.T) {
			if !slices.Contains(got, want) {
				t.Errorf("got no %s in\n%s", want, out.String())
			}
		})
	}
	for _, banned := range []string{"secret", "other", "theirs", "AZURE_", "ARM_", "GOOGLE_", "/old"} {
		t.Run(banned, func(t *testing.T) {
			if strings.Contains(out.String(), banned) {
				t.Errorf("got %q in\n%s", banned, out.String())
			}
		})
	}
	want := []string{"ARM_CLIENT_SECRET", "AZURE_CLIENT_ID", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE"}
	if got := e.Dropped(); !slices.Equal(got, want) {
		t.Errorf("dropped: got %v, want %v", got, want)
	}
}

func TestTheStackIsCreatedOnceAndOnlyDifferencesAreWritten(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	settings := []environment.Setting{{Key: "target", Value: "local"}, {Key: "caFile", Value: "/a b/ca.pem"},
		{Key: "owner", Value: "me", Keep: true}}
	file := filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml")
	for _, step := range []struct {
		name, config string
		want         []string
	}{
		{"first", "", []string{"stack init local --secrets-provider passphrase"}},
		{"again", "encryptionsalt: s\nconfig:\n  myproject:target: local\n  myproject:caFile: /a b/ca.pem\n  " +
			"myproject:owner: me\n", nil},
		{"moved", "config:\n  myproject:target: local\n  myproject:caFile: /old\n  myproject:owner: you\n  " +
			"other:target: x\n",
			[]string{"config set-all --plaintext caFile=/a b/ca.pem"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			if step.config != "" {
				if err := os.WriteFile(file, []byte(step.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Ensure(t.Context(), settings...); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			if got := ran(t, e); !slices.Equal(got, step.want) {
				t.Errorf("%s: got %q, want %q", step.name, got, step.want)
			}
			if text, err := os.ReadFile(file); step.name == "first" &&
				string(text) != "config:\n  myproject:caFile: /a b/ca.pem\n  myproject:owner: me\n  myproject:target: "+
					"local\n" {
				t.Errorf("got the stack file %q, %v, want all settings", text, err)
			}
		})
	}
}

func TestTheStackFileIsRemovedIfTheStackCannotBeCreated(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.Pulumi = filepath.Join(t.TempDir(), "no pulumi")
	if err := e.Ensure(t.Context(), environment.Setting{Key: "target", Value: "local"}); err == nil {
		t.Fatal("got no error")
	}
	if files, err := os.ReadDir(filepath.Join(e.Folder.Root, "stacks")); err == nil && len(files) > 0 {
		t.Errorf("got %v left behind", files)
	}
}

func TestTheSaltOfALostPassphraseIsDropped(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ lost bool }{"lost": {true}, "kept": {false}} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			file := filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml")
			if err := os.WriteFile(file, []byte("encryptionsalt: old\nconfig:\n  myproject:hubs: 3\n"),
				0o600); err != nil {
				t.Fatal(err)
			}
			if !tc.lost {
				if _, err := e.Folder.Prepare(); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(string(text), "encryptionsalt"); got == tc.lost ||
				!strings.Contains(string(text), "hubs: 3") {
				t.Errorf("%s: got %q", name, text)
			}
		})
	}
}

func TestAWrongPassphraseIsExplained(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	var stderr bytes.Buffer
	e.Stderr = &stderr
	err := e.Run(context.Background(), "up")
	var exit *environment.ExitError
	if !errors.As(err, &exit) || exit.Code != 255 {
		t.Fatalf("got %v, want exit code 255", err)
	}
	if !strings.Contains(hint.Of(err), e.Folder.Passphrase()) ||
		!strings.Contains(stderr.String(), "incorrect passphrase") {
		t.Errorf("got hint %q and %q, want the passphrase file, and Pulumi's own words", hint.Of(err), stderr.String())
	}
}

func TestLocalLogsAreOffUnlessTheirFolderExists(t *testing.T) {
	t.Parallel()
	for wanted, folder := range map[bool]environment.Folder{false: {Root: t.TempDir()}, true: {Root: t.TempDir()}} {
		t.Run(fmt.Sprintf("folder=%t", wanted), func(t *testing.T) {
			logs := filepath.Join(folder.PulumiHome(), "logs")
			if wanted {
				if err := os.MkdirAll(logs, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := folder.Prepare(); err != nil {
					t.Fatal(err)
				}
			}
			if info, err := os.Stat(logs); err != nil || info.IsDir() != wanted {
				t.Errorf("a folder: %t: got %v, %v, want it left as it is or a file", wanted, info, err)
			}
		})
	}
}
