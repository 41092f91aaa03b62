package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/internal/keel/environment"
)

// warnBefore is the remaining time below which keel warns.
const warnBefore = time.Hour

func newLs(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the environments of this checkout, or of another backend",
		Long: "List the environments of this checkout's backend: owner, age, time left, how many hubs and resources " +
			"the state holds,\n" +
			"and, while the emulator runs, how many devices the hubs have. --backend lists the environments of " +
			"another backend, and\n" +
			"--target azure those of the backend that your Pulumi is logged in to; their owners and lifetimes are in " +
			"the stacks folder of\n" +
			"the checkout that created them. keel does not start the emulator, and runs Pulumi only for a backend " +
			"that is not a folder.",
		Example: "  keel ls\n  keel ls --json\n  keel ls --backend file:///srv/states\n  keel ls --target azure",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.ls(cmd.Context()) },
	}
	a.addJSON(cmd)
	return cmd
}

// summary is one environment as `ls` and `show` print it in JSON. Times that are not set are absent.
type summary struct {
	Name   string `json:"name"`
	Owner  string `json:"owner,omitempty"`
	Target string `json:"target"`
	Hubs   int    `json:"hubs"`
	// Devices is absent if it is unknown: the emulator does not run, or does not have the environment's hubs.
	Devices   *int       `json:"devices,omitempty"`
	Resources int        `json:"resources"`
	CreatedAt *time.Time `json:"createdAt,omitempty"`
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	Expired   bool       `json:"expired"`
}

func newSummary(s environment.Summary, now time.Time) summary {
	out := summary{Name: s.Name, Owner: s.Lifetime.Owner, Target: s.Target, Hubs: len(s.Hubs), Resources: s.Resources}
	if !s.Lifetime.Created.IsZero() {
		out.CreatedAt = &s.Lifetime.Created
	}
	if left, ok := s.Lifetime.Left(now); ok {
		out.ExpiresAt, out.Expired = &s.Lifetime.Expires, left <= 0
	}
	return out
}

// summaries reads every environment of the backend that e has.
func (a *app) summaries(ctx context.Context, e *environment.Environment, now time.Time) ([]summary, error) {
	names, err := e.Names(ctx)
	if err != nil {
		return nil, err
	}
	devices := a.hubDevices(ctx, e.Folder)
	list := []summary{} // [] rather than null
	for _, name := range names {
		other := *e
		other.Stack = name
		s, err := other.Summary(ctx)
		if err != nil {
			return nil, err
		}
		summary := newSummary(s, now)
		if devices != nil && s.Target != environment.Azure {
			n := 0
			for _, hub := range s.Hubs {
				n += devices[strings.ToLower(hub)]
			}
			summary.Devices = &n
		}
		list = append(list, summary)
	}
	return list, nil
}

// hubDevices asks the emulator for the number of devices of each hub, by hub name; nil if it does not run or answer.
func (a *app) hubDevices(ctx context.Context, f environment.Folder) map[string]int {
	client, err := a.control(f)
	if err != nil {
		return nil
	}
	byHost, err := client.HubDevices(ctx)
	if err != nil {
		return nil
	}
	devices := map[string]int{}
	for host, n := range byHost {
		name, _, _ := strings.Cut(host, ".")
		devices[name] = n
	}
	return devices
}

func (a *app) ls(ctx context.Context) error {
	a.stack = "" // no particular one: the flag selects the target
	e, err := a.reader(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	list, err := a.summaries(ctx, e, now)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.say("no environments; create one with: keel up")
		return nil
	}
	return table(a.stdout, func(row func(...string)) {
		row("NAME", "OWNER", "AGE", "LEFT", "HUBS", "DEVICES", "RESOURCES", "TARGET")
		for _, s := range list {
			devices := "-"
			if s.Devices != nil {
				devices = strconv.Itoa(*s.Devices)
			}
			row(s.Name, dash(s.Owner), age(s.CreatedAt, now), left(s.ExpiresAt, now), strconv.Itoa(s.Hubs), devices,
				strconv.Itoa(s.Resources), dash(s.Target))
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

// span formats a duration as days and hours, hours and minutes, or minutes.
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

// warn prints a warning if the environment has expired or will soon.
func (a *app) warn(e *environment.Environment) error {
	l, err := e.Lifetime()
	if err != nil {
		return err
	}
	switch left, ok := l.Left(time.Now()); {
	case !ok || left > warnBefore:
	case left <= 0:
		a.say("warning: environment %s has expired, at %s; to keep it: keel extend %[1]s", e.Stack,
			l.Expires.Local().Format(time.DateTime))
	default:
		a.say("warning: environment %s expires in %s; to keep it: keel extend %[1]s", e.Stack, span(left))
	}
	return nil
}
