package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func newShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show [NAME]",
		Short: "Show one environment: lifetime, hosts, hubs and their devices",
		Long: "Show an environment: its owner and lifetime, the addresses of its services, and how many devices are " +
			"assigned to each\n" +
			"hub. It prints no key. --backend and --target azure select where keel looks, as for every command.",
		Example: "  keel show\n  keel show mine --json\n  keel show theirs --target azure",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.takeName(args); err != nil {
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
	s, err := e.Summary(ctx)
	if err != nil {
		return err
	}
	devices, err := stack.devices(ctx, e.Endpoints)
	if err != nil {
		return err
	}
	now := time.Now()
	out := shown{
		summary: newSummary(s, now), IDScope: stack.IDScope, ServiceHost: stack.ServiceHost,
		DeviceHost:       stack.DeviceHost,
		AllocationPolicy: stack.AllocationPolicy,
	}
	out.count(stack.Hubs, devices)
	if a.json {
		return a.printJSON(out)
	}
	return a.printShown(out, now)
}

// count sets how many devices are assigned in all and to each hub.
func (s *shown) count(hubs []hubOut, devices []deviceState) {
	assigned := map[string]int{}
	for _, d := range devices {
		if d.Hub != "" {
			assigned[hostKey(d.Hub)]++
			s.Devices++
		}
	}
	for _, h := range hubs {
		s.HubList = append(s.HubList, shownHub{h, assigned[hostKey(h.HostName)]})
	}
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
