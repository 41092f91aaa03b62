package errorcodes_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/keel/errorcodes"
)

func TestEveryEntryIsCompleteAndUnique(t *testing.T) {
	t.Parallel()
	type key struct {
		code   int
		source errorcodes.Source
		name   string
	}
	seen := map[key]bool{}
	for _, e := range errorcodes.All() {
		status := e.Code
		if status > 999 {
			status /= 1000
		}
		if status < 400 || status > 599 || e.Source == "" || !strings.HasSuffix(e.Cause, ".") ||
			!strings.HasSuffix(e.Remedy, ".") {
			t.Errorf("got %+v, want a code of an error, a source, and sentences", e)
		}
		if k := (key{e.Code, e.Source, e.Name}); seen[k] {
			t.Errorf("%d of %s is duplicated", e.Code, e.Source)
		} else {
			seen[k] = true
		}
	}
}

func TestACodeIsFoundByNumberByNameAndAsMessagesWriteIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"401002": 1, "MissingSubscriptionRegistration": 1, "resourcenotfound": 1, "iothubunauthorizedaccess": 1,
		"IH400309": 1, "ih409002": 1, " 404 ": 5, "412001": 3, "400004": 3, "999999": 0, "": 0, "IH": 0, "-1": 0,
	} {
		t.Run(text, func(t *testing.T) {
			if got := errorcodes.Find(text); len(got) != want {
				t.Errorf("%q: got %v, want %d entries", text, got, want)
			}
		})
	}
}

// sources are the services in testdata/azure.txt and the names that the entries have for them.
var sources = map[string][]errorcodes.Source{
	"dps": {errorcodes.Service, errorcodes.Both}, "hub": {errorcodes.Hub, errorcodes.Both},
	"arm": {errorcodes.Management},
}

func TestEveryCodeOfAzureIsExplainedForTheServiceThatReturnsIt(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/azure.txt")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		count++
		own := slices.DeleteFunc(errorcodes.Find(fields[1]), func(e errorcodes.Entry) bool {
			return !slices.Contains(sources[fields[0]], e.Source) || e.EmulatorOnly || len(fields) > 2 &&
				e.Name != fields[2]
		})
		if len(own) != 1 {
			t.Errorf("%s: got %v, want one explanation", strings.TrimSpace(line), own)
		}
	}
	if count < 34 {
		t.Errorf("got %d codes, want all that are known", count)
	}
}

func TestEveryCodeOfTheEmulatorIsExplained(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(`(?m)(?:code|number)\w+\s*=\s*([45]\d{5})\b|wireError\{([45]\d{5}),`)
	found := 0
	err := filepath.WalkDir("../../../emulator/internal", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range pattern.FindAllStringSubmatch(string(text), -1) {
			code := match[1] + match[2]
			found++
			if len(errorcodes.Find(code)) == 0 {
				t.Errorf("%s: code %s is not explained", path, code)
			}
		}
		return err
	})
	if err != nil || found < 30 {
		t.Errorf("got %d codes, %v, want those of all surfaces", found, err)
	}
}
