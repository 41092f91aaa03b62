package main

import (
	"path/filepath"
	"slices"
	"strings"

	"evenkeel/internal/keel/environment"
)

// pulumiCall holds what keel needs to know about a command line of Pulumi (3.250). The zero value changes nothing.
type pulumiCall struct {
	// command is the command with its subcommands, by its main name: "up" for `pulumi update`. Empty when the line has
	// no command or asks for help.
	command string
	// stack is the value of --stack; empty if it is missing or not a name that keel accepts.
	stack string
	// hasOtherFolder is true if --cwd selects the project of another folder.
	hasOtherFolder bool
	// hasConfig is true if --config gives configuration, which even a preview stores in the stack's file.
	hasConfig bool
	// followsPlan is true if --plan constrains an update to the plan of a preview.
	followsPlan bool
}

// readers are the commands of Pulumi that change neither a stack nor its configuration. A command that is not listed
// counts as one that does. `cancel` is listed because it ends an update that holds the environment's lock.
var readers = []string{
	"about",
	"cancel",
	"config",
	"config env",
	"config env list",
	"config get",
	"config list",
	"console",
	"convert-trace",
	"gen-completion",
	"help",
	"install",
	"login",
	"logout",
	"logs",
	"plugin",
	"preview",
	"schema",
	"stack",
	"stack export",
	"stack graph",
	"stack history",
	"stack list",
	"stack output",
	"stack select",
	"stack tag get",
	"stack tag list",
	"stack unselect",
	"version",
	"view-trace",
	"whoami",
}

// operations are the commands of Pulumi whose configuration the stack's history stores, even when they fail.
var operations = []string{"destroy", "import", "refresh", "up", "watch"}

// groups are the commands of Pulumi that have subcommands, some of which change something.
var groups = []string{"config", "config env", "stack", "stack tag"}

// aliases maps Pulumi's other names of commands to their main names, by the group of the commands; "" is the top.
var aliases = map[string]map[string]string{
	"":           {"dn": "destroy", "down": "destroy", "pre": "preview", "update": "up"},
	"config env": {"ls": "list"},
	"stack":      {"hist": "history", "ls": "list"},
	"stack tag":  {"ls": "list"},
}

// valued are the flags of Pulumi that may come before a command or subcommand and take a value.
var valued = []string{
	"--color",
	"--config",
	"-c",
	"--config-file",
	"--cwd",
	"-C",
	"--memprofilerate",
	"--otel-traces",
	"--profiling",
	"--stack",
	"-s",
	"--tracing",
	"--tracing-header",
	"--verbose",
	"-v",
}

// isPulumi reports whether a command is the Pulumi CLI of the environment.
func isPulumi(name string) bool {
	return strings.TrimSuffix(name, ".exe") == "pulumi" && filepath.Base(name) == name
}

// readPulumiCall parses the arguments of a pulumi command. No other code in keel parses them.
func readPulumiCall(args []string) pulumiCall {
	var call pulumiCall
	var words []string
	needsHelp := false
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			words = append(words, args[i+1:]...)
			break
		}
		if !strings.HasPrefix(arg, "-") {
			words = append(words, arg)
			continue
		}
		name, value, hasValue := cutFlag(arg)
		if slices.Contains(valued, name) && !hasValue && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "--help", "-h":
			needsHelp = true
		case "--stack", "-s":
			call.stack = value
		case "--cwd", "-C":
			call.hasOtherFolder = true
		case "--config", "-c":
			call.hasConfig = true
		case "--plan":
			call.followsPlan = true
		}
	}
	if !environment.ValidName(call.stack) {
		call.stack = ""
	}
	if !needsHelp {
		call.command = commandOf(words)
	}
	return call
}

// cutFlag splits `--name=value`, `-nvalue` and `-n=value`; the value of `--name value` is the next argument.
func cutFlag(arg string) (name, value string, hasValue bool) {
	if strings.HasPrefix(arg, "--") || len(arg) < 2 || !slices.Contains(valued, arg[:2]) {
		return strings.Cut(arg, "=")
	}
	return arg[:2], strings.TrimPrefix(arg[2:], "="), len(arg) > 2
}

// commandOf returns the command that begins words, with its subcommands, by their main names.
func commandOf(words []string) string {
	command := ""
	for _, word := range words {
		if command != "" && !slices.Contains(groups, command) {
			break
		}
		if main, ok := aliases[command][word]; ok {
			word = main
		}
		command = strings.TrimSpace(command + " " + word)
	}
	return command
}

// changesStack reports whether the call may change a stack or its configuration.
func (c pulumiCall) changesStack() bool {
	if c.command == "" {
		return false
	}
	return !slices.Contains(readers, c.command) || c.command == "preview" && c.hasConfig
}

// isOperation reports whether the stack's history stores the call, together with the configuration.
func (c pulumiCall) isOperation() bool { return slices.Contains(operations, c.command) }
