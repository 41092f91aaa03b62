package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/emulator"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// emulatorSettings are the remembered settings of a checkout's emulator. The zero value means all defaults.
type emulatorSettings struct {
	// Names is "map", "loopback" or "azure"; empty is map.
	Names emulator.Names `json:"names,omitempty"`
	// Latencies are durations by Azure location, such as 20ms.
	Latencies map[string]string `json:"latencies,omitempty"`
	// WebhookTimeout and LRODelay are durations; empty means the emulator's default.
	WebhookTimeout string `json:"webhookTimeout,omitempty"`
	LRODelay       string `json:"lroDelay,omitempty"`
	// X25519Only turns the post-quantum key exchange off.
	X25519Only bool `json:"x25519Only,omitempty"`
	// Seed is the absolute path of the snapshot that an empty emulator loads when it starts.
	Seed string `json:"seed,omitempty"`
	// AzureLimits rejects requests beyond Azure's documented limits.
	AzureLimits bool `json:"azureLimits,omitempty"`
	// RequireRoles makes links by a managed identity need a role at the hub.
	RequireRoles bool   `json:"requireRoles,omitempty"`
	Quotas       quotas `json:"quotas,omitzero"`
}

// settingFlags are the flags of `emulator start` and `run` that are remembered.
type settingFlags struct {
	cmd      *cobra.Command
	names    string
	latency  []string
	webhook  time.Duration
	lro      time.Duration
	x25519   bool
	seed     string
	limits   bool
	roles    bool
	quota    []string
	defaults bool
}

// settingsHelp ends the help of the commands that take the flags.
const settingsHelp = "The flags on how it behaves are remembered for later starts, by keel up too; " +
	"--default-settings forgets them. A running\n" +
	"emulator keeps its own: stop it first.\n\n" +
	"--names selects how clients find the hubs. map: keel's own client looks the ports up; needs no privilege. " +
	"loopback: for unmodified\n" +
	"SDKs: each hub and provisioning service has its own loopback address with Azure's ports, 443 and 8883 (on Linux " +
	"allow\n" +
	"them with: sysctl net.ipv4.ip_unprivileged_port_start=443; on macOS add the addresses with: ifconfig lo0 alias " +
	"127.0.0.11).\n" +
	"azure: Azure's names on those ports, if you map the names to this machine.\n\n" +
	"--seed names a snapshot (keel emulator snapshot show NAME > FILE) that an empty emulator loads when it starts, " +
	"at later\n" +
	"starts too; an emulator with data ignores it. To start over with it: keel emulator reset --yes, then stop and " +
	"start.\n" +
	"--seed \"\" forgets it.\n\n" +
	"--quota sets how many resources the subscription may have, or \"unlimited\". The defaults are Azure's: 50 hubs " +
	"of paid tiers,\n" +
	"one free hub, 10 provisioning services. --azure-limits rejects requests beyond Azure's documented limits, with " +
	"429 and\n" +
	"Retry-After (docs/reference/control-port.md).\n\n" +
	"--require-roles fails registrations that are assigned to a hub which its provisioning service uses by a managed " +
	"identity, until the\n" +
	"identity has the role IoT Hub Data Contributor there (docs/how-to/link-without-keys.md)."

func addSettings(cmd *cobra.Command) *settingFlags {
	f := &settingFlags{cmd: cmd}
	flags := cmd.Flags()
	flags.StringVar(&f.names, "names", string(emulator.NamesMap), "how clients find the hubs: map, loopback or azure")
	flags.StringArrayVar(&f.latency, "latency", nil,
		"latency from the devices to a location, as westeurope=20ms; repeat it for each location (geoLatency "+
			"allocation)")
	flags.DurationVar(&f.webhook, "webhook-timeout", 5*time.Second,
		"how long the webhook of a custom allocation may take")
	flags.DurationVar(&f.lro, "lro-delay", 0,
		"how long creating, changing or deleting a hub or a provisioning service takes")
	flags.BoolVar(&f.x25519, "x25519-only", false,
		"disable post-quantum key exchange: connections use less processor time")
	flags.StringVar(&f.seed, "seed", "", "snapshot in JSON that an empty emulator loads when it starts")
	flags.BoolVar(&f.limits, "azure-limits", false, "reject requests beyond Azure's documented limits")
	flags.BoolVar(&f.roles, "require-roles", false,
		"refuse registrations over a link by a managed identity that has no role at the hub")
	flags.StringSliceVar(&f.quota, "quota", nil,
		"how many resources the subscription may have, as hubs=50,freeHubs=1,services=10; or unlimited")
	flags.BoolVar(&f.defaults, "default-settings", false, "forget the settings of earlier starts")
	_ = cmd.RegisterFlagCompletionFunc("names", cobra.FixedCompletions(
		[]string{string(emulator.NamesMap), string(emulator.NamesLoopback), string(emulator.NamesAzure)},
		cobra.ShellCompDirectiveNoFileComp))
	return f
}

