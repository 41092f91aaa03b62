// Command generate writes everything in this repository that is made from another file of it: the SDKs from their
// schemas, the request table of the local azure-native plugin, and the plot in the tutorial. It writes nothing else and
// uses no network, except -sdks, which uses the package registry of Node.
//
//	go run ./tools/generate          write what is not fresh
//	go run ./tools/generate -check   change nothing, fail when something is not fresh
//	go run ./tools/generate -sdks F  write the SDKs for TypeScript and Python, which the repository does not contain,
//	                                 to the folder F, and compile and run them there if the machine has the tools
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// target is one generated folder. Files that the generator does not produce and that are not named in keep are stale;
// with only, the folder is written by hand except for the files that it names.
type target struct {
	folder   string
	keep     []string
	only     []string
	generate func(root string) (map[string][]byte, error)
}

// targets lists everything this command makes; folders are relative to the repository's root.
var targets = []target{
	{folder: "sdks/azure-native/devices", keep: []string{"go.mod", "go.sum", "README.md"},
		generate: azureNativeDevices},
	{folder: "internal/keel/azurenative", only: []string{"table.json"}, generate: requestTable},
	{folder: "sdks/azure-dps", generate: azureDPS},
	{folder: "docs/images", only: []string{"spread.svg", "split.svg"}, generate: spreadPlot},
}

func main() {
	root := flag.String("root", ".", "the repository's root folder")
	check := flag.Bool("check", false, "fail when a generated file is not fresh, and change nothing")
	sdks := flag.String("sdks", "", "write and prove the SDKs for other languages in this folder, and do nothing else")
	flag.Parse()
	do := func() error { return run(*root, *check) }
	if *sdks != "" {
		do = func() error {
			if err := writeLanguages(*sdks); err != nil {
				return err
			}
			return prove(*sdks, os.Stdout)
		}
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

// run updates every target, or with check only reports which files differ.
func run(root string, check bool) error {
	var stale []error
	for _, t := range targets {
		files, err := t.generate(root)
		if err != nil {
			return fmt.Errorf("make %s: %w", t.folder, err)
		}
		differing, err := t.differences(root, files)
		if err != nil {
			return err
		}
		for _, name := range differing {
			if check {
				stale = append(stale, fmt.Errorf("%s is not fresh: run make generate", filepath.Join(t.folder, name)))
			} else if err := write(filepath.Join(root, t.folder, name), files[name]); err != nil {
				return err
			}
		}
	}
	return errors.Join(stale...)
}

// differences names the files that are missing, changed or left over, in order.
func (t target) differences(root string, files map[string][]byte) ([]string, error) {
	var names []string
	for name, content := range files {
		present, err := os.ReadFile(filepath.Join(root, t.folder, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("compare generated file: %w", err)
		}
		if err != nil || !bytes.Equal(present, content) {
			names = append(names, name)
		}
	}
	if t.only != nil {
		slices.Sort(names)
		return names, nil
	}
	entries, err := os.ReadDir(filepath.Join(root, t.folder))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("list generated folder: %w", err)
	}
	for _, entry := range entries {
		if _, made := files[entry.Name()]; !made && !entry.IsDir() && !slices.Contains(t.keep, entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// write stores content, or removes the file when content is nil.
func write(path string, content []byte) error {
	if content == nil {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove stale file: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make generated folder: %w", err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write generated file: %w", err)
	}
	return nil
}
