package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryVerbIsDocumentedWithExamplesThatParse goes over all commands: each example line must name that command, or one below it,
// and flags that it has.
func TestEveryVerbIsDocumentedWithExamplesThatParse(t *testing.T) {
	t.Parallel()
	root := newRoot(&app{})
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		if cmd.Short == "" || cmd.Example == "" || cmd.Long == "" && !cmd.HasSubCommands() {
			t.Errorf("%s: got no short text, long text or example, want all three", cmd.CommandPath())
		}
		for line := range strings.Lines(cmd.Example) {
			checkExample(t, root, cmd, strings.TrimSpace(line))
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(root)
}

func checkExample(t *testing.T, root, cmd *cobra.Command, line string) {
	t.Helper()
	_, call, ok := strings.Cut(line, "keel ")
	if !ok {
		t.Errorf("%s: got example %q, want a call of keel in it", cmd.CommandPath(), line)
		return
	}
	call, _, _ = strings.Cut(call, " | ")
	call, _, _ = strings.Cut(call, " && ")
	call, _, _ = strings.Cut(call, " > ")
	call, _, _ = strings.Cut(call, " -- ")
	words := strings.Fields(strings.TrimRight(call, `)"`))
	found, rest, err := root.Find(words)
	if err != nil || found == root && cmd != root {
		t.Errorf("%s: example %q: got %v, %v, want a command", cmd.CommandPath(), line, found.CommandPath(), err)
		return
	}
	for _, word := range rest {
		name, isFlag := strings.CutPrefix(word, "--")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && found.Flag(name) == nil {
			t.Errorf("%s: example %q: got flag --%s, which it does not have", cmd.CommandPath(), line, name)
		}
	}
}
