package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

func TestSharedModulesAreRaisedToTheHighestVersion(t *testing.T) {
	t.Parallel()
	files := map[string]*modfile.File{
		".": requiring(t, "a.org/a v1.2.0", "b.org/b v1.10.0", "only.org/here v1.0.0", "same.org/s v1.1.0",
			"p.org/sdk/v3 v3.250.0"),
		"tools/cli":  requiring(t, "a.org/a v1.3.0 // indirect", "b.org/b v1.9.0", "same.org/s v1.1.0"),
		"tools/host": requiring(t, "b.org/b v1.2.0", "p.org/sdk/v3 v3.60.0 // not aligned: no later one has the host"),
	}
	want := map[string][]string{
		".":          {"a.org/a@v1.3.0"},
		"tools/cli":  {"b.org/b@v1.10.0"},
		"tools/host": {"b.org/b@v1.10.0"},
	}
	if diff := cmp.Diff(want, raises(files)); diff != "" {
		t.Errorf("versions to raise (-want +got):\n%s", diff)
	}
}

func requiring(t *testing.T, lines ...string) *modfile.File {
	t.Helper()
	text := "module x\nrequire (\n" + strings.Join(lines, "\n") + "\n)\n"
	file, err := modfile.Parse("go.mod", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
