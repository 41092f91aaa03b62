// Command vulncheck runs govulncheck on the programs and public packages, with Go's vulnerability database as a module:
// it needs a module proxy and no other server. It fails if the code calls a vulnerable function.
//
//	go run ./tools/vulncheck
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The checker and the database. The database is updated like any dependency: with the version that
// `go list -m golang.org/x/vulndb@latest` prints.
const (
	checker  = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
	database = "golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018"
)

// packages are what others run or import.
var packages = []string{".", "./cmd/...", "./emulator", "./dpsdevice", "./dpsservice", "./sdks/azure-dps"}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "vulncheck:", err)
		os.Exit(1)
	}
}

func run() error {
	folder, err := download(database)
	if err != nil {
		return err
	}
	args := []string{"run", checker, "-db", "file://" + filepath.ToSlash(filepath.Join(folder, "data", "osv")),
		"-tags", "osusergo"}
	check := exec.Command("go", append(args, packages...)...)
	check.Stdout, check.Stderr = os.Stdout, os.Stderr
	if err := check.Run(); err != nil {
		return fmt.Errorf("govulncheck: %w", err)
	}
	return nil
}

// download brings a module into the module cache and returns its folder.
func download(module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	var result struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &result); jsonErr == nil && result.Error != "" {
		return "", fmt.Errorf("download %s: %s", module, strings.TrimSpace(result.Error))
	}
	if err != nil {
		return "", fmt.Errorf("download %s: %w", module, err)
	}
	return result.Dir, nil
}
