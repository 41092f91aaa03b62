package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addYes gives a command the flag that answers what it would ask.
func (a *app) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, "delete without asking what is in the environment's resource group and unknown to its stack")
}

// consent returns how the user is asked whether things in the environment's resource group may be deleted; nil when nobody can be asked.
func (a *app) consent() func([]string) (bool, error) {
	switch {
	case a.yes:
		return func([]string) (bool, error) { return true, nil }
	case a.interactive && a.terminal:
		return a.ask
	}
	return nil
}

func (a *app) ask(ids []string) (bool, error) {
	a.say("The resource group of environment %s contains resources that keel did not create:\n  %s", a.stack, strings.Join(ids, "\n  "))
	fmt.Fprint(a.stderr, "Delete that, for good? [y/N] ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}
