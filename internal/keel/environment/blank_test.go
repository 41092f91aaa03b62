package environment_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// TestTheErrorForAnEmptyFileNamesIt empties files that keel cannot recreate: the passphrase and the identity of a
// backend.
func TestTheErrorForAnEmptyFileNamesIt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte("name: myproject\nruntime: go\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	folder := environment.Folder{Root: root}
	if fresh, err := folder.Prepare(); err != nil || !fresh {
		t.Fatalf("got %v, %v; want a new passphrase", fresh, err)
	}
	if fresh, err := folder.Prepare(); err != nil || fresh {
		t.Fatalf("got %v, %v; want the passphrase kept", fresh, err)
	}
	e := &environment.Environment{Folder: folder, Stack: "local"}
	first, err := e.Origin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := e.Origin(t.Context()); err != nil || again != first {
		t.Fatalf("got the origin %q, %v; want %q again", again, err, first)
	}
	identity := filepath.Join(folder.Backend(), "evenkeel-origin")
	for file, use := range map[string]func() error{
		folder.Passphrase(): func() error { _, err := folder.Prepare(); return err },
		identity:            func() error { _, err := e.Origin(t.Context()); return err },
	} {
		t.Run(file, func(t *testing.T) {
			if err := os.Truncate(file, 0); err != nil {
				t.Fatal(err)
			}
			if err := use(); err == nil || !strings.Contains(err.Error(), file+" is empty") || hint.Of(err) == "" {
				t.Errorf("got %v with the hint %q, want the file named and what to do", err, hint.Of(err))
			}
		})
	}
}
