package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/hubplan"
)

// hubChange is what `hub add`, `hub drain` and `hub remove` print as JSON.
type hubChange struct {
	Hub string `json:"hub"`
	// Setting is drain, remove or add; Value is false for --undo.
	Setting string `json:"setting"`
	Value   bool   `json:"value"`
	// Written is true if the setting is written, Applied if keel up has applied it.
	Written bool `json:"written"`
	Applied bool `json:"applied"`
	// Plan is what the change means for devices; absent with --up and --set, but for a removal without --yes.
	Plan *hubplan.Plan `json:"plan,omitempty"`
	// Commands make the change, and move devices, in the order in which they are to be run.
	Commands []string `json:"commands"`
}

// planHub reads the registrations and makes the plan.
func (a *app) planHub(ctx context.Context, stack outputs, e *environment.Environment, o hubOptions) (hubplan.Plan,
	error) {
	in := hubplan.Input{
		Change: o.change(), Hub: hubplan.Hub{Name: o.hub, Weight: 1}, Policy: stack.AllocationPolicy, InRegistry: -1,
	}
	for _, h := range stack.Hubs {
		hub := hubplan.Hub{Name: h.Name, Host: hostKey(h.HostName), Weight: h.Weight, Drain: h.Drain}
		in.Hubs = append(in.Hubs, hub)
		if h.Name == o.hub {
			in.Hub = hub
		}
	}
	service, err := o.service(stack, e.Endpoints)
	if err != nil {
		return hubplan.Plan{}, err
	}
	defer service.Close()
	if in.Census, err = readCensus(ctx, service, assignment.Select{Progress: a.readProgress()}); err != nil {
		return hubplan.Plan{}, err
	}
	declared, err := e.Enrollments(ctx)
	if err != nil {
		return hubplan.Plan{}, err
	}
	settings, err := e.Settings()
	if err != nil {
		return hubplan.Plan{}, err
	}
	in.FollowsHubs = settings[sharedKey] == "true" || settings[existingKey] != ""
	in.IsDeclared = func(entry assignment.Enrollment) bool {
		if !entry.Individual {
			return strings.EqualFold(entry.ID, stack.EnrollmentGroup)
		}
		// Rows of a manifest without hubs of their own list all hubs of the stack at a shared service.
		isRow := in.FollowsHubs && len(entry.Hubs) > 1 && strings.HasPrefix(strings.ToLower(entry.ID), e.Stack+"-")
		return isRow || slices.ContainsFunc(declared.IDs, func(id string) bool {
			return strings.EqualFold(id, entry.ID)
		})
	}
	if h, err := stack.findHub(o.hub); err == nil {
		in.InRegistry = a.countAtHub(ctx, stack, e.Endpoints, h)
	}
	return hubplan.New(in), nil
}

// countAtHub returns how many devices a hub has; -1 if it does not tell.
func (a *app) countAtHub(ctx context.Context, stack outputs, e environment.Endpoints, h hubOut) int {
	client, err := stack.hub(e, h.HostName)
	n := -1
	if err == nil {
		defer client.Close()
		n, err = client.Count(ctx)
	}
	if err != nil {
		a.say("note: the devices in the registry of %s are not counted: %v", h.Name, err)
		return -1
	}
	return n
}

// change returns the plan's word for the change.
func (o hubOptions) change() hubplan.Change {
	switch {
	case o.verb == environment.Drain && o.undo:
		return hubplan.Accept
	case o.verb == environment.Drain:
		return hubplan.Drain
	case o.verb == environment.Remove && !o.undo:
		return hubplan.Remove
	}
	return hubplan.Add
}

// nextCommands returns the commands that make the change and move devices.
func (a *app) nextCommands(stack outputs, o hubOptions, plan hubplan.Plan) []string {
	flag := a.stackFlag()
	apply := "keel hub " + o.verb + " " + o.hub
	switch {
	case o.verb == environment.Remove && o.undo:
		apply = "keel hub add " + o.hub
	case o.undo:
		apply += " --undo"
	}
	apply += " --up" + flag
	move := a.moveCommand(o)
	switch o.change() {
	case hubplan.Remove:
		var commands []string
		if plan.Devices > 0 {
			if h, err := stack.findHub(o.hub); err == nil && !h.Drain {
				commands = append(commands, "keel hub drain "+o.hub+" --up"+flag)
			}
			commands = append(commands, move)
		}
		return append(commands, apply)
	case hubplan.Drain:
		if plan.MayMove > 0 {
			return []string{apply, move}
		}
	case hubplan.Add, hubplan.Accept:
		if plan.MayMove > 0 || o.change() == hubplan.Accept {
			return []string{apply, "keel devices reprovision --wait" + flag}
		}
	}
	return []string{apply}
}

