package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/environment"
)

func newEnv(a *app) *cobra.Command {
	var unset, admin, az, terraform bool
	var device string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment of the local stack as shell commands",
		Long: "Print shell commands that give a shell the environment of the local stack, for plain pulumi. No key " +
			"is among it.\n" +
			"With --device or --admin, print instead what one device or an operator needs to connect, and no more; " +
			"that does hold keys.\n" +
			"For a device that authenticates with a certificate, these are the names of the files of its certificate " +
			"and key, which\n" +
			"are made where keel holds the key of the authority.\n" +
			"The variables are those of Azure's own samples, with what Node needs to trust the emulator. An emulator " +
			"that was started\n" +
			"with --names loopback has addresses in them that every SDK can dial.\n" +
			"With --az or --terraform, print what the Azure CLI, or Terraform and OpenTofu with azurerm, need to " +
			"work with the emulator.\n" +
			"These need no stack, only an emulator that runs, and print no key: the client secret stays in its file.",
		Example: "  eval \"$(keel env)\"\n  eval \"$(keel env --unset)\"\n  eval \"$(keel env --device device-1)\"\n " +
			" keel env --admin --json\n" +
			"  eval \"$(keel env --az)\"\n  eval \"$(keel env --terraform)\"",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case count(admin, az, terraform, device != "") > 1 || unset && (admin || device != ""):
				return usageError{fmt.Errorf("use only one of --device, --admin, --az and --terraform; --unset works " +
					"with the last two or alone")}
			case az:
				return a.envTool(cmd.Context(), unset, a.azureCLI)
			case terraform:
				return a.envTool(cmd.Context(), unset, a.terraform)
			case device != "":
				return a.envDevice(cmd.Context(), device)
			case admin:
				return a.envAdmin(cmd.Context())
			}
			return a.env(cmd.Context(), unset)
		},
	}
	cmd.Flags().BoolVar(&unset, "unset", false, "print commands that unset the variables")
	cmd.Flags().StringVar(&device, "device", "",
		"print what this device needs, with its key or the files of its certificate")
	cmd.Flags().BoolVar(&admin, "admin", false, "print the connection strings of the services")
	cmd.Flags().BoolVar(&az, "az", false, "print what the Azure CLI needs to work with the emulator")
	cmd.Flags().BoolVar(&terraform, "terraform", false,
		"print what Terraform and OpenTofu need to work with the emulator")
	a.addJSON(cmd)
	return cmd
}

// count returns how many flags are true.
func count(flags ...bool) (n int) {
	for _, flag := range flags {
		if flag {
			n++
		}
	}
	return n
}

func (a *app) env(ctx context.Context, unset bool) error {
	e, err := a.open(ctx)
	if err != nil {
		return err
	}
	// Create a stack that does not exist yet, so that plain pulumi finds it.
	if err := a.configure(ctx, e); err != nil {
		return err
	}
	if err := a.warn(e); err != nil {
		return err
	}
	variables := append(e.Variables(), environment.Variable{Name: "PATH", Value: e.Path()})
	if a.json {
		return a.print(clientConfig{variables: variables})
	}
	if unset {
		return a.envUnset(e)
	}
	for _, name := range e.Dropped() {
		fmt.Fprintf(a.stdout, "unset %s\n", name)
	}
	a.export(variables...)
	return nil
}

func (a *app) envUnset(e *environment.Environment) error {
	for _, v := range e.Variables() {
		fmt.Fprintf(a.stdout, "unset %s\n", v.Name)
	}
	a.export(environment.Variable{Name: "PATH", Value: e.PathWithout()})
	return nil
}

func (a *app) export(variables ...environment.Variable) {
	for _, v := range variables {
		fmt.Fprintf(a.stdout, "export %s=%s\n", v.Name, quote(v.Value))
	}
}

// quote returns text as one word for any POSIX shell.
func quote(text string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("_-./:,@%+", r)
	}
	if text != "" && !slices.ContainsFunc([]rune(text), func(r rune) bool { return !safe(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
