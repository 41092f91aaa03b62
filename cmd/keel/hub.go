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
	"evenkeel/internal/keel/hubplan"
)

// addHub is the verb that adds a hub. The other two verbs are named like their settings.
const addHub = "add"

func newHub(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "hub", Short: "Add a hub or take one out of service, as a plan or at once",
		Long: "add creates and links one more hub; drain keeps a hub and its devices but assigns no new devices " +
			"to it; remove unlinks a\n" +
			"hub from the provisioning service and deletes it. Each prints what it means for the devices that are " +
			"assigned now, and changes\n" +
			"nothing without --up or --set. The hubs of an environment: keel show.",
		Example: "  keel hub drain hub-1\n  keel hub drain hub-1 --up\n  keel hub remove hub-1 --up --yes",
	}
	group(cmd)
	const plan = "Without --up it only prints the plan: the devices assigned there now, by\n" +
		"enrollment, the enrollments that name the hub, and what Azure does not tell. "
	cmd.AddCommand(
		a.hubVerb(addHub, "Create and link one more hub",
			"Add the next hub, hub-3 after hub-2, or create a removed one again. "+plan+"Devices that register again "+
				"may move to\n"+
				"the new hub: keel devices reprovision asks them to."),
		a.hubVerb(environment.Drain, "Keep a hub and its devices, and give it no new ones",
			"Assign no new devices to a hub, and no longer list it in enrollments; its devices stay. "+plan+"--undo "+
				"makes the hub\n"+
				"accept devices again. The last hub that accepts devices cannot be drained."),
		a.hubVerb(environment.Remove, "Unlink a hub and delete it with its devices",
			"Unlink a hub from the provisioning service, then delete it with its devices: they are assigned to another "+
				"hub when they\n"+
				"register again, but cannot be asked to any more. "+plan+"It asks before it deletes a hub that has "+
				"devices, unless --yes is given.\n"+
				"--undo creates a new hub of that name. The last hub that accepts devices cannot be removed."))
	return cmd
}

// hubVerb returns a command that plans or makes a change of a hub.
func (a *app) hubVerb(verb, short, long string) *cobra.Command {
	o, argument := hubOptions{verb: verb}, "HUB"
	if verb == addHub {
		argument = "NEW-HUB" // completion offers hubs that exist for HUB
	}
	cmd := &cobra.Command{
		Use: verb + " " + argument, Short: short, Long: long, Args: oneArg("a hub"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.hub = args[0]
			if o.up && o.set {
				return usageError{errors.New("use --up or --set: --up sets it too")}
			}
			return a.changeHub(cmd.Context(), o)
		},
	}
	yes := "delete resources in the environment's resource group that keel did not create, without asking"
	switch verb {
	case addHub:
		cmd.Example = "  keel hub add hub-3\n  keel hub add hub-3 --up --json"
	case environment.Remove:
		yes = "delete the hub with its devices, and " + strings.TrimPrefix(yes, "delete ")
		cmd.Example = "  keel hub remove hub-1\n  keel hub remove hub-1 --up --yes\n" +
			"  keel hub remove hub-1 --undo --up --json"
	default:
		cmd.Example = "  keel hub drain hub-1\n  keel hub drain hub-1 --up\n  keel hub drain hub-1 --undo --up --json"
	}
	if verb != addHub {
		cmd.Flags().BoolVar(&o.undo, "undo", false, "remove the setting again")
	}
	cmd.Flags().BoolVar(&o.up, "up", false, "make the change, with keel up")
	cmd.Flags().BoolVar(&o.set, "set", false, "only write the setting, which the next keel up applies")
	cmd.Flags().BoolVarP(&a.yes, "yes", "y", false, yes)
	a.addDataAccess(cmd, &o.dataAccess)
	a.addJSON(cmd)
	return cmd
}

type hubOptions struct {
	dataAccess
	hub, verb     string
	undo, up, set bool
}

// isPlan reports whether nothing is to be changed.
func (o hubOptions) isPlan() bool { return !o.up && !o.set }

