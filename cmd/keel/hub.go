package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

func newHub(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hub", Short: "Take a hub out of service, in one step or two",
		Long: "drain keeps a hub and its devices but assigns no new devices to it; remove unlinks it from the " +
			"provisioning service and deletes it.\n" +
			"Both are settings, hubSettings.HUB.drain and .remove, which the next up carries out, or --up at once. " +
			"The hubs of an\n" +
			"environment: keel show.",
		Example: "  keel hub drain hub-1 --up\n  keel hub remove hub-1 --up",
	}
	group(cmd)
	cmd.AddCommand(
		a.hubVerb(environment.Drain, "Keep a hub and its devices, and give it no new ones",
			"Configure that no new devices are assigned to a hub, and that enrollments no longer list it; its "+
				"devices stay. Without\n"+
				"--up only the setting is written. --undo makes the hub accept devices again. The last hub that "+
				"accepts devices cannot be\n"+
				"drained."),
		a.hubVerb(environment.Remove, "Unlink a hub and delete it with its devices",
			"Configure that a hub is unlinked from the provisioning service and then deleted, with its devices: they "+
				"are assigned\n"+
				"to another hub when they register again. Without --up only the setting is written. --undo creates a "+
				"new hub of that\n"+
				"name. The last hub that accepts devices cannot be removed."))
	return cmd
}

// hubVerb returns a command that sets a flag of a hub.
func (a *app) hubVerb(flag, short, long string) *cobra.Command {
	var o hubOptions
	cmd := &cobra.Command{
		Use: flag + " HUB", Short: short, Long: long, Args: oneArg("a hub"),
		Example: fmt.Sprintf("  keel hub %[1]s hub-1\n  keel hub %[1]s hub-1 --up\n  keel hub %[1]s hub-1 --undo "+
			"--up --json", flag),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hub, o.flag = args[0], flag
			return a.setHub(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.undo, "undo", false, "remove the setting again")
	cmd.Flags().BoolVar(&o.up, "up", false, "apply the setting at once, with keel up")
	a.addYes(cmd)
	a.addJSON(cmd)
	return cmd
}

type hubOptions struct {
	hub, flag string
	undo, up  bool
}

// hubChange is what `hub drain` and `hub remove` print as JSON.
type hubChange struct {
	Hub     string `json:"hub"`
	Setting string `json:"setting"`
	Value   bool   `json:"value"`
	// Applied is true if keel up has applied the change.
	Applied bool `json:"applied"`
}

func (a *app) setHub(ctx context.Context, o hubOptions) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	flags, err := e.HubFlags()
	if err != nil {
		return err
	}
	if err := checkHub(stack, flags, o); err != nil {
		return err
	}
	if flags[o.hub][o.flag] == o.undo { // else it is so already
		release, err := e.Claim(ctx)
		if err != nil {
			return err
		}
		err = e.SetHub(ctx, o.hub, o.flag, !o.undo)
		release()
		if err != nil {
			return err
		}
	}
	change := hubChange{Hub: o.hub, Setting: o.flag, Value: !o.undo, Applied: o.up}
	if o.up {
		if _, _, err := a.bringUp(ctx, upOptions{}); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(change)
	}
	if !o.up {
		fmt.Fprintf(a.stdout, "%s: %s\n", o.hub, o.nextUp())
		a.say("apply it with: keel up%s", a.stackArgument())
	}
	return nil
}

// nextUp describes what the next up will do.
func (o hubOptions) nextUp() string {
	switch {
	case o.flag == environment.Drain && o.undo:
		return "the next up assigns new devices to it again"
	case o.flag == environment.Drain:
		return "from the next up on, no new devices are assigned to it; its devices stay"
	case o.undo:
		return "the next up creates and links a hub of that name"
	}
	return "the next up unlinks and deletes it, with its devices"
}

// checkHub rejects an unknown hub, and the removal of the last hub that accepts devices.
func checkHub(stack outputs, flags map[string]map[string]bool, o hubOptions) error {
	var names, taking []string
	for _, h := range stack.Hubs {
		names = append(names, h.Name)
		if !flags[h.Name][environment.Drain] && !flags[h.Name][environment.Remove] {
			taking = append(taking, h.Name)
		}
	}
	if _, configured := flags[o.hub]; !configured && !slices.Contains(names, o.hub) {
		return hint.To(usageError{fmt.Errorf("there is no hub %q in this environment", o.hub)}, "there are: %s",
			strings.Join(names, ", "))
	}
	if !o.undo && len(taking) == 1 && taking[0] == o.hub {
		return hint.To(errors.New("no hub would be left that takes devices"),
			"add one first: keel exec -- pulumi config set hubs N && keel up")
	}
	return nil
}
