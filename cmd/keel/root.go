package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
	"evenkeel/internal/version"
)

// errUsage is the cause of every error of the command line itself.
var errUsage = errors.New("usage")

type usageError struct{ error }

func (usageError) Is(target error) bool { return target == errUsage }
func (u usageError) Unwrap() error      { return u.error }

// app is what the verbs share: the streams and environment of the process, and the flags of the root command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string
	// terminal is true if stderr can show progress, interactive if stdin is a terminal.
	terminal, interactive bool
	// clock is the clock of progress; nil means time.Now.
	clock func() time.Time
	// transparent makes keel exit with the exit code of its child.
	transparent bool

	pulumi        string // --pulumi
	stack         string // --stack, or the argument of a verb that names an environment
	fallbackStack string // the environment of commands that name none
	verb          string // the command that runs, as `keel up`
	json          bool   // --json
	yes           bool   // --yes

	target  string // --target
	backend string // --backend
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "keel",
		Short: "Load-balanced IoT provisioning environments",
		Long: "keel brings up two IoT hubs behind a Device Provisioning Service with one command, on a local " +
			"emulator,\n" +
			"and sends devices through it.",
		Example:       "  keel up\n  keel devices provision\n  keel down",
		Version:       version.Version,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint.To(usageError{err}, "see: %s --help", cmd.CommandPath())
	})
	root.PersistentFlags().StringVar(&a.pulumi, "pulumi", a.variable("EVENKEEL_PULUMI"),
		"use this pulumi and no other (or EVENKEEL_PULUMI); "+toolchain.MinVersion+" or newer, below "+
			toolchain.EndVersion)
	root.PersistentFlags().StringVarP(&a.stack, "stack", "s", "",
		"the environment to work on, or EVENKEEL_STACK (default: local where there is one, else one named after you)")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		a.verb = cmd.CommandPath()
		a.fallbackStack = a.defaultStack()
		a.stack = cmp.Or(a.stack, a.fallbackStack)
		return checkName(a.stack)
	}
	a.addTarget(root)
	root.AddCommand(newLs(a), newShow(a), newExtend(a), newReset(a), newReap(a), newDoctor(a), newUp(a), newDown(a),
		newExec(a), newEnv(a), newHosts(a), newBuild(a), newEmulator(a), newDevices(a), newHub(a), newVersion(a),
		newAdopt(a))
	group(root)
	a.addCompletions(root)
	return root
}

// group makes a command that only has subcommands reject unknown ones, and print its help without arguments.
func group(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return hint.To(usageError{fmt.Errorf("%s has no command %q", cmd.CommandPath(), args[0])}, "see: %s --help",
			cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// noArgs rejects arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return hint.To(usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}, "see: %s --help",
		cmd.CommandPath())
}

// oneArg requires exactly one argument; what names it in the error.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] != "" {
			return nil
		}
		return hint.To(usageError{fmt.Errorf("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))},
			"see: %s --help", cmd.CommandPath())
	}
}

// optionalArg allows one argument.
func optionalArg(cmd *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return hint.To(usageError{fmt.Errorf("%s takes one argument at most, got %d", cmd.CommandPath(), len(args))},
		"see: %s --help", cmd.CommandPath())
}

func checkName(name string) error {
	if environment.ValidName(name) {
		return nil
	}
	return hint.To(usageError{fmt.Errorf("invalid environment name %q", name)},
		"use up to 40 lower-case letters, digits and inner hyphens")
}

// defaultStack returns the environment of a command that names none: EVENKEEL_STACK; else local, if it exists, as after
// `make up`; else one named after the user, so that two people who share a backend do not use the same one.
func (a *app) defaultStack() string {
	if name := a.variable("EVENKEEL_STACK"); name != "" {
		return name
	}
	if folder, err := a.checkout(); err == nil {
		if there, err := (&environment.Environment{Folder: folder,
			Stack: environment.Local}).Exists(context.Background()); err == nil && there {
			return environment.Local
		}
	}
	return a.userStack()
}

// stackFlag returns the flag that a suggested command needs to select the same environment, or "".
func (a *app) stackFlag() string {
	if a.stack == a.fallbackStack {
		return ""
	}
	return " -s " + a.stack
}

// stackArgument returns the argument that a suggested command needs to select the same environment, or "".
func (a *app) stackArgument() string { return strings.TrimPrefix(a.stackFlag(), " -s") }

// command returns the command line of this process, which others see while they wait for it.
func (a *app) command() string {
	switch a.verb {
	case "keel up", "keel down", "keel extend":
		return a.verb + " " + a.stack
	case "keel exec":
		return a.verb + " -s " + a.stack
	}
	return a.verb
}

