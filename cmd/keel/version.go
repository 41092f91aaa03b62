package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"evenkeel/internal/version"
)

// versionResult is what `version` prints.
type versionResult struct {
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version of keel", Args: noArgs,
		Long: "Print the version of keel, which is also the version of the provider azure-dps and of its SDKs, and " +
			"the Go version and\n" +
			"platform that keel was built with.",
		Example: "  keel version\n  keel version --json",
		RunE: func(*cobra.Command, []string) error {
			v := versionResult{version.Version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if a.json {
				return a.printJSON(v)
			}
			_, err := fmt.Fprintf(a.stdout, "keel %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return err
		},
	}
	a.addJSON(cmd)
	return cmd
}