// confirmRemoval asks before a hub that has devices is removed, or whose devices cannot be counted.
func (a *app) confirmRemoval(stack outputs, o hubOptions, plan *hubplan.Plan) error {
	if o.isPlan() || a.yes || o.change() != hubplan.Remove {
		return nil
	}
	if _, err := stack.findHub(o.hub); err != nil { // it is not there any more
		return nil
	}
	what := fmt.Sprintf("%s may have devices", o.hub)
	if plan != nil && plan.InRegistry != nil {
		n := max(plan.Devices, *plan.InRegistry)
		if n == 0 {
			return nil
		}
		what = fmt.Sprintf("%s has %s", o.hub, plural(n, "device"))
	}
	advice := fmt.Sprintf("move them first: keel devices reprovision --from %s --wait%s; or confirm with --yes", o.hub,
		a.stackFlag())
	if !a.interactive || !a.terminal {
		return hint.To(usageError{fmt.Errorf("%s, which are deleted with it", what)}, "%s", advice)
	}
	fmt.Fprintf(a.stderr, "%s, which are deleted with it. Delete it? [y/N] ", what)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil && line == "" {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
		return hint.To(errors.New("nothing was changed"), "%s", advice)
	}
	return nil
}

// effects are the words for the effects of a plan.
var effects = map[hubplan.Effect]string{
	hubplan.Reassigned:     "assigned by the policy when they register again",
	hubplan.Unassignable:   "names no other hub: its devices fail to register",
	hubplan.UpRefuses:      "names no other hub in the configuration: keel up refuses the change",
	hubplan.StillAssigned:  "names the hub, and keel up does not change that: its devices are still assigned to it",
	hubplan.KeepsHub:       "reprovision policy never: its devices keep their hub",
	hubplan.CannotRegister: "is disabled: its devices cannot register",
	hubplan.Webhook:        "a webhook decides when they register again",
	hubplan.NotOffered:     "names other hubs only: its devices do not come to this one",
}

// printPlan prints a plan for people.
func (a *app) printPlan(o hubOptions, change hubChange) error {
	p := change.Plan
	fmt.Fprintf(a.stdout, "Plan: %s\n", o.planTitle())
	err := table(a.stdout, func(row func(...string)) {
		if p.InRegistry != nil {
			row("  devices assigned to it now", strconv.Itoa(p.Devices))
			row("  devices in its registry", strconv.Itoa(*p.InRegistry))
		}
		row("  devices that must register again", strconv.Itoa(p.MustRegisterAgain))
		row("  devices that may move when they register again", strconv.Itoa(p.MayMove))
		if p.Expected != nil {
			row("  devices expected on it then", strconv.Itoa(*p.Expected))
		}
	})
	if len(p.Enrollments) > 0 {
		fmt.Fprintln(a.stdout, "Enrollments, with the number of their devices on it:")
		err = errors.Join(err, table(a.stdout, func(row func(...string)) {
			listed := p.Enrollments[:min(len(p.Enrollments), maxListed)]
			for _, e := range listed {
				row("  "+assignment.Key{ID: e.Enrollment, Individual: e.Individual}.String(), strconv.Itoa(e.Devices),
					o.describe(e))
			}
			if more := len(p.Enrollments) - len(listed); more > 0 {
				row(fmt.Sprintf("  and %d more, which --json lists", more))
			}
		}))
	}
	fmt.Fprintln(a.stdout, "What Azure does not tell:")
	for _, sentence := range p.Unknown {
		fmt.Fprintf(a.stdout, "  - %s\n", sentence)
	}
	if o.isPlan() {
		fmt.Fprintln(a.stdout, "Nothing was changed. To make the change:")
		for _, command := range change.Commands {
			fmt.Fprintf(a.stdout, "  %s\n", command)
		}
	}
	return err
}

// moveCommand returns the command that moves the devices of a hub.
func (a *app) moveCommand(o hubOptions) string {
	return "keel devices reprovision --from " + o.hub + " --wait" + a.stackFlag()
}

func (o hubOptions) planTitle() string {
	switch o.change() {
	case hubplan.Drain:
		return "drain " + o.hub + ", which keeps its devices and gets no new ones"
	case hubplan.Remove:
		return "remove " + o.hub + ": unlink it and delete it with its devices"
	case hubplan.Accept:
		return "assign new devices to " + o.hub + " again"
	}
	return "add " + o.hub + ": create it and link it"
}

func (o hubOptions) describe(e hubplan.Entry) string {
	text := effects[e.Effect]
	if e.Effect == hubplan.KeepsHub && o.change() == hubplan.Remove {
		text = "reprovision policy never: its devices get no other hub until the policy changes"
	}
	if e.NamesHub && len(e.OtherHubs) > 0 {
		text += " (it also names " + strings.Join(e.OtherHubs, ", ") + ")"
	}
	return text
}
