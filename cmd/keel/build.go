package main

import (
	"context"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
)

func newBuild(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build what is missing: Pulumi, keel, the azure-dps plugin, the program",
		Long: "Build the Pulumi CLI and its Go language host into the user's cache folder, unless a suitable pulumi " +
			"is on PATH,\n" +
			"and keel, the azure-dps plugin and the program into .evenkeel/bin. An installed pulumi builds the program " +
			"itself.\n" +
			"Programs that are up to date are not built again.",
		Example: "  keel build\n  keel build --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			folder, err := a.checkout()
			if err != nil {
				return err
			}
			tools, err := a.build(cmd.Context(), folder, buildAlways)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(buildResult{tools.Pulumi, tools.Version, tools.Built, tools.LanguageHost,
					folder.Bin()})
			}
			a.say("pulumi %s: %s", tools.Version, tools.Pulumi)
			what := "keel and plugin"
			if tools.Built {
				what = "keel, plugin and program"
			}
			a.say("%s: %s", what, folder.Bin())
			return nil
		},
	}
	a.addJSON(cmd)
	return cmd
}

// buildMode selects how keel decides whether to build the project's programs.
type buildMode bool

const (
	// buildAlways runs the go command, which takes one to two seconds.
	buildAlways buildMode = true
	// buildIfStale compares the names, sizes and times of the sources.
	buildIfStale buildMode = false
)

// build builds the tools and the project's programs that are missing or out of date.
func (a *app) build(ctx context.Context, f environment.Folder, ask buildMode) (toolchain.Tools, error) {
	options, err := a.toolOptions(f)
	if err != nil {
		return toolchain.Tools{}, err
	}
	tools, err := toolchain.Ensure(ctx, options)
	if err != nil {
		return toolchain.Tools{}, err
	}
	if tools.Note != "" {
		a.say("note: %s; using %s", tools.Note, tools.Pulumi)
	}
	options.HostBuilds = !tools.Built
	if ask == buildIfStale && toolchain.Fresh(options, f.Bin()) {
		return tools, nil
	}
	return tools, toolchain.BuildProject(ctx, options, f.Bin())
}
