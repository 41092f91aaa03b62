package rules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rooms are the folders of internal that contain packages of one kind, with the rooms that each may import and the
// reason.
var rooms = map[string]struct {
	imports []string
	reason  string
}{
	"azure": {nil, "clients of Azure and its rules do not depend on their callers"},
	"program": {[]string{"azure"},
		"packages of the program know Azure's rules, but neither the provider nor the command line"},
	"provider": {[]string{"azure"}, "the provider is a process of its own that any program may use"},
	"fleet":    {nil, "the command line and the emulator's page share it"},
	"keel": {[]string{"azure", "fleet"},
		"packages of the command line know Azure and devices; they start everything else as processes"},
}

// apart are the packages of internal outside the rooms: they import no room, and every room may import them, except in
// tests.
var apart = []string{"authority", "await", "conformance", "durable", "hint", "rules", "version"}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		room, isRoom := roomOf(module + "/" + f.dir)
		if f.test || !isRoom {
			continue
		}
		for _, imported := range f.imports() {
			other, is := roomOf(imported)
			if !is || other == room || slices.Contains(rooms[room].imports, other) {
				continue
			}
			if slices.Contains(apart, room) && room == "conformance" && other == "azure" {
				continue // signatures, which vectors from outside check
			}
			if slices.Contains(apart, other) {
				continue
			}
			t.Errorf("%s imports %s: %s", f.path, imported, rooms[room].reason)
		}
	}
}

// layers are the packages of the provider's room, the lowest first: each may import those before it. So an entry knows
// nothing of sets, and neither knows how the provider is configured.
var layers = []string{"internal/provider/entry", "internal/provider/set", "internal/provider"}

func TestPackagesOfTheProviderImportOnlyLowerOnes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range files(t) {
		layer := slices.Index(layers, f.dir)
		if layer < 0 && under(f.dir, "internal/provider") && f.dir != "internal/provider/examples" {
			t.Errorf("%s is in no layer of internal/provider: add its package to the list", f.path)
		}
		if layer < 0 || f.test {
			continue
		}
		seen[f.dir] = true
		for _, imported := range f.imports() {
			path, isOwn := strings.CutPrefix(imported, module+"/")
			if other := slices.Index(layers, path); isOwn && other >= layer {
				t.Errorf("%s imports %s: arrows in internal/provider go from the provider to sets to entries", f.path,
					path)
			}
		}
	}
	if len(seen) != len(layers) {
		t.Errorf("got files of %v, want of all of %v", seen, layers)
	}
}

func TestEachPackageOfInternalIsInARoom(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.Join(root, "internal"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, is := rooms[entry.Name()]; !is && !slices.Contains(apart, entry.Name()) {
			t.Errorf("internal/%s is no room: put the package into one of them", entry.Name())
		}
	}
}

// roomOf returns the room of a package of internal, or the name of one that is in no room.
func roomOf(path string) (string, bool) {
	rest, is := strings.CutPrefix(path, module+"/internal/")
	name, _, _ := strings.Cut(rest, "/")
	return name, is
}
