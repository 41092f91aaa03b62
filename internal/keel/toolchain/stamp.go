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

// stampFile is beside the project's built programs and identifies their sources. The go command needs one to two
// seconds to decide the same.
const stampFile = ".stamp"

// Fresh reports whether bin holds programs built from the project's current files by the same Go. It runs nothing, and
// compares names, sizes and times of files. Unknown counts as stale.
func Fresh(o Options, bin string) bool {
	have, err := os.ReadFile(filepath.Join(bin, stampFile))
	if err != nil {
		return false
	}
	want, err := stamp(o)
	return err == nil && string(have) == want && o.built(bin)
}

// built reports whether bin has every program of the project. A program that a power cut left blank counts as missing.
func (o Options) built(bin string) bool {
	names := []string{"keel", "pulumi-resource-azure-dps"}
	if !o.HostBuilds {
		names = append(names, "program")
	}
	for _, name := range names {
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

// isOurs reports whether a build overrides the variable.
func isOurs(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return slices.Contains([]string{"GOWORK", "GO111MODULE", "GOFLAGS", "GOOS", "GOARCH"}, name)
}

// isGoVariable reports whether a variable may change what the go command builds.
func isGoVariable(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "CGO_")
}

// stamp digests what the project's programs are built from: sources, modules and embedded tables below the root, the
// go command and its variables. It skips test data, hidden folders and those of other languages.
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
		func(pair string) bool { return !isGoVariable(pair) || isOurs(pair) },
	)
	slices.Sort(variables)
	fmt.Fprintln(hash, variables)
	if err := o.refuseOutsideModules(); err != nil {
		return "", err
	}
	err := filepath.WalkDir(o.Root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted while the folder was read
		case err != nil:
			return err
		case entry.IsDir():
			name := entry.Name()
			if path != o.Root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case !isSource(entry.Name()):
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

// isSource reports whether the programs may depend on a file of that name. Any file can be embedded, except those that
// people and Pulumi read.
func isSource(name string) bool {
	switch filepath.Ext(name) {
	case ".md", ".yaml", ".yml", ".txtar", ".png":
		return false
	}
	return !strings.HasSuffix(name, "_test.go")
}

// refuseOutsideModules returns an error when go.mod replaces a module by a folder outside the checkout, which the stamp
// does not cover.
func (o Options) refuseOutsideModules() error {
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
			return errors.New("go.mod replaces a module by a folder outside the checkout: " + path)
		}
	}
	return nil
}

// setStamp writes text as the stamp of bin, or removes the stamp when text is empty.
func setStamp(bin, text string) error {
	file := filepath.Join(bin, stampFile)
	if text == "" {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the stamp of the built programs: %w", err)
		}
		return nil
	}
	if err := durable.OS.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the stamp of the built programs: %w", err)
	}
	return nil
}
