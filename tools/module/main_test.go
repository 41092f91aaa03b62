package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sample is a small project with everything that names the module.
var sample = map[string]string{
	"go.mod": "module keelhouse\n\ngo 1.26.0\n\nrequire github.com/up/stream/v2 v2.1.0\n\n" +
		"replace github.com/up/stream/v2 => ./sdks/stream\n\nreplace github.com/fork/ed => github.com/our/fork v1.0.0\n",
	"tools/gen/go.mod": "module keelhouse/tools/gen\n\ngo 1.26.0\n",
	"internal/a/a.go":  "package a\n",
	"sdks/sdk.go":      "package sdks\n",
	"main.go": "package main\n\nimport (\n\t_ \"github.com/zed/z\"\n\t_ \"keelhouse/internal/a\"\n)\n\n" +
		"// The files are in .keelhouse/sdks and stacks/keelhouse/sdks.\nconst base = \"keelhouse/sdks\"\n",
	"Pulumi.yaml": "name: keelhouse\n",
	"logo.png":    "\x89PNG\x00keelhouse/sdks",
	"ignored.txt": "keelhouse/sdks",
	".gitignore":  "ignored.txt\n",
}

func writeSample(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range sample {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", root, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return root
}

func TestTheCopyHasTheNewPathEverywhere(t *testing.T) {
	root, to := writeSample(t), filepath.Join(t.TempDir(), "published")
	if err := run(root, "github.com/acme/keel", to); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"go.mod": "module github.com/acme/keel\n\ngo 1.26.0\n\nrequire github.com/up/stream/v2 v2.1.0\n\n" +
			"replace github.com/fork/ed => github.com/our/fork v1.0.0\n",
		"tools/gen/go.mod": "module github.com/acme/keel/tools/gen\n\ngo 1.26.0\n",
		"internal/a/a.go":  sample["internal/a/a.go"],
		"sdks/sdk.go":      sample["sdks/sdk.go"],
		"main.go": "package main\n\nimport (\n\t_ \"github.com/acme/keel/internal/a\"\n" +
			"\t_ \"github.com/zed/z\"\n)\n\n" +
			"// The files are in .keelhouse/sdks and stacks/keelhouse/sdks.\n" +
			"const base = \"github.com/acme/keel/sdks\"\n",
		"Pulumi.yaml": sample["Pulumi.yaml"],
		"logo.png":    sample["logo.png"],
		".gitignore":  sample[".gitignore"],
	}
	for name, text := range want {
		t.Run(name, func(t *testing.T) {
			got, err := os.ReadFile(filepath.Join(to, name))
			if err != nil || string(got) != text {
				t.Errorf("%s: got %q, %v, want %q", name, got, err, text)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(to, "ignored.txt")); err == nil {
		t.Error("the copy contains a file that git ignores")
	}
	if got, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || string(got) != sample["go.mod"] {
		t.Errorf("the checkout's go.mod: got %s, %v, want it unchanged", got, err)
	}
}

func TestACopyIsRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ path, to, want string }{
		"no path":                {"", t.TempDir(), "module path"},
		"a path that Go rejects": {"github.com/acme/Keel Haus", t.TempDir(), "module path"},
		"a path of one word":     {"keel", t.TempDir(), "module path"},
		"no folder":              {"github.com/acme/keel", "", "-to FOLDER"},
		"a folder with files":    {"github.com/acme/keel", full, "is not empty"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(writeSample(t), tc.path, tc.to)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
