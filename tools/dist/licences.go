package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
)

// legal matches the names of files with a licence or with notices that a copy must keep.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents|unlicense)([-._].*)?$`)

// elsewhere are modules without a file for their licence, and the file that states it.
var elsewhere = map[string]string{"github.com/mattn/go-localereader": "README.md"}

// dependency is a module as `go list -m` describes it.
type dependency struct {
	Path, Version, Dir string
	Replace            *dependency
}

// notices returns the project's NOTICE and the licences and notices of every module in a built program. A module
// without such a file is an error: its program must not be distributed before its licence was checked.
func notices(root, binary string) ([]byte, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("read the modules of %s: %w", binary, err)
	}
	own, err := os.ReadFile(filepath.Join(root, "NOTICE"))
	if err != nil {
		return nil, err
	}
	text := bytes.NewBuffer(own)
	fmt.Fprintf(text,
		"\nThis program contains the Go standard library %s and the modules below, under these licences.\n",
		info.GoVersion)
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find the licence of Go: %w", err)
	}
	std := dependency{Path: "std", Version: info.GoVersion, Dir: strings.TrimSpace(string(goroot))}
	if err := addLegal(text, std); err != nil {
		return nil, err
	}
	modules, err := locate(root, info.Deps)
	if err != nil {
		return nil, err
	}
	for _, module := range modules {
		if err := addLegal(text, module); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// locate returns the modules with their folders, in the order of their paths.
func locate(root string, modules []*debug.Module) ([]dependency, error) {
	args := []string{"list", "-m", "-json"}
	for _, module := range modules {
		args = append(args, module.Path)
	}
	list := exec.Command("go", args...)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("locate the modules: %w", err)
	}
	var located []dependency
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var d dependency
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		located = append(located, d)
	}
	slices.SortFunc(located, func(a, b dependency) int { return strings.Compare(a.Path, b.Path) })
	return located, nil
}

// addLegal adds the legal files of a module.
func addLegal(text *bytes.Buffer, module dependency) error {
	fmt.Fprintf(text, "\n%s\n%s %s\n", strings.Repeat("=", 80), module.Path, module.Version)
	if module.Replace != nil && module.Replace.Version == "" {
		text.WriteString("Generated in this project; see the beginning of this file.\n")
		return nil
	}
	entries, err := os.ReadDir(module.Dir)
	if err != nil {
		return fmt.Errorf("read the licence of %s: %w", module.Path, err)
	}
	found := false
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !legal.MatchString(entry.Name()) && elsewhere[module.Path] != entry.Name() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(module.Dir, entry.Name()))
		if err != nil {
			return err
		}
		found = true
		fmt.Fprintf(text, "\n%s:\n\n%s\n", entry.Name(), bytes.TrimSpace(content))
	}
	if !found {
		return fmt.Errorf("%s %s has no licence in its top folder\nhint: look for its licence before a release",
			module.Path, module.Version)
	}
	return nil
}
