package main

import (
	"slices"
	"strings"

	"evenkeel/internal/keel/environment"
)

// readers are the commands of Pulumi (3.250) that change neither a stack nor its configuration, by their words; one of
// two words goes before one of one. What is not listed changes something. `cancel` is listed for what it is for: it
// ends somebody else's turn.
var readers = []string{
	"about",
	"cancel",
	"console",
	"convert-trace",
	"gen-completion",
	"help",
	"install",
	"login",
	"logout",
	"logs",
	"plugin",
	"pre",
	"preview",
	"schema",
	"version",
	"view-trace",
	"whoami",
	"config",
	"config get",
	"config list",
	"stack",
	"stack export",
	"stack graph",
	"stack history",
	"stack ls",
	"stack output",
	"stack select",
	"stack unselect",
	"stack tag get",
	"stack tag ls",
}

// groups are the commands of Pulumi that have subcommands, some of which change something.
var groups = []string{"config", "stack", "stack tag"}

// valued are the flags of Pulumi that may come before its command and have a value that is a word of its own.
var valued = []string{
	"--color",
	"--cwd",
	"-C",
	"--memprofilerate",
	"--otel-traces",
	"--profiling",
	"--stack",
	"-s",
	"--tracing",
	"--verbose",
	"-v",
}

// changesStack reports whether arguments of pulumi may change a stack or its configuration.
func changesStack(args []string) bool {
	if slices.Contains(args, "--help") || slices.Contains(args, "-h") {
		return false
	}
	words := words(args)
	if len(words) == 0 {
		return false
	}
	command := words[0]
	for _, word := range words[1:] {
		if !slices.Contains(groups, command) {
			break
		}
		command += " " + word
	}
	saves := strings.HasPrefix(command, "pre") && slices.ContainsFunc(args, func(arg string) bool {
		return strings.HasPrefix(arg, "-c") || arg == "--config" ||
			strings.HasPrefix(arg, "--config=") // kept in the stack's configuration
	})
	return saves || !slices.Contains(readers, command)
}

// toldStack is the stack that arguments of pulumi name with --stack; "" when they name none that keel can.
func toldStack(args []string) string {
	name := ""
	for i, arg := range args {
		switch value, ok := strings.CutPrefix(arg, "--stack="); {
		case ok:
			name = value
		case (arg == "--stack" || arg == "-s") && i+1 < len(args):
			name = args[i+1]
		}
	}
	if !environment.ValidName(name) {
		return ""
	}
	return name
}

// words are the arguments that are neither flags nor their values.
func words(args []string) []string {
	var words []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return append(words, args[i+1:]...)
		case slices.Contains(valued, arg):
			i++
		case !strings.HasPrefix(arg, "-"):
			words = append(words, arg)
		}
	}
	return words
}
