package toolchain

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"evenkeel/internal/durable"
)

// stampFile lies beside the project's built programs and tells from what they were built. Asking the go command the
// same takes it one to two seconds.
const stampFile = ".stamp"

// Fresh reports whether bin holds programs built from the project's files as they are now, by the same Go. It runs
// nothing. It goes by names, sizes and times: what cannot be told counts as stale.
func Fresh(o Options, bin string) bool {
	have, err := os.ReadFile(filepath.Join(bin, stampFile))
	if err != nil {
		return false
	}
	want, err := stamp(o)
	return err == nil && string(have) == want && built(bin)
}

// built reports whether every program of the project lies in bin. One that a loss of power left blank does not.
func built(bin string) bool {
	for _, name := range []string{"keel", "pulumi-resource-azure-dps", "program"} {
		if begins, err := beginning(filepath.Join(bin, executable(name))); err != nil || durable.IsBlank(begins) {
			return false
		}
	}
	return true
}

// beginning returns the first bytes of a file.
func beginning(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return io.ReadAll(io.LimitReader(file, 64))
}

// isOurs reports whether a build sets the variable itself, whatever it was.
func isOurs(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return slices.Contains([]string{"GOWORK", "GO111MODULE", "GOFLAGS", "GOOS", "GOARCH"}, name)
}

// leading reports whether a variable leads the go command in a build of ours.
func leading(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_")
}

// stamp digests what the project's programs are built from: sources, modules and embedded tables below the root, the
// go command, and the variables that lead it. Folders of tests, hidden ones and those of other languages are left
// out.
func stamp(o Options) (string, error) {
	hash := sha256.New()
	if path := goCommand(o.Env); path != "" {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("look at the go command: %w", err)
		}
		fmt.Fprintln(hash, path, info.Size(), info.ModTime().UnixNano())
	}
	variables := slices.DeleteFunc(
		slices.Clone(o.Env),
		func(pair string) bool { return !leading(pair) || isOurs(pair) },
	)
	slices.Sort(variables)
	fmt.Fprintln(hash, variables)
	if err := o.alone(); err != nil {
		return "", err
	}
	err := filepath.WalkDir(o.Root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone while the folder was read
		case err != nil:
			return err
		case entry.IsDir():
			name := entry.Name()
			if path != o.Root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case !source(entry.Name()):
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(o.Root, path)
		if err != nil {
			return err
		}
		fmt.Fprintln(hash, name, info.Size(), info.ModTime().UnixNano())
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at the sources: %w", err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// source reports whether the programs may depend on a file of that name: anything can be embedded, but for what is
// read by people and by Pulumi.
func source(name string) bool {
	switch filepath.Ext(name) {
	case ".md", ".yaml", ".yml", ".txtar", ".png":
		return false
	}
	return !strings.HasSuffix(name, "_test.go")
}

// alone fails when the programs are built from folders that the stamp does not see: by a replacement that leads out
// of the checkout.
func (o Options) alone() error {
	text, err := os.ReadFile(filepath.Join(o.Root, "go.mod"))
	if err != nil {
		return err
	}
	module, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return err
	}
	for _, replace := range module.Replace {
		if path := replace.New.Path; modfile.IsDirectoryPath(path) && !filepath.IsLocal(path) {
			return errors.New("a module is replaced by a folder elsewhere: " + path)
		}
	}
	return nil
}

// setStamp notes that bin was built from what text digests; "" takes the note away.
func setStamp(bin, text string) error {
	file := filepath.Join(bin, stampFile)
	if text == "" {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget what was built: %w", err)
		}
		return nil
	}
	if err := durable.OS.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("note what was built: %w", err)
	}
	return nil
}
