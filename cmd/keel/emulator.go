package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
)

// stopPatience is how long the emulator may take to end before keel kills it. Changes that it has acknowledged are on
// disk by then.
const stopPatience = 15 * time.Second

// portFiles remember, in the emulator's data folder, the ports of the first start.
var portFiles = []string{"endpoints.json", pluginPortFile}

func newEmulator(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "emulator", Short: "Start, stop and inspect the emulator of this checkout",
		Long: "The emulator implements Azure Resource Manager, the Device Provisioning Service and IoT Hub on this " +
			"machine. It runs in the\n" +
			"background, on ports that it remembers, with its data in .evenkeel/emulator and its log in " +
			".evenkeel/emulator.log.",
		Example: "  keel emulator start\n  keel emulator status --json\n  keel emulator logs --follow",
	}
	group(cmd)
	stop := &cobra.Command{
		Use: "stop", Short: "Stop the emulator; its state is kept", Args: noArgs,
		Long: "Stop the emulator. Its state is on disk and available again at the next start. keel first waits for a " +
			"keel up, or another\n" +
			"command that changes an environment, to end.",
		Example: "  keel emulator stop\n  keel emulator stop --json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.emulatorStop(cmd.Context()) },
	}
	status := &cobra.Command{
		Use: "status", Short: "Show whether and where the emulator runs; the exit code is 1 when it does not",
		Args: noArgs,
		Long: "Show whether the emulator runs and answers, since when, and where. As JSON: running, pid, since, and " +
			"endpoints with arm,\n" +
			"data, mqtt, control, controlTokenFile, names, pluginPort, caFile, secretFile, tenantId, clientId and " +
			"subscriptionId, and settings as they were given\n" +
			"to starts; without a running emulator only running, which is false.",
		Example: "  keel emulator status\n  keel emulator status --json | jq -r .endpoints.mqtt",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.emulatorStatus(cmd.Context()) },
	}
	var follow bool
	logs := &cobra.Command{
		Use: "logs", Short: "Print the emulator's log", Args: noArgs,
		Long: "Print the log that the emulator in the background writes, across restarts, one line for each event in " +
			"the form\n" +
			"time=… level=… msg=…; it holds no keys. --follow continues until interrupted. As JSON, each line is an " +
			"object with these as texts.",
		Example: "  keel emulator logs\n  keel emulator logs --follow\n  keel emulator logs --json | jq -r .msg",
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.emulatorLogs(cmd.Context(), follow) },
	}
	logs.Flags().BoolVarP(&follow, "follow", "f", false, "print new lines as they are written")
	a.addJSON(stop)
	a.addJSON(status)
	a.addJSON(logs)
	cmd.AddCommand(newEmulatorStart(a), stop, status, logs, newEmulatorRun(a), newEmulatorReset(a), newSnapshot(a),
		newEmulatorPage(a))
	return cmd
}

func newEmulatorStart(a *app) *cobra.Command {
	var newPorts bool
	var settings *settingFlags
	cmd := &cobra.Command{
		Use: "start", Short: "Start the emulator in the background", Args: noArgs,
		Long: "Start the emulator in the background, unless it is already running, and print its addresses. Its " +
			"ports are those of the first\n" +
			"start; --new-ports chooses others, in case another program uses one.\n\n" + settingsHelp,
		Example: "  keel emulator start\n  keel emulator start --names loopback\n  keel emulator start --seed " +
			"before.json\n" +
			"  keel emulator start --azure-limits --quota hubs=2,services=1\n  keel emulator start --new-ports --json",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.emulatorStart(cmd.Context(), settings, newPorts) },
	}
	cmd.Flags().BoolVar(&newPorts, "new-ports", false, "choose new free ports instead of the remembered ones")
	settings = addSettings(cmd)
	a.addJSON(cmd)
	return cmd
}

func (a *app) emulatorStart(ctx context.Context, settings *settingFlags, newPorts bool) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	_, stopped := a.process(folder).Find()
	if newPorts {
		if stopped == nil {
			return hint.To(errors.New("choose new ports: the emulator is running"), "stop it first: keel emulator stop")
		}
		for _, name := range portFiles {
			if err := durable.OS.Remove(filepath.Join(folder.Emulator(), name)); err != nil &&
				!errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("choose new ports: %w", err)
			}
		}
	}
	options, err := a.toolOptions(folder)
	if err != nil {
		return err
	}
	options.HostBuilds = true // the emulator needs no program
	if !toolchain.Fresh(options, folder.Bin()) {
		if err := toolchain.BuildKeel(ctx, options, folder.Bin()); err != nil {
			return err
		}
	}
	forget, err := remember(folder, settings, stopped == nil)
	if err != nil {
		return err
	}
	endpoints, started, err := a.startEmulator(ctx, folder)
	if err != nil {
		forget()
		return err
	}
	if a.json {
		return a.emulatorStatus(ctx)
	}
	if started {
		a.say("the emulator is running")
	} else {
		a.say("the emulator is already running")
	}
	a.printEndpoints(endpoints)
	return nil
}

func (a *app) emulatorStop(ctx context.Context) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	ended, err := a.stopWhenUnused(ctx, folder)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(emulatorStopResult{ended})
	}
	if ended {
		a.say("stopped the emulator; its state is kept")
	} else {
		a.say("the emulator is not running")
	}
	return nil
}

// status is what `emulator status` and `start` print as JSON.
type status struct {
	Running   bool                   `json:"running"`
	PID       int                    `json:"pid,omitempty"`
	Since     *time.Time             `json:"since,omitempty"`
	Endpoints *environment.Endpoints `json:"endpoints,omitempty"`
	// Settings are those given to starts; for others the emulator's defaults apply.
	Settings *emulatorSettings `json:"settings,omitempty"`
}

func (a *app) emulatorStatus(ctx context.Context) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	return a.emulatorStatusIn(ctx, folder)
}

// emulatorStatusIn prints the status of the emulator of a checkout.
func (a *app) emulatorStatusIn(ctx context.Context, folder environment.Folder) error {
	record, err := a.runningProcess(ctx, folder)
	if err != nil {
		if a.json {
			err = errors.Join(err, a.printJSON(status{}))
		}
		return err
	}
	endpoints, err := decode(record)
	if err != nil {
		return err
	}
	settings, err := readEmulatorSettings(folder)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(status{Running: true, PID: record.PID, Since: &record.Started, Endpoints: &endpoints,
			Settings: &settings})
	}
	fmt.Fprintf(a.stdout, "running  process %d, since %s\n", record.PID, record.Started.Local().Format(time.DateTime))
	a.printEndpoints(endpoints)
	for _, line := range settings.formatted() {
		fmt.Fprintf(a.stdout, "%-8s %s\n", line[0], line[1])
	}
	return nil
}

func (a *app) printEndpoints(e environment.Endpoints) {
	fmt.Fprintf(a.stdout, "ARM      %s\nDPS, hub %s\nMQTT     %s\ncontrol  %s\nCA file  %s\n", e.ARM, e.Data, e.MQTT,
		e.Control, e.CAFile)
}
