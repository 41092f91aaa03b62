//go:build acceptance

package acceptance_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"

	own "evenkeel/acceptance/checkout"
)

// encoded matches text that may be a shared access key in base64.
var encoded = regexp.MustCompile(`[A-Za-z0-9+/]{40,}={0,2}`)

// noPlainKeys implements `noplainkeys`, which checks that no key of the stack is in its plain export, in the emulator's
// log, or in any file of the environment except the emulator's own store and secrets.
func checkNoPlainKeys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: noplainkeys")
	}
	shown, err := own.Keel(checkout, "exec", "--", "pulumi", "stack", "export", "--show-secrets")
	ts.Check(err)
	keys := map[string]bool{}
	for _, candidate := range encoded.FindAll(shown, -1) {
		if raw, err := base64.StdEncoding.DecodeString(string(candidate)); err == nil &&
			(len(raw) == 64 || len(raw) == 32) {
			keys[string(candidate)] = true
		}
	}
	// Three policies of each of two hubs, two of the service, a group and two enrollments, two keys each at least.
	if len(keys) < 22 {
		ts.Fatalf("found %d keys in the export with secrets, want 22 or more: the search does not see them", len(keys))
	}
	plain, err := own.Keel(checkout, "exec", "--", "pulumi", "stack", "export")
	ts.Check(err)
	texts := map[string][]byte{"the plain export": plain}
	ts.Check(filepath.WalkDir(filepath.Join(checkout, ".evenkeel"), func(name string, entry os.DirEntry,
		err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); base == "bin" || base == "emulator" {
				return filepath.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(name)
		texts[name] = data
		return err
	}))
	for name, text := range texts {
		for key := range keys {
			if bytes.Contains(text, []byte(key)) {
				ts.Fatalf("%s holds a key in plain text (it begins with %s)", name, key[:4])
			}
		}
	}
}
