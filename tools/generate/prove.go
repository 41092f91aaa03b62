package main

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// useTS is a program against the TypeScript SDK.
//
//go:embed testdata/use.ts
var useTS []byte

// useConfig compiles that program with the SDK.
const useConfig = `{"extends": "./tsconfig.json", "files": ["use.ts"]}`

// proof is a check of a generated SDK that must succeed.
type proof struct {
	language, does string
	// needs is a command that must succeed, or the proof is skipped.
	needs   []string
	command []string
}

// proofs are those of the SDKs for a schema's tokens, in order.
func proofs(tokens []string) []proof {
	node := []string{"npm", "--version"}
	return []proof{
		{"nodejs", "installs what it depends on", node, []string{"npm", "install", "--no-audit", "--no-fund",
			"--loglevel", "error"}},
		{"nodejs", "compiles, with a program that uses it", node, []string{"npm", "run", "--silent", "build", "--",
			"-p", "tsconfig.use.json"}},
		{"nodejs", "serves that program, which declares every resource and asks every function", node,
			append([]string{"node", "bin/use.js"}, tokens...)},
		{"python", "compiles", []string{"python3", "--version"}, []string{"python3", "-m", "compileall", "-q", "."}},
		// Pulumi's own package is not installed for this.
		{"python", "can be imported", []string{"python3", "-c", "import pulumi"},
			[]string{"python3", "-c", "import pulumi_azure_dps"}},
	}
}

// prove compiles and runs the SDKs that writeLanguages wrote into folder, as far as the machine has the tools for it,
// and reports what it did. A missing tool is not an error.
func prove(folder string, out io.Writer) error {
	pkg, err := azureDPSPackage()
	if err != nil {
		return err
	}
	var tokens []string
	for _, resource := range pkg.Resources {
		tokens = append(tokens, resource.Token)
	}
	for _, function := range pkg.Functions {
		tokens = append(tokens, function.Token)
	}
	slices.Sort(tokens)
	sdk := filepath.Join(folder, "nodejs")
	manifest, err := os.ReadFile(filepath.Join(sdk, "package.json"))
	if err != nil {
		return fmt.Errorf("read the SDK's manifest: %w", err)
	}
	files := map[string][]byte{"use.ts": useTS, "tsconfig.use.json": []byte(useConfig), "bin/package.json": manifest}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := write(filepath.Join(sdk, filepath.FromSlash(name)), files[name]); err != nil {
			return err
		}
	}
	for _, p := range proofs(tokens) {
		if execute("", p.needs) != nil {
			fmt.Fprintf(out, "%s: not tried whether it %s, for want of: %s\n", p.language, p.does,
				strings.Join(p.needs, " "))
			continue
		}
		if err := execute(filepath.Join(folder, p.language), p.command); err != nil {
			return fmt.Errorf("the SDK for %s: whether it %s: %w", p.language, p.does, err)
		}
		fmt.Fprintf(out, "%s: %s\n", p.language, p.does)
	}
	return nil
}

func execute(folder string, command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}
