package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/controlapi"
	"evenkeel/internal/keel/environment"
)

// controlOf returns a client of an emulator's control port.
func controlOf(e environment.Endpoints) controlapi.Client {
	return controlapi.Client{Control: e.Control, TokenFile: e.ControlTokenFile}
}

func newEmulatorPage(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "page", Short: "Print the address of the emulator's page, with the token that opens it", Args: noArgs,
		Long: "Print the address of the page that shows hubs, devices and requests of the emulator, to be opened in " +
			"a browser on this\n" +
			"machine. Behind the # is the token of the control port, which grants full access to the emulator:\n" +
			"do not share the address. As JSON: url.",
		Example: "  keel emulator page\n  keel emulator page --json | jq -r .url",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.emulatorPage(cmd.Context()) },
	}
	a.addJSON(cmd)
	return cmd
}

// pageAddress is what `emulator page` prints as JSON.
type pageAddress struct {
	URL string `json:"url"`
}

func (a *app) emulatorPage(ctx context.Context) error {
	_, endpoints, err := a.runningEmulator(ctx)
	if err != nil {
		return err
	}
	address := pageAddress{URL: endpoints.Control + "/"}
	token, err := os.ReadFile(endpoints.ControlTokenFile)
	switch {
	case err == nil:
		address.URL += "#token=" + strings.TrimSpace(string(token))
	case endpoints.ControlTokenFile != "" || !errors.Is(err, fs.ErrNotExist):
		return hint.To(fmt.Errorf("read the token of the control port: %w", err), controlapi.TokenAdvice)
	} // an emulator of an earlier version asks for no token
	if a.json {
		return a.printJSON(address)
	}
	fmt.Fprintln(a.stdout, address.URL)
	return nil
}
