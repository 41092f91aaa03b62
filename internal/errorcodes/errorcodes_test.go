package errorcodes_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"evenkeel/internal/errorcodes"
)

func TestEveryEntryIsWholeAndStandsOnce(t *testing.T) {
	t.Parallel()
	type key struct {
		code   int
		source errorcodes.Source
	}
	seen := map[key]bool{}
	for _, e := range errorcodes.All() {
		status := e.Code
		if status > 999 {
			status /= 1000
		}
		if status < 400 || status > 599 || e.Source == "" || !strings.HasSuffix(e.Cause, ".") || !strings.HasSuffix(e.Remedy, ".") {
			t.Errorf("got %+v, want a code of an error, a source, and sentences", e)
		}
		if k := (key{e.Code, e.Source}); seen[k] {
			t.Errorf("%d of %s stands twice", e.Code, e.Source)
		} else {
			seen[k] = true
		}
	}
}

func TestACodeIsFoundByNumberByNameAndAsMessagesWriteIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"401002": 1, "iothubunauthorizedaccess": 1, "IH400309": 1, "ih409002": 1, " 404 ": 1, "412001": 3, "400004": 3, "999999": 0, "": 0, "IH": 0, "-1": 0,
	} {
		if got := errorcodes.Find(text); len(got) != want {
			t.Errorf("%q: got %v, want %d entries", text, got, want)
		}
	}
}

// The codes that Azure is known to use: DPS device and service API, IoT Hub (ErrorCode.cs of the C# service SDK), resource provider.
var azure = []int{
	400207, 400208, 400209, 401000, 401001, 401002, 404201, 404202, 409201, 409203, 400303, 400309, 409002, 412001,
	400004, 401003, 403002, 403004, 404001, 404010, 404103, 409001, 409301, 412002, 413001, 413002, 429001, 500001, 503001, 400027, 404104,
}

func TestEveryKnownCodeAndEveryCodeOfTheEmulatorIsExplained(t *testing.T) {
	t.Parallel()
	for _, code := range azure {
		if len(errorcodes.Find(strconv.Itoa(code))) == 0 {
			t.Errorf("%d of Azure is not explained", code)
		}
	}
	pattern := regexp.MustCompile(`(?m)(?:code|number)\w+\s*=\s*([45]\d{5})\b|wireError\{([45]\d{5}),`)
	found := 0
	err := filepath.WalkDir("../../emulator/internal", func(path string, entry fs.DirEntry, err error) error {
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
