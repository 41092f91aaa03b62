// Command module copies the project under another module path, in the form that is published: imports, go.mod files,
// schema and documents name the new path, and go.mod has no local replace. It changes nothing in the checkout.
//
//	go run ./tools/module -path github.com/acme/evenkeel -to ../published
package main

import (
	"errors"
	"flag"
	"fmt"
	"go/format"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

func main() {
	path := flag.String("path", "", "the module path of the copy, such as github.com/acme/evenkeel")
	to := flag.String("to", "", "an empty or new folder for the copy")
	flag.Parse()
	if err := run(".", *path, *to); err != nil {
		fmt.Fprintln(os.Stderr, "module:", err)
		os.Exit(1)
	}
	fmt.Printf("Copied to %s as %s.\nNext, where the upstream SDK can be downloaded: cd %s && go mod tidy\n", *to,
		*path, *to)
}

// run copies the project at root to the folder to, as the module path.
func run(root, path, to string) error {
	if err := module.CheckPath(path); err != nil {
		return fmt.Errorf("check the module path: %w\nhint: pass -path, such as github.com/acme/evenkeel", err)
	}
	if _, _, ok := module.SplitPathVersion(path); !ok || !strings.Contains(path, "/") {
		return fmt.Errorf("check the module path %s: got no repository in it\nhint: pass -path, such as "+
			"github.com/acme/evenkeel", path)
	}
	if err := makeEmpty(to); err != nil {
		return err
	}
	r, err := newRenaming(root, path)
	if err != nil {
		return err
	}
	files, err := listFiles(root)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := r.copy(root, to, name); err != nil {
			return err
		}
	}
	return nil
}

// makeEmpty creates a folder, and refuses one with files in it.
func makeEmpty(folder string) error {
	if folder == "" {
		return errors.New("copy the project: no folder\nhint: pass -to FOLDER")
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("copy the project: %s is not empty\nhint: pass -to with a new folder", folder)
	}
	return os.MkdirAll(folder, 0o755)
}

// listFiles returns the project's files, slash-separated, without those that git ignores.
func listFiles(root string) ([]string, error) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the project's files: %w", err)
	}
	names := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	// A file that was deleted and is still in the index is not part of the project.
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := os.Lstat(filepath.Join(root, name))
		return err != nil || !info.Mode().IsRegular()
	}), nil
}

// renaming replaces the module's path in texts.
type renaming struct {
	path string
	// packages matches the old path before a top folder of Go packages, and the character before it.
	packages *regexp.Regexp
}

func newRenaming(root, path string) (renaming, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return renaming{}, fmt.Errorf("%w\nhint: run this at the top of the checkout", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return renaming{}, err
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			folders = append(folders, regexp.QuoteMeta(entry.Name()))
		}
	}
	old := modfile.ModulePath(text)
	// A dot or slash before the path makes it part of a file's or another module's path.
	packages, err := regexp.Compile(`(^|[^\w./-])` + regexp.QuoteMeta(old) + `(/(?:` + strings.Join(folders, "|") +
		`)\b)`)
	return renaming{path: path, packages: packages}, err
}

// copy copies one file, and renames the module in it if it is text.
func (r renaming) copy(root, to, name string) error {
	source := filepath.Join(root, filepath.FromSlash(name))
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if content, err = r.rename(name, content); err != nil {
		return fmt.Errorf("rename the module in %s: %w", name, err)
	}
	target := filepath.Join(to, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, content, info.Mode().Perm())
}

// rename returns the content of a file for the copy.
func (r renaming) rename(name string, content []byte) ([]byte, error) {
	if slices.Contains(content, 0) {
		return content, nil // not text
	}
	renamed := r.packages.ReplaceAll(content, []byte("${1}"+r.path+"${2}"))
	switch {
	case name == "go.mod":
		return r.publish(renamed)
	case strings.HasSuffix(name, ".go") && !slices.Equal(renamed, content):
		// Imports are sorted by their path.
		return format.Source(renamed)
	}
	return renamed, nil
}

// publish sets the path of go.mod and drops its local replaces, which `go install …@version` refuses.
func (r renaming) publish(text []byte) ([]byte, error) {
	file, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	if err := file.AddModuleStmt(r.path); err != nil {
		return nil, err
	}
	for _, replace := range slices.Clone(file.Replace) {
		if replace.New.Version != "" {
			continue
		}
		if err := file.DropReplace(replace.Old.Path, replace.Old.Version); err != nil {
			return nil, err
		}
	}
	file.Cleanup()
	return file.Format()
}
