package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/environment"
	"evenkeel/internal/hint"
)

// shortly is the time left from which keel warns.
const shortly = time.Hour

func newLs(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the environments of this checkout",
		Long: "List the environments of this checkout's backend: owner, age, time left, and how many hubs and resources the state holds.\n" +
			"It only reads files: neither Pulumi nor the emulator runs.",
		Example: "  keel ls\n  keel ls --json",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return a.ls() },
	}
	a.addJSON(cmd)
	return cmd
}

// summary is one environment as `ls` and `show` print it in JSON. Times are absent where there is none.
type summary struct {
	Name      string     `json:"name"`
	Owner     string     `json:"owner,omitempty"`
	Target    string     `json:"target"`
	Hubs      int        `json:"hubs"`
	Resources int        `json:"resources"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Expired   bool       `json:"expired"`
}

func newSummary(s environment.Summary, now time.Time) summary {
	out := summary{Name: s.Name, Owner: s.Lifetime.Owner, Target: s.Target, Hubs: s.Hubs, Resources: s.Resources}
	if !s.Lifetime.Created.IsZero() {
		out.CreatedAt = &s.Lifetime.Created
	}
	if left, ok := s.Lifetime.Left(now); ok {
		out.ExpiresAt, out.Expired = &s.Lifetime.Expires, left <= 0
	}
	return out
}

// summaries reads every environment of the checkout.
func (a *app) summaries(f environment.Folder, now time.Time) ([]summary, error) {
	names, err := f.Stacks()
	if err != nil {
		return nil, err
	}
	list := []summary{} // [] rather than null
	for _, name := range names {
		s, err := (&environment.Environment{Folder: f, Stack: name}).Summary()
		if err != nil {
			return nil, err
		}
		list = append(list, newSummary(s, now))
	}
	return list, nil
}

func (a *app) ls() error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := a.summaries(folder, now)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("there is no environment; bring one up with: keel up")
		return nil
	}
	return table(a.stdout, func(row func(...string)) {
		row("NAME", "OWNER", "AGE", "LEFT", "HUBS", "RESOURCES", "TARGET")
		for _, s := range list {
			row(s.Name, dash(s.Owner), age(s.CreatedAt, now), left(s.ExpiresAt, now), strconv.Itoa(s.Hubs), strconv.Itoa(s.Resources), dash(s.Target))
		}
	})
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func age(created *time.Time, now time.Time) string {
	if created == nil {
		return "-"
	}
	return span(now.Sub(*created))
}

func left(expires *time.Time, now time.Time) string {
	switch {
	case expires == nil:
		return "-"
	case !expires.After(now):
		return "expired"
	}
	return span(expires.Sub(now))
}

// span writes a time span as people say it: days and hours, hours and minutes, or minutes.
func span(d time.Duration) string {
	minutes := int(max(d, 0).Minutes())
	switch {
	case minutes >= 48*60:
		return fmt.Sprintf("%dd%dh", minutes/60/24, minutes/60%24)
	case minutes >= 60:
		return fmt.Sprintf("%dh%dm", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%dm", minutes)
}

// warn says when the environment has expired or soon will.
func (a *app) warn(e *environment.Environment) error {
	l, err := e.Lifetime()
	if err != nil {
		return err
	}
	switch left, ok := l.Left(time.Now()); {
	case !ok || left > shortly:
	case left <= 0:
		a.say("warning: environment %s has expired, at %s; to keep it: keel extend %[1]s", e.Stack, l.Expires.Local().Format(time.DateTime))
	default:
		a.say("warning: environment %s expires in %s; to keep it: keel extend %[1]s", e.Stack, span(left))
	}
	return nil
}

func newShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show one environment: lifetime, hosts, hubs and their devices",
		Long: "Show an environment: whose it is and how long it lives, where its services answer, and how many devices each hub has\n" +
			"been assigned. No key is among it.",
		Example: "  keel show\n  keel show mine --json",
		Args:    maybeArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.named(args); err != nil {
				return err
			}
			return a.showEnvironment(cmd.Context())
		},
	}
	a.addJSON(cmd)
	return cmd
}

// shown is what `show` prints as JSON.
type shown struct {
	summary
	IDScope          string     `json:"idScope"`
	ServiceHost      string     `json:"serviceHost"`
	DeviceHost       string     `json:"deviceHost"`
	AllocationPolicy string     `json:"allocationPolicy"`
	Devices          int        `json:"devices"`
	HubList          []shownHub `json:"hubList"`
}

type shownHub struct {
	hubOut
	Devices int `json:"devices"`
}

func (a *app) showEnvironment(ctx context.Context) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	s, err := e.Summary()
	if err != nil {
		return err
	}
	devices, err := stack.devices(ctx, e.Endpoints)
	if err != nil {
		return err
	}
	now := time.Now()
	out := shown{
		summary: newSummary(s, now), IDScope: stack.IDScope, ServiceHost: stack.ServiceHost, DeviceHost: stack.DeviceHost,
		AllocationPolicy: stack.AllocationPolicy,
	}
	assigned := map[string]int{}
	for _, d := range devices {
		if d.Hub != "" {
			assigned[d.Hub]++
			out.Devices++
		}
	}
	for _, h := range stack.Hubs {
		out.HubList = append(out.HubList, shownHub{h, assigned[h.HostName]})
	}
	if a.json {
		return a.printJSON(out)
	}
	return a.printShown(out, now)
}

func (a *app) printShown(out shown, now time.Time) error {
	return table(a.stdout, func(row func(...string)) {
		row("environment", out.Name)
		row("owner", dash(out.Owner))
		row("target", out.Target)
		row("age", age(out.CreatedAt, now))
		row("left", left(out.ExpiresAt, now))
		row("resources", strconv.Itoa(out.Resources))
		row("id scope", out.IDScope)
		row("service host", out.ServiceHost)
		row("device host", out.DeviceHost)
		row("policy", out.AllocationPolicy)
		row("devices", strconv.Itoa(out.Devices))
		for _, h := range out.HubList {
			note := "weight " + strconv.Itoa(h.Weight)
			if h.Drain {
				note = "draining"
			}
			row(h.Name, fmt.Sprintf("%s, %s, %d devices", h.HostName, note, h.Devices))
		}
	})
}

func newExtend(a *app) *cobra.Command {
	var ttl string
	cmd := &cobra.Command{
		Use:   "extend [NAME]",
		Short: "Let an environment live longer, from now on",
		Long: "Move the end of an environment's life to --ttl from now: in its configuration and in the tag of its resource group. Nothing\n" +
			"else changes, and no program runs: what has been edited in main.go or in the configuration waits for the next up.",
		Example: "  keel extend\n  keel extend mine --ttl 2d",
		Args:    maybeArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			span, err := environment.ParseTTL(ttl)
			if err != nil {
				return usageError{fmt.Errorf("--ttl: %w", err)}
			}
			if err := a.named(args); err != nil {
				return err
			}
			return a.extend(cmd.Context(), span)
		},
	}
	cmd.Flags().StringVar(&ttl, "ttl", "8h", "how long from now: minutes, hours or days, as 90m, 8h, 2d")
	a.addJSON(cmd)
	return cmd
}

func (a *app) extend(ctx context.Context, ttl time.Duration) error {
	e, err := a.present(ctx)
	if err != nil {
		return err
	}
	azure, err := environment.Emulator(e.Endpoints)
	if err != nil {
		return err
	}
	until := time.Now().Add(ttl)
	if err := e.Extend(ctx, azure, until); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]string{"name": e.Stack, "expiresAt": environment.Stamp(until)})
	}
	fmt.Fprintf(a.stdout, "environment %s lives until %s\n", e.Stack, until.Local().Format(time.DateTime))
	return nil
}

// present returns the environment that was asked for, which must be there.
func (a *app) present(ctx context.Context) (*environment.Environment, error) {
	folder, err := a.checkout()
	if err != nil {
		return nil, err
	}
	there, err := (&environment.Environment{Folder: folder, Stack: a.stack}).Exists()
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, a.absent()
	}
	return a.local(ctx, whenStale)
}

func (a *app) absent() error {
	if a.stack == environment.Local {
		return hint.To(fmt.Errorf("the local environment is not up"), "bring it up with: keel up")
	}
	return hint.To(fmt.Errorf("environment %s is not up", a.stack), "bring it up with: keel up %s; which there are: keel ls", a.stack)
}