// takeName takes the environment's name from the arguments, if there is one.
func (a *app) takeName(args []string) error {
	if len(args) == 0 {
		return nil
	}
	a.stack = args[0]
	return checkName(a.stack)
}

func (a *app) addJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result as JSON")
}

func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// say writes a line of progress for people.
func (a *app) say(format string, args ...any) { fmt.Fprintf(a.stderr, format+"\n", args...) }

func (a *app) showError(err error) {
	a.say("keel: %s", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "\n  "))
	a.showHint(err)
}

func (a *app) showHint(err error) {
	if advice := cmp.Or(hint.Of(err), refusedKeyAdvice(err)); advice != "" {
		a.say("keel: hint: %s", advice)
	}
}

// refusedKeyAdvice is the advice for a refusal by the provisioning service or a hub; "" for another error. Their answer
// does not tell a wrong key from disableLocalAuth.
func refusedKeyAdvice(err error) string {
	if errors.Is(err, dpsservice.ErrUnauthorized) || errors.Is(err, hub.ErrUnauthorized) {
		return "find out whether keys are refused (disableLocalAuth): keel doctor"
	}
	return ""
}

func (a *app) variable(name string) string {
	for _, pair := range slices.Backward(a.environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// checkout finds the checkout that contains the current folder.
func (a *app) checkout() (environment.Folder, error) {
	here, err := os.Getwd()
	if err != nil {
		return environment.Folder{}, fmt.Errorf("find the checkout: %w", err)
	}
	return environment.Find(here)
}

func (a *app) toolOptions(f environment.Folder) (toolchain.Options, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "" // only builds of Pulumi need it
	}
	// The version check of a pulumi must not write to the user's own home folder.
	env := append(environment.Allowed(a.environ), "PULUMI_HOME="+f.PulumiHome())
	return toolchain.Options{
		Root: f.Root, Cache: cache, Nameless: currentUser(a.variable).isNameless, Path: a.variable("PATH"),
		Explicit: a.pulumi, Env: env,
		Report: toolchain.Reporter{Out: a.stderr, Terminal: a.terminal},
	}, nil
}

func (a *app) process(f environment.Folder) background.Process {
	return background.Process{Folder: f.Background(), Log: f.Log()}
}

func decode(record background.Record) (environment.Endpoints, error) {
	var endpoints environment.Endpoints
	if err := json.Unmarshal(record.Detail, &endpoints); err != nil {
		return endpoints, fmt.Errorf("read the emulator's endpoints: %w", err)
	}
	return endpoints, nil
}

// startEmulator starts the emulator unless it runs.
func (a *app) startEmulator(ctx context.Context, f environment.Folder) (environment.Endpoints, bool, error) {
	binary := filepath.Join(f.Bin(), "keel")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	record, started, err := a.process(f).Start(ctx, binary, []string{"emulator", "run", "--checkout", f.Root},
		environment.Allowed(a.environ))
	if err != nil {
		return environment.Endpoints{}, false, fmt.Errorf("emulator: %w", err)
	}
	if record.Build != background.Fingerprint(binary) {
		a.say("note: the emulator runs an older build of keel; to replace it: keel emulator stop, then run the " +
			"command again")
	}
	endpoints, err := decode(record)
	return endpoints, started, err
}

// local builds the tools and programs, starts the emulator and returns the environment of the local stack.
func (a *app) local(ctx context.Context) (*environment.Environment, error) {
	folder, err := a.checkout()
	if err != nil {
		return nil, err
	}
	tools, err := a.build(ctx, folder, buildIfStale)
	if err != nil {
		return nil, err
	}
	endpoints, started, err := a.startEmulator(ctx, folder)
	if err != nil {
		return nil, err
	}
	if started {
		a.say("emulator started: ARM %s, DPS and hubs %s, MQTT %s", endpoints.ARM, endpoints.Data, endpoints.MQTT)
	}
	return a.environment(folder, tools, endpoints), nil
}

func (a *app) environment(f environment.Folder, tools toolchain.Tools,
	endpoints environment.Endpoints) *environment.Environment {
	e := &environment.Environment{
		Folder: f, Stack: a.stack, Pulumi: tools.Pulumi, Endpoints: endpoints, Inherited: a.environ,
		Stdin: a.stdin, Stdout: a.stdout, Stderr: a.stderr, OwnInterrupts: a.interactive,
		Notice: func(text string) { a.say("%s", text) }, Consent: a.consent(), Backend: a.backend, Command: a.command(),
	}
	if tools.Built {
		e.Program = toolchain.Program(f.Bin())
	} else { // its language host builds the program itself
		e.Inherited = toolchain.OwnGo(a.environ)
	}
	return e
}
