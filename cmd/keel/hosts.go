package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/emulator"
	"evenkeel/internal/azure/domain"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// homeAddress is where the emulator serves every host with --names azure, and the global one with --names loopback.
const homeAddress = "127.0.0.1"

// hostLine is a line of the hosts file.
type hostLine struct {
	Address string   `json:"address"`
	Names   []string `json:"names"`
}

func newHosts(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hosts", Short: "Print the lines that the hosts file needs to find the emulator's hubs", Args: noArgs,
		Long: "Print lines for the hosts file (/etc/hosts): the names of the hubs and provisioning services that the " +
			"emulator has now, and the\n" +
			"name where devices register. With them, tools that know Azure's names alone reach the emulator. It must " +
			"have been started with\n" +
			"--names azure or --names loopback, since a hosts file knows no ports. Only print: adding them takes " +
			"root. Print them again\n" +
			"after hubs were created.",
		Example: "  keel hosts | sudo tee -a /etc/hosts\n  keel hosts --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.hosts(cmd.Context()) },
	}
	a.addJSON(cmd)
	return cmd
}

func (a *app) hosts(ctx context.Context) error {
	_, e, err := a.runningEmulator(ctx)
	if err != nil {
		return err
	}
	if e.Names == "" || e.Names == string(emulator.NamesMap) {
		return hint.To(errors.New(
			"print hosts: the emulator does not use Azure's ports, and a hosts file cannot name ports"),
			"keel emulator stop, then keel emulator start --names azure")
	}
	manager, err := environment.Emulator(e)
	if err != nil {
		return err
	}
	hosts, err := manager.Hosts(ctx)
	if err != nil {
		return err
	}
	var addresses map[string]string
	if e.Names == string(emulator.NamesLoopback) {
		if addresses, err = controlOf(e).Addresses(ctx); err != nil {
			return err
		}
	}
	lines := hostLines(hosts, addresses)
	if a.json {
		return a.printJSON(lines)
	}
	for _, line := range lines {
		fmt.Fprintf(a.stdout, "%s %s\n", line.Address, strings.Join(line.Names, " "))
	}
	return nil
}

// hostLines returns the lines for hosts and for the host where devices register. Hosts without an address of their own
// are at homeAddress.
func hostLines(hosts []string, addresses map[string]string) []hostLine {
	byAddress := map[string][]string{homeAddress: {domain.GlobalHost}}
	for _, host := range hosts {
		address := cmp.Or(addresses[host], homeAddress)
		byAddress[address] = append(byAddress[address], host)
	}
	var lines []hostLine
	for address, names := range byAddress {
		slices.Sort(names)
		lines = append(lines, hostLine{address, names})
	}
	slices.SortFunc(lines, func(x, y hostLine) int { return cmp.Compare(x.Names[0], y.Names[0]) })
	return lines
}
