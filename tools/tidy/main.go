// Command tidy tidies go.mod and the modules of tools, and gives every module that they share one version: a second
// version of golang.org/x/sys compiles nearly everything again in the first `make up`. It raises versions only, as
// `go get` does, and builds nothing.
//
// A requirement whose comment begins with "not aligned:" keeps the version that its module gives it.
//
//	go run ./tools/tidy
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// rounds is how often versions are compared: raising one may raise others, of which the highest wins.
const rounds = 8

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "tidy:", err)
		os.Exit(1)
	}
}

// run aligns and tidies the modules below root.
func run(root string) error {
	folders, err := modules(root)
	if err != nil {
		return err
	}
	for range rounds {
		files := map[string]*modfile.File{}
		for _, folder := range folders {
			if err := goCommand(folder, "mod", "tidy"); err != nil {
				return err
			}
			if files[folder], err = read(folder); err != nil {
				return err
			}
		}
		wanted := raises(files)
		if len(wanted) == 0 {
			// Pulumi's Go host asks for the whole module graph of the program, so go.sum holds all of it.
			return goCommand(root, "list", "-m", "-mod=mod", "all")
		}
		for _, folder := range slices.Sorted(maps.Keys(wanted)) {
			if err := goCommand(folder, append([]string{"get"}, wanted[folder]...)...); err != nil {
				return err
			}
		}
	}
	return errors.New("the versions of the modules do not settle: " +
		"compare the requirements of go.mod and tools/*/go.mod")
}

// modules returns root and the folders of tools that are separate modules.
func modules(root string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(root, "tools", "*", "go.mod"))
	if err != nil || len(files) == 0 {
		return nil, errors.Join(errors.New("find the modules of tools: run this at the top of the checkout"), err)
	}
	folders := []string{root}
	for _, file := range files {
		folders = append(folders, filepath.Dir(file))
	}
	return folders, nil
}

func read(folder string) (*modfile.File, error) {
	name := filepath.Join(folder, "go.mod")
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(name, text, nil)
}

// raises returns by folder the arguments of `go get` that raise what the folder shares with another to the highest
// version that any of them requires.
func raises(files map[string]*modfile.File) map[string][]string {
	highest := map[string]string{}
	for _, file := range files {
		for _, require := range file.Require {
			have := highest[require.Mod.Path]
			if isAligned(require) && (have == "" || semver.Compare(require.Mod.Version, have) > 0) {
				highest[require.Mod.Path] = require.Mod.Version
			}
		}
	}
	wanted := map[string][]string{}
	for folder, file := range files {
		for _, require := range file.Require {
			if want := highest[require.Mod.Path]; isAligned(require) && require.Mod.Version != want {
				wanted[folder] = append(wanted[folder], require.Mod.Path+"@"+want)
			}
		}
	}
	return wanted
}

func isAligned(require *modfile.Require) bool {
	return !slices.ContainsFunc(require.Syntax.Suffix, func(c modfile.Comment) bool {
		return strings.HasPrefix(c.Token, "// not aligned:")
	})
}

// goCommand runs go in a folder and shows what it prints only when it fails.
func goCommand(folder string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run go %s in %s: %w\n%s", strings.Join(args, " "), folder, err, out)
	}
	return nil
}