// applyTo returns the settings with those of the command line applied.
func (f *settingFlags) applyTo(s emulatorSettings) (emulatorSettings, error) {
	if f.defaults {
		s = emulatorSettings{}
	}
	given := f.cmd.Flags().Changed
	if given("names") {
		names := emulator.Names(f.names)
		if names == "" || !isKnownNames(names) {
			return s, usageError{fmt.Errorf("--names %q: use map, loopback or azure", f.names)}
		}
		s.Names = names
	}
	if given("latency") {
		s.Latencies = map[string]string{}
		for _, pair := range f.latency {
			location, text, ok := strings.Cut(pair, "=")
			latency, err := time.ParseDuration(text)
			if !ok || location == "" || err != nil || latency < 0 {
				return s, usageError{fmt.Errorf("--latency %q: want a location and a duration, as westeurope=20ms",
					pair)}
			}
			s.Latencies[location] = latency.String()
		}
	}
	for _, span := range []struct {
		flag  string
		value time.Duration
		least time.Duration
		to    *string
	}{{"webhook-timeout", f.webhook, time.Millisecond, &s.WebhookTimeout}, {"lro-delay", f.lro, 0, &s.LRODelay}} {
		if !given(span.flag) {
			continue
		}
		if span.value < span.least {
			return s, usageError{fmt.Errorf("--%s %s: too short", span.flag, span.value)}
		}
		*span.to = span.value.String()
	}
	if given("x25519-only") {
		s.X25519Only = f.x25519
	}
	if given("azure-limits") {
		s.AzureLimits = f.limits
	}
	if given("require-roles") {
		s.RequireRoles = f.roles
	}
	if err := f.applyState(&s); err != nil {
		return s, err
	}
	return s, nil
}

func isKnownNames(names emulator.Names) bool {
	return slices.Contains([]emulator.Names{"", emulator.NamesMap, emulator.NamesLoopback, emulator.NamesAzure}, names)
}

// applyState applies the flags --seed and --quota to the settings.
func (f *settingFlags) applyState(s *emulatorSettings) (err error) {
	given := f.cmd.Flags().Changed
	if given("seed") {
		if s.Seed, err = seedFile(f.seed); err != nil {
			return err
		}
	}
	if given("quota") {
		s.Quotas, err = parseQuotas(f.quota)
	}
	return err
}

// seedFile returns the absolute path of a seed file, "" for none. The emulator checks the file's content when it
// starts.
func seedFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return "", fmt.Errorf("--seed: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", usageError{fmt.Errorf("--seed: %w", err)}
	}
	if !info.Mode().IsRegular() {
		return "", usageError{fmt.Errorf("--seed %q: not a file", name)}
	}
	return path, nil
}

// apply sets the emulator's options from the settings.
func (s emulatorSettings) apply(o *emulator.Options) error {
	o.Names, o.X25519Only, o.RequireRoles = s.Names, s.X25519Only, s.RequireRoles
	o.Seed, o.AzureLimits, o.Quotas = s.Seed, s.AzureLimits, emulator.Quotas(s.Quotas)
	var err error
	parse := func(text string) time.Duration {
		if text == "" {
			return 0
		}
		span, parseErr := time.ParseDuration(text)
		err = errors.Join(err, parseErr)
		return span
	}
	if !isKnownNames(s.Names) {
		err = fmt.Errorf("names %q: use map, loopback or azure", s.Names)
	}
	o.WebhookTimeout, o.LRODelay = parse(s.WebhookTimeout), parse(s.LRODelay)
	o.Latencies = map[string]time.Duration{}
	for location, text := range s.Latencies {
		o.Latencies[location] = parse(text)
	}
	return unreadableSettings(err)
}

// formatted returns the settings for printing: name and value.
func (s emulatorSettings) formatted() [][2]string {
	var lines [][2]string
	add := func(name, value string) {
		if value != "" && value != "false" {
			lines = append(lines, [2]string{name, value})
		}
	}
	add("names", string(s.Names))
	for _, location := range slices.Sorted(maps.Keys(s.Latencies)) {
		add("latency", location+"="+s.Latencies[location])
	}
	add("webhook-timeout", s.WebhookTimeout)
	add("lro-delay", s.LRODelay)
	add("x25519-only", fmt.Sprint(s.X25519Only))
	add("seed", s.Seed)
	add("azure-limits", fmt.Sprint(s.AzureLimits))
	add("require-roles", fmt.Sprint(s.RequireRoles))
	add("quota", s.Quotas.String())
	return lines
}

func readEmulatorSettings(f environment.Folder) (s emulatorSettings, err error) {
	text, err := os.ReadFile(f.EmulatorSettings())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, unreadableSettings(err)
}

// unreadableSettings adds a hint to an error of reading the settings.
func unreadableSettings(err error) error {
	if err == nil {
		return nil
	}
	return hint.To(fmt.Errorf("read the emulator's settings: %w", err),
		"forget them with: keel emulator start --default-settings")
}

func writeEmulatorSettings(f environment.Folder, s emulatorSettings) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = durable.OS.MkdirAll(filepath.Dir(f.EmulatorSettings()), 0o700)
	}
	if err == nil {
		err = durable.OS.WriteFile(f.EmulatorSettings(), append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember the emulator's settings: %w", err)
	}
	return nil
}

// remember stores the settings of the command line. undo restores the old ones, for a start that fails. A running
// emulator keeps its settings, so remember rejects other ones.
func remember(f environment.Folder, flags *settingFlags, running bool) (undo func(), err error) {
	old, err := readEmulatorSettings(f)
	if err != nil && !flags.defaults {
		return nil, err
	}
	next, err := flags.applyTo(old)
	if err != nil {
		return nil, err
	}
	if reflect.DeepEqual(old, next) {
		return func() {}, nil
	}
	if running {
		return nil, hint.To(errors.New("change the emulator's settings: the emulator is running"),
			"stop it first: keel emulator stop")
	}
	if err := writeEmulatorSettings(f, next); err != nil {
		return nil, err
	}
	return func() { _ = writeEmulatorSettings(f, old) }, nil // the error of the start is the one to report
}