// changeHub prints the plan of a change, and makes the change if the options ask for it.
func (a *app) changeHub(ctx context.Context, o hubOptions) error {
	stack, e, err := o.outputs(ctx, a)
	if err != nil {
		return err
	}
	flags, err := e.HubFlags()
	if err != nil {
		return err
	}
	hubs, err := e.HubCount()
	if err != nil {
		return err
	}
	if o.verb == addHub {
		// A removed hub is added by taking its setting back.
		if flags[o.hub][environment.Remove] {
			o.verb, o.undo = environment.Remove, true
		} else if next := fmt.Sprintf("hub-%d", hubs+1); o.hub != next || hubs >= maxHubs {
			return refuseAddition(stack, o.hub, next, hubs)
		}
	} else if err := checkHub(stack, flags, o); err != nil {
		return err
	}
	change := hubChange{Hub: o.hub, Setting: o.verb, Value: !o.undo, Commands: []string{}}
	if err := a.addPlan(ctx, stack, e, o, &change); err != nil {
		return err
	}
	if err := a.confirmRemoval(stack, o, change.Plan); err != nil {
		if a.json {
			err = errors.Join(err, a.printJSON(change))
		}
		return err
	}
	if err := a.applyHub(ctx, e, o, flags, hubs); err != nil {
		return err
	}
	change.Written, change.Applied = !o.isPlan(), o.up
	if a.json {
		return a.printJSON(change)
	}
	switch {
	case o.set:
		fmt.Fprintf(a.stdout, "%s: %s\n", o.hub, o.nextUp())
		a.say("apply it with: keel up%s", a.stackArgument())
	case o.up && o.change() == hubplan.Drain:
		a.say("move its devices with: %s", a.moveCommand(o))
	}
	return nil
}

// addPlan makes and prints the plan of a change, if it is wanted or if consent depends on it: with a million devices it
// takes a while.
func (a *app) addPlan(ctx context.Context, stack outputs, e *environment.Environment, o hubOptions,
	change *hubChange) error {
	if !o.isPlan() && (a.yes || o.change() != hubplan.Remove) {
		return nil
	}
	plan, err := a.planHub(ctx, stack, e, o)
	switch {
	case err != nil && o.isPlan():
		return err
	case err != nil: // consent then takes --yes
		a.say("note: without a plan: %v", err)
		return nil
	}
	change.Plan, change.Commands = &plan, a.nextCommands(stack, o, plan)
	if a.json {
		return nil
	}
	return a.printPlan(o, *change)
}

// applyHub writes the setting of a change and runs keel up, as far as the options ask for them.
func (a *app) applyHub(ctx context.Context, e *environment.Environment, o hubOptions,
	flags map[string]map[string]bool, hubs int) error {
	if o.isPlan() {
		return nil
	}
	up := upOptions{}
	switch isNew := o.verb == addHub; {
	case isNew && o.up:
		up.hubs = hubs + 1
	case isNew || flags[o.hub][o.verb] == o.undo: // else it is set already
		release, err := e.Claim(ctx)
		if err != nil {
			return err
		}
		if isNew {
			err = e.SetHubCount(ctx, hubs+1)
		} else {
			err = e.SetHub(ctx, o.hub, o.verb, !o.undo)
		}
		release()
		if err != nil {
			return err
		}
	}
	if !o.up {
		return nil
	}
	_, _, err := a.bringUp(ctx, up)
	return err
}

// nextUp describes what the next up will do.
func (o hubOptions) nextUp() string {
	switch {
	case o.verb == environment.Drain && o.undo:
		return "the next up assigns new devices to it again"
	case o.verb == environment.Drain:
		return "from the next up on, no new devices are assigned to it; its devices stay"
	case o.verb == addHub || o.undo:
		return "the next up creates and links a hub of that name"
	}
	return "the next up unlinks and deletes it, with its devices"
}

// checkHub rejects an unknown hub, and taking the last hub that accepts devices out of service.
func checkHub(stack outputs, flags map[string]map[string]bool, o hubOptions) error {
	var names, accepting []string
	for _, h := range stack.Hubs {
		names = append(names, h.Name)
		if !flags[h.Name][environment.Drain] && !flags[h.Name][environment.Remove] {
			accepting = append(accepting, h.Name)
		}
	}
	if _, configured := flags[o.hub]; !configured && !slices.Contains(names, o.hub) {
		return hint.To(usageError{fmt.Errorf("unknown hub %q", o.hub)}, "the hubs of this environment: %s",
			strings.Join(names, ", "))
	}
	if !o.undo && len(accepting) == 1 && accepting[0] == o.hub {
		return hint.To(fmt.Errorf("%s is the only hub that accepts devices", o.hub),
			"add another one first: keel hub add HUB --up")
	}
	return nil
}

// refuseAddition explains why a hub cannot be added.
func refuseAddition(stack outputs, name, next string, hubs int) error {
	if _, err := stack.findHub(name); err == nil {
		return hint.To(usageError{fmt.Errorf("%s exists", name)}, "the next hub is %s", next)
	}
	if hubs >= maxHubs {
		return usageError{fmt.Errorf("an environment has up to %d hubs", maxHubs)}
	}
	return hint.To(usageError{fmt.Errorf("cannot add %q", name)}, "hubs are named in order: the next one is %s", next)
}
