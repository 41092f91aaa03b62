package documents_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"evenkeel/emulator/internal/documents"
	"evenkeel/internal/durable"
)

func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestPutOpenListDelete(t *testing.T) {
	t.Parallel()
	for place, dir := range map[string]string{"in memory": "", "in a folder": filepath.Join(t.TempDir(), "snapshots")} {
		t.Run(place, func(t *testing.T) {
			s := documents.NewFolder(durable.OS, dir)
			if list, err := s.List(); err != nil || list == nil || len(list) != 0 {
				t.Errorf("%s: got %v, %v at first, want an empty list", place, list, err)
			}
			for _, step := range []error{s.Put("b", write("old")), s.Put("a.1", write("one")),
				s.Put("b", write("two"))} {
				if step != nil {
					t.Fatal(step)
				}
			}
			if err := s.Put("b", func(w io.Writer) error {
				return errors.Join(write("half")(w), io.ErrShortWrite)
			}); !errors.Is(err, io.ErrShortWrite) {
				t.Errorf("%s: got %v of a write that fails, want its error", place, err)
			}
			f, err := s.Open("b")
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(f)
			if err = errors.Join(err, f.Close()); err != nil || string(text) != "two" {
				t.Errorf("%s: got %q, %v, want what was put last", place, text, err)
			}
			list, err := s.List()
			if err != nil || len(list) != 2 || list[0].Name != "a.1" || list[1].Bytes != 3 || list[1].Saved.IsZero() {
				t.Errorf("%s: got %+v, %v, want a.1 and b with 3 bytes", place, list, err)
			}
			if err := s.Delete("b"); err != nil {
				t.Error(err)
			}
			if _, err := s.Open("b"); !errors.Is(err, documents.ErrAbsent) {
				t.Errorf("%s: got %v of a deleted one, want %v", place, err, documents.ErrAbsent)
			}
			if err := s.Delete("b"); !errors.Is(err, documents.ErrAbsent) {
				t.Errorf("%s: got %v of deleting it again, want %v", place, err, documents.ErrAbsent)
			}
		})
	}
}

func TestOnlyTheOwnerCanReadFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "snapshots")
	if err := documents.NewFolder(durable.OS, dir).Put("a", write("secret")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "a.json"): 0o600} {
		t.Run(name, func(t *testing.T) {
			if info, err := os.Stat(name); err != nil || info.Mode() != want {
				t.Errorf("got %v, %v of %s, want mode %v", info.Mode(), err, name, want)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v, want no file left over", left, err)
	}
}

func TestNamesCannotEscapeTheFolder(t *testing.T) {
	t.Parallel()
	s := documents.NewFolder(durable.OS, t.TempDir())
	for _, name := range []string{"", ".", "..", "../a", "a/b", `a\b`, ".hidden", "a\x00", "ä"} {
		t.Run(fmt.Sprintf("%.60q", name), func(t *testing.T) {
			_, err := s.Open(name)
			for _, err := range []error{err, s.Put(name, write("x")), s.Delete(name)} {
				if !errors.Is(err, documents.ErrName) {
					t.Errorf("%q: got %v, want %v", name, err, documents.ErrName)
				}
			}
		})
	}
}
