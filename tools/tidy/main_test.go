package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/modfile"
)

func TestSharedModulesAreRaisedToTheHighestVersion(t *testing.T) {
	t.Parallel()
	files := map[string]*modfile.File{}
	for folder, requirements := range map[string]string{
		".":          "a.org/a v1.2.0\nb.org/b v1.10.0\nonly.org/here v1.0.0\nsame.org/s v1.1.0\np.org/sdk/v3 v3.250.0",
		"tools/cli":  "a.org/a v1.3.0 // indirect\nb.org/b v1.9.0\nsame.org/s v1.1.0",
		"tools/host": "b.org/b v1.2.0\np.org/sdk/v3 v3.60.0 // not aligned: the last release that holds the host",
	} {
		file, err := modfile.Parse("go.mod", []byte("module x\nrequire (\n"+requirements+"\n)\n"), nil)
		if err != nil {
			t.Fatal(err)
		}
		files[folder] = file
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
