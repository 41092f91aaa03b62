package rules_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// maxTracked is the size in bytes above which a file is a build product: git keeps every version of it. The
// largest source is the generated SDK of azure-native's devices.
const maxTracked = 1 << 20

// TestNoBuildProductIsTracked holds git to sources. `go build ./cmd/keel` writes a program to the current folder, which
// `git add -A` takes along.
func TestNoBuildProductIsTracked(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("this copy of the project has no git repository")
	}
	list, err := exec.CommandContext(t.Context(), "git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		t.Skipf("git does not list the files: %v", err)
	}
	names := strings.Split(strings.TrimSuffix(string(list), "\x00"), "\x00")
	if len(names) < 100 {
		t.Errorf("git lists %d files, want those of the project", len(names))
	}
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name)))
		if err == nil && info.Size() > maxTracked {
			t.Errorf("%s has %d bytes: remove it from git, and name it in .gitignore if a build writes it", name,
				info.Size())
		}
	}
}
