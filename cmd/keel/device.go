package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

func newDeviceKey(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key DEVICE",
		Short: "Print the key of one device",
		Long: "Print the symmetric key with which a device authenticates: the key of its individual enrollment if it " +
			"has one, otherwise\n" +
			"the key derived from the enrollment group's key. It is a secret.",
		Example: "  keel devices key device-1\n  keel devices key my-new-device --json",
		Args:    oneArg("a device"),
		RunE: func(cmd *cobra.Command, args []string) error {
			stack, e, err := a.outputs(cmd.Context())
			if err != nil {
				return err
			}
			key, err := stack.keyOf(cmd.Context(), e.Endpoints, args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(deviceKeyResult{args[0], key})
			}
			fmt.Fprintln(a.stdout, key)
			return nil
		},
	}
	a.addJSON(cmd)
	return cmd
}

func newDeviceStatus(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [DEVICE]",
		Short: "Show to which hubs devices are assigned: all, or one",
		Long: "Show the devices that have registered or have an individual enrollment: their enrollment, the hub " +
			"they are assigned to,\n" +
			"and when. With a device, show also whether the hub has it and whether it is connected.",
		Example: "  keel devices status\n  keel devices status device-1\n  keel devices status --json",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			stack, e, err := a.outputs(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return a.deviceStatus(cmd.Context(), stack, e.Endpoints, args[0])
			}
			devices, err := stack.devices(cmd.Context(), e.Endpoints)
			if err != nil {
				return err
			}
			return a.printDevices(devices)
		},
	}
	a.addJSON(cmd)
	return cmd
}

// deviceState is the state of a device at the provisioning service and, when one device is shown, at its hub.
type deviceState struct {
	Device string `json:"device"`
	// Enrollment is "individual", or the id of the enrollment group.
	Enrollment string `json:"enrollment"`
	Status     string `json:"status"`
	Substatus  string `json:"substatus,omitempty"`
	Hub        string `json:"hub,omitempty"`
	Registered string `json:"registeredAt,omitempty"`
	Updated    string `json:"updatedAt,omitempty"`
	ErrorCode  int    `json:"errorCode,omitempty"`
	Error      string `json:"error,omitempty"`
	// OnHub and Connection are set for a single device that is assigned: "enabled", "disabled" or "absent".
	OnHub      string `json:"onHub,omitempty"`
	Connection string `json:"connection,omitempty"`
}

const (
	individual   = "individual"
	unregistered = "not registered"
)

func newState(id, enrollment string, r dpsservice.Registration) deviceState {
	if r.Status == "" {
		r.Status = unregistered
	}
	return deviceState{
		Device: id, Enrollment: enrollment, Status: r.Status, Substatus: r.Substatus, Hub: r.AssignedHub,
		Registered: r.CreatedDateTimeUtc,
		Updated:    r.LastUpdatedDateTimeUtc, ErrorCode: r.ErrorCode, Error: r.ErrorMessage,
	}
}

// devices returns all devices of the stack's provisioning service, in the order of their ids.
func (o outputs) devices(ctx context.Context, e environment.Endpoints) ([]deviceState, error) {
	client, err := o.service(e)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	defer client.Close()
	found := map[string]deviceState{}
	for group, err := range client.Groups().Query(ctx, "SELECT *", 0) {
		if err != nil {
			return nil, fmt.Errorf("list enrollment groups: %w", err)
		}
		for r, err := range client.Registrations(ctx, group.ID, 0) {
			if err != nil {
				return nil, fmt.Errorf("list the registrations of %q: %w", group.ID, err)
			}
			found[strings.ToLower(r.RegistrationID)] = newState(r.RegistrationID, group.ID, r)
		}
	}
	for entry, err := range client.Individuals().Query(ctx, "SELECT *", 0) {
		if err != nil {
			return nil, fmt.Errorf("list enrollments: %w", err)
		}
		r, err := client.Registration(ctx, entry.ID)
		if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
			return nil, fmt.Errorf("look for the registration of %q: %w", entry.ID, err)
		}
		found[strings.ToLower(entry.ID)] = newState(entry.ID, individual, r)
	}
	return slices.SortedFunc(maps.Values(found), func(x, y deviceState) int {
		return strings.Compare(x.Device, y.Device)
	}), nil
}

