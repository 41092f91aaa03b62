package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// addYes adds the flag --yes, which answers the command's question.
func (a *app) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false,
		"delete resources in the environment's resource group that keel did not create, without asking")
}

// consent returns the function that asks the user whether resources in the environment's resource group may be deleted;
// nil if keel cannot ask.
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
	a.say("The resource group of environment %s contains resources that keel did not create:\n  %s", a.stack,
		strings.Join(ids, "\n  "))
	fmt.Fprint(a.stderr, "Delete these resources permanently? [y/N] ")
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && line == "" {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}
