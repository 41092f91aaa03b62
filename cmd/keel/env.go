package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/environment"
)

func newEnv(a *app) *cobra.Command {
	var unset, admin bool
	var device string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment of the local stack as shell commands",
		Long: "Print shell commands that give a shell the environment of the local stack, for plain pulumi. No key is among it.\n" +
			"With --device or --admin, print instead what one device or an operator needs to connect; that does hold keys.",
		Example: "  eval \"$(keel env)\"\n  eval \"$(keel env --unset)\"\n  keel env --device device-1\n  keel env --admin --json",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case unset && (admin || device != "") || admin && device != "":
				return usageError{fmt.Errorf("--unset, --device and --admin exclude each other")}
			case device != "":
				return a.envDevice(cmd.Context(), device)
			case admin:
				return a.envAdmin(cmd.Context())
			}
			return a.env(cmd.Context(), unset)
		},
	}
	cmd.Flags().BoolVar(&unset, "unset", false, "print the commands that take it back")
	cmd.Flags().StringVar(&device, "device", "", "print what this device of the enrollment group needs, with its key")
	cmd.Flags().BoolVar(&admin, "admin", false, "print the connection strings of the services")
	a.addJSON(cmd)
	return cmd
}

func (a *app) env(ctx context.Context, unset bool) error {
	e, err := a.local(ctx, whenStale)
	if err != nil {
		return err
	}
	// A stack that is not there yet is made, so that plain pulumi finds it.
	if err := a.configure(ctx, e); err != nil {
		return err
	}
	if err := a.warn(e); err != nil {
		return err
	}
	variables := append(e.Variables(), environment.Variable{Name: "PATH", Value: e.Path()})
	if a.json {
		values := map[string]string{}
		for _, v := range variables {
			values[v.Name] = v.Value
		}
		return a.printJSON(values)
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

// quote makes text one word for any POSIX shell.
func quote(text string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:,@%+", r)
	}
	if text != "" && !slices.ContainsFunc([]rune(text), func(r rune) bool { return !safe(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// show prints variables as exports or JSON.
func (a *app) show(variables []environment.Variable) error {
	if !a.json {
		a.export(variables...)
		return nil
	}
	values := map[string]string{}
	for _, v := range variables {
		values[v.Name] = v.Value
	}
	return a.printJSON(values)
}

func (a *app) envDevice(ctx context.Context, id string) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	key, err := stack.keyOf(ctx, e.Endpoints, id)
	if err != nil {
		return err
	}
	return a.show([]environment.Variable{
		{Name: "IOTHUB_DEVICE_DPS_ID_SCOPE", Value: stack.IDScope},
		{Name: "IOTHUB_DEVICE_DPS_ENDPOINT", Value: stack.DeviceHost},
		{Name: "IOTHUB_DEVICE_DPS_DEVICE_ID", Value: id},
		{Name: "IOTHUB_DEVICE_DPS_DEVICE_KEY", Value: key},
		{Name: "EVENKEEL_DATA_ENDPOINT", Value: e.Endpoints.Data},
		{Name: "EVENKEEL_MQTT_ENDPOINT", Value: e.Endpoints.MQTT},
		{Name: "EVENKEEL_CA_FILE", Value: e.Endpoints.CAFile},
	})
}

func (a *app) envAdmin(ctx context.Context) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	variables := []environment.Variable{
		{Name: "IOTHUB_DPS_CONNECTION_STRING", Value: stack.ServiceConnectionString},
	}
	for _, hub := range stack.Hubs {
		name := "IOTHUB_CONNECTION_STRING_" + strings.ToUpper(strings.ReplaceAll(hub.Name, "-", "_"))
		variables = append(variables, environment.Variable{Name: name, Value: stack.HubConnectionStrings[hub.Name]})
	}
	return a.show(append(variables,
		environment.Variable{Name: "EVENKEEL_DATA_ENDPOINT", Value: e.Endpoints.Data},
		environment.Variable{Name: "EVENKEEL_CA_FILE", Value: e.Endpoints.CAFile}))
}
