package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	gc "runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"evenkeel/emulator"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

// pluginPortFile remembers the port of the local plugin, in the emulator's data folder.
const pluginPortFile = "plugin-port"

func newEmulatorRun(a *app) *cobra.Command {
	var checkout string
	var debug bool
	var settings *settingFlags
	cmd := &cobra.Command{
		Use: "run", Short: "Run the emulator in the foreground until interrupted", Args: noArgs,
		Long: "Run the emulator in this terminal, with its log on standard error. Other commands find it as if it " +
			"ran in the background.\n" +
			"With --json, what keel emulator status prints goes to standard output once it is ready.\n\n" +
			settingsHelp,
		Example: "  keel emulator run\n  keel emulator run --debug --latency westeurope=20ms --latency " +
			"northeurope=35ms\n" +
			"  keel emulator run --seed before.json --azure-limits",
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Before anything is created there.
			folder, err := environment.Find(checkout) // the current folder when empty
			if err != nil {
				return err
			}
			return a.emulatorRun(cmd.Context(), folder, settings, debug)
		},
	}
	cmd.Flags().StringVar(&checkout, "checkout", "",
		"the checkout that it belongs to (default: that of the current folder)")
	cmd.Flags().BoolVar(&debug, "debug", false, "log every request")
	settings = addSettings(cmd)
	a.addJSON(cmd)
	return cmd
}

// emulatorRun serves the emulator and the local plugin until ctx is done.
func (a *app) emulatorRun(ctx context.Context, f environment.Folder, flags *settingFlags, debug bool) error {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	// One more than there are CPUs: a write that waits for the disk occupies one, and registrations would wait too. On
	// two CPUs, registrations are a seventh to a fifth faster with it.
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	// A registration allocates much memory that is soon free, mostly for its TLS handshake. The emulator's memory is
	// small even with this setting.
	gc.SetGCPercent(400)
	process := a.process(f)
	release, err := process.Claim()
	if err != nil {
		return err
	}
	defer release()
	forget, err := remember(f, flags, false)
	if err != nil {
		return err
	}
	emu, err := startUntilDone(ctx, func() (*emulator.Emulator, error) { return startIn(f, logger) })
	if err != nil {
		forget()
		return err
	}
	defer func() { _ = emu.Close() }() // Run closes it too, and reports
	listener, err := listenPlugin(durable.OS, filepath.Join(f.Emulator(), pluginPortFile), logger)
	if err != nil {
		return portTaken(err)
	}
	endpoints := describe(emu.Endpoints(), listener, f)
	endpoints.Names = string(emu.Names())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	plugin := make(chan error, 1)
	go func() {
		plugin <- servePlugin(ctx, listener, endpoints, logger)
		cancel()
	}()
	if err := process.Announce(endpoints.Control+"/readyz", endpoints); err != nil {
		return err
	}
	if a.json {
		if err := a.emulatorStatusIn(ctx, f); err != nil {
			return err
		}
	}
	logger.Info("ready", "arm", endpoints.ARM, "data", endpoints.Data, "mqtt", endpoints.MQTT, "control",
		endpoints.Control, "pid", os.Getpid())
	err = emu.Run(ctx)
	cancel()
	if err := errors.Join(err, <-plugin); err != nil {
		return err
	}
	logger.Info("stopped")
	return nil
}

// startUntilDone starts the emulator, and returns early when ctx is done. It does not wait for such a start: the
// process ends, and the files are consistent at every moment.
func startUntilDone(ctx context.Context, start func() (*emulator.Emulator, error)) (*emulator.Emulator, error) {
	type result struct {
		emu *emulator.Emulator
		err error
	}
	started := make(chan result, 1)
	go func() {
		emu, err := start()
		started <- result{emu, err}
	}()
	select {
	case r := <-started:
		return r.emu, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("start the emulator: %w", context.Cause(ctx))
	}
}

// startIn starts the emulator of a checkout with the remembered settings.
func startIn(f environment.Folder, logger *slog.Logger) (*emulator.Emulator, error) {
	settings, err := readEmulatorSettings(f)
	if err != nil {
		return nil, err
	}
	options := emulator.Options{Dir: f.Emulator(), Logger: logger}
	if err := settings.apply(&options); err != nil {
		return nil, err
	}
	emu, err := emulator.New(options)
	if options.Seed != "" && errors.Is(err, os.ErrNotExist) {
		err = hint.To(err, `forget the seed with: keel emulator start --seed ""`)
	}
	if err != nil {
		return nil, err
	}
	if err := emu.Start(); err != nil {
		return nil, errors.Join(portTaken(err), emu.Close())
	}
	return emu, nil
}

func describe(e emulator.Endpoints, plugin net.Listener, f environment.Folder) environment.Endpoints {
	return environment.Endpoints{
		ARM: e.ARM, Data: e.Data, MQTT: e.MQTT, Control: e.Control, ControlTokenFile: e.ControlTokenFile,
		PluginPort: plugin.Addr().(*net.TCPAddr).Port, CAFile: e.CAFile,
		SecretFile: filepath.Join(f.Emulator(), "client-secret"), TenantID: e.TenantID, ClientID: e.ClientID,
		SubscriptionID: e.SubscriptionID,
	}
}

// listenPlugin listens on the remembered port of the plugin, or the first time on a free port, which it remembers. Only
// keel knows the port, so listenPlugin chooses another one if the file is invalid.
func listenPlugin(disk durable.Disk, file string, logger *slog.Logger) (net.Listener, error) {
	text, err := disk.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the remembered port of the plugin: %w", err)
	}
	known := err == nil
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil || port == 0 {
		if port = 0; known {
			logger.Warn("a new port of the plugin is chosen, because the remembered one cannot be read", "file", file)
		}
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(emulator.DefaultHost, strconv.FormatUint(port, 10)))
	if err != nil {
		return nil, fmt.Errorf("serve the local plugin: %w", emulator.ExplainListen(
			net.JoinHostPort(emulator.DefaultHost, strconv.FormatUint(port, 10)), err))
	}
	if port == 0 {
		text := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port) + "\n"
		if err := disk.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, errors.Join(fmt.Errorf("remember the port of the plugin: %w", err), listener.Close())
		}
	}
	return listener, nil
}

// portTaken adds the process that uses the port to an error about a used port, if the process is known.
func portTaken(err error) error {
	op := (*net.OpError)(nil)
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) || op.Addr == nil {
		return err
	}
	_, text, splitErr := net.SplitHostPort(op.Addr.String())
	port, atoiErr := strconv.Atoi(text)
	if holder := background.Holder(port); splitErr == nil && atoiErr == nil && holder != "" {
		err = fmt.Errorf("%w: port %d is held by %s", err, port, holder)
	}
	return hint.To(err, "stop that process, or choose new ports: keel emulator start --new-ports")
}
