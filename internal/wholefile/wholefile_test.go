package wholefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"evenkeel/internal/wholefile"
)

func TestAFileIsReplacedWhole(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	for _, text := range []string{"first", "", "the second, which is longer"} {
		if err := wholefile.Write(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("got %q, %v, want %q", got, err, text)
		}
	}
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want it readable by its owner only", info.Mode(), err)
	}
	wantOnly(t, folder, "file")
}

// TestAFailedWriteChangesNothing: the rename fails, because a folder is in the way.
func TestAFailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	if err := os.MkdirAll(filepath.Join(path, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(path, []byte("text"), 0o600); err == nil {
		t.Error("got no error for a path that is a folder")
	}
	wantOnly(t, folder, "file")
	if err := wholefile.Write(filepath.Join(folder, "absent", "file"), []byte("text"), 0o600); err == nil {
		t.Error("got no error for a folder that does not exist")
	}
}

func TestOfManyThatCreateAFileOneDoes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	texts := make(chan string, 8)
	var creating sync.WaitGroup
	for i := range 8 {
		creating.Go(func() {
			text := strings.Repeat(strconv.Itoa(i), 100)
			switch err := wholefile.Create(path, []byte(text), 0o600); {
			case err == nil:
				texts <- text
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("got %v", err)
			}
		})
	}
	creating.Wait()
	if got, err := os.ReadFile(path); err != nil || len(texts) != 1 || string(got) != <-texts {
		t.Errorf("got %q, %v, want what one of them wrote", got, err)
	}
	wantOnly(t, folder, "file")
}

func wantOnly(t *testing.T, folder, name string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("got %v, %v in the folder, want %s alone", entries, err, name)
	}
}
