package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	t.Parallel()
	if err := run("../..", true); err != nil {
		t.Error(err)
	}
}

func TestStaleMissingAndLeftOverFilesAreFoundAndFixed(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("stale.go", "old")
	put("left-over.go", "old")
	put("go.mod", "kept")
	fresh := target{folder: ".", keep: []string{"go.mod"}}
	made := map[string][]byte{"stale.go": []byte("new"), "missing.go": []byte("new")}

	got, err := fresh.differences(root, made)
	if want := []string{"left-over.go", "missing.go", "stale.go"}; err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	for _, name := range got {
		if err := write(filepath.Join(root, name), made[name]); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := fresh.differences(root, made); err != nil || len(got) > 0 {
		t.Errorf("after writing: got %q, %v, want none", got, err)
	}
}

func TestSchemasDescribeEverythingAndReferToNothingUnknown(t *testing.T) {
	t.Parallel()
	for _, file := range append([]string{devicesFile}, publishedFiles...) {
		t.Run(file, func(t *testing.T) {
			doc, err := readDocument(filepath.Join("../..", file))
			if err != nil {
				t.Fatal(err)
			}
			all := map[string]map[string]property{}
			for name, res := range doc.Resources {
				all[name+" inputs"], all[name+" outputs"] = res.Inputs, res.Outputs
				for _, part := range strings.Split(res.Path, "/") {
					input := strings.TrimSuffix(strings.Trim(part, "{}"), "...")
					if _, known := res.Inputs[input]; strings.HasPrefix(part, "{") && !known &&
						input != "subscriptionId" {
						t.Errorf("%s: the path names %s, which is no input", name, input)
					}
				}
				if res.Description == "" {
					t.Errorf("%s has no description", name)
				}
			}
			for name, fn := range doc.Functions {
				all[name+" inputs"], all[name+" outputs"] = fn.Inputs, fn.Outputs
			}
			for name, typ := range doc.Types {
				all[name] = typ.Properties
			}
			for _, owner := range slices.Sorted(maps.Keys(all)) {
				for name, p := range all[owner] {
					if p.Description == "" {
						t.Errorf("%s.%s has no description", owner, name)
					}
					if !doc.knows(p.Type) {
						t.Errorf("%s.%s: unknown type %s", owner, name, p.Type)
					}
				}
			}
		})
	}
}

// knows says whether a type notation leads to something in the document.
func (doc document) knows(notation string) bool {
	notation = strings.TrimPrefix(notation, "[]")
	notation = strings.TrimSuffix(strings.TrimPrefix(notation, "map<"), ">")
	if name, ok := strings.CutPrefix(notation, "#"); ok {
		_, known := doc.Types[name]
		return known
	}
	if _, name, ok := strings.Cut(notation, "enum:"); ok {
		_, known := doc.Enums[name]
		return known
	}
	return slices.Contains([]string{"string", "integer", "number", "boolean", "any"}, notation)
}