// device returns the state of one device.
func (o outputs) device(ctx context.Context, e environment.Endpoints, id string) (deviceState, error) {
	client, err := o.service(e)
	if err != nil {
		return deviceState{}, err
	}
	defer client.Close()
	enrollment := individual
	_, enrolled := client.Individuals().Get(ctx, id)
	if errors.Is(enrolled, dpsservice.ErrNotFound) {
		enrollment = o.EnrollmentGroup
	} else if enrolled != nil {
		return deviceState{}, fmt.Errorf("look for the enrollment of %q: %w", id, enrolled)
	}
	r, err := client.Registration(ctx, id)
	switch {
	case errors.Is(err, dpsservice.ErrNotFound) && enrolled != nil:
		return deviceState{}, hint.To(fmt.Errorf("device %q has never registered and has no individual enrollment", id),
			"list devices: keel devices status; print a key for it: keel devices key %s", id)
	case err != nil && !errors.Is(err, dpsservice.ErrNotFound):
		return deviceState{}, fmt.Errorf("look for the registration of %q: %w", id, err)
	}
	state := newState(id, enrollment, r)
	if r.AssignedHub == "" {
		return state, nil
	}
	registry, err := o.hub(e, r.AssignedHub)
	if err != nil {
		return deviceState{}, err
	}
	if registry == nil { // a hub that this stack no longer has
		state.OnHub = "absent"
		return state, nil
	}
	defer registry.Close()
	entry, err := registry.Device(ctx, r.DeviceID)
	switch {
	case errors.Is(err, hub.ErrNotFound):
		state.OnHub = "absent"
	case err != nil:
		return deviceState{}, err
	default:
		state.OnHub, state.Connection = entry.Status, strings.ToLower(entry.ConnectionState)
	}
	return state, nil
}

// hub returns a client of the stack's hub with that host name, or nil if the stack has no such hub.
func (o outputs) hub(e environment.Endpoints, host string) (*hub.Client, error) {
	for _, h := range o.Hubs {
		if hostKey(h.HostName) != hostKey(host) {
			continue
		}
		roots, err := e.Roots()
		if err != nil {
			return nil, err
		}
		options := hub.Options{Host: h.HostName, Endpoint: e.Data, Roots: roots, RateLimit: o.rateLimit}
		if o.HubConnectionStrings[h.Name] == "" { // it has disableLocalAuth
			if options.Credential, err = o.login(h.HostName); err != nil {
				return nil, err
			}
			return hub.New(options)
		}
		access, err := dpsservice.ParseConnectionString(o.HubConnectionStrings[h.Name])
		if err != nil {
			return nil, fmt.Errorf("read the connection string of %s: %w", h.Name, err)
		}
		options.Host, options.PolicyName, options.Key = access.Host, access.PolicyName, access.Key
		return hub.New(options)
	}
	return nil, nil
}

func (a *app) deviceStatus(ctx context.Context, stack outputs, e environment.Endpoints, id string) error {
	state, err := stack.device(ctx, e, id)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(state)
	}
	return table(a.stdout, func(row func(...string)) {
		for _, line := range [][2]string{
			{"device", state.Device}, {"enrollment", state.Enrollment}, {"status", state.Status},
			{"substatus", state.Substatus}, {"hub", state.Hub},
			{"registered", state.Registered}, {"updated", state.Updated}, {"error", state.Error},
			{"at the hub", state.OnHub}, {"connection", state.Connection},
		} {
			if line[1] != "" {
				row(line[0], line[1])
			}
		}
	})
}

func (a *app) printDevices(devices []deviceState) error {
	if a.json {
		return a.printJSON(append([]deviceState{}, devices...)) // [] rather than null
	}
	if len(devices) == 0 {
		a.say("no device has registered or has an individual enrollment; register some with: keel devices provision")
		return nil
	}
	return table(a.stdout, func(row func(...string)) {
		row("DEVICE", "ENROLLMENT", "STATUS", "HUB", "UPDATED")
		for _, d := range devices {
			row(d.Device, d.Enrollment, d.Status, d.Hub, d.Updated)
		}
	})
}

// table writes rows with aligned columns.
func table(w io.Writer, fill func(row func(cells ...string))) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var text strings.Builder
	fill(func(cells ...string) { fmt.Fprintln(&text, strings.Join(cells, "\t")) })
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	return out.Flush()
}
