package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/errorcodes"
)

func newDeviceFind(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "find DEVICE...",
		Short: "Show where devices are: enrollment, hub, twin, connection, last error",
		Long: "Show for each device its enrollment or group, its registration, the hub that has it, the version of " +
			"its twin, whether it\n" +
			"is connected, when it was last seen, and the explanation of its last error. A device without a " +
			"registration is looked for\n" +
			"on every hub of the environment. If the service has several groups, their registrations are read until " +
			"the device is found.\n" +
			"It asks the service APIs only, on the emulator and on Azure, and prints how many requests that took.",
		Example: "  keel devices find devices-0001\n  keel devices find devices-0001 device-1 --json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Contains(args, "") {
				return nil
			}
			return hint.To(usageError{errors.New("keel devices find takes the ids of devices")},
				"list devices: keel devices list")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return usageError{errors.New("--rate-limit must be 0 or more")}
			}
			stack, e, err := a.outputs(cmd.Context())
			if err != nil {
				return err
			}
			stack.rateLimit = limit
			result, err := stack.find(cmd.Context(), e.Endpoints, args)
			if err != nil {
				return err
			}
			return a.printFound(result)
		},
	}
	addRateLimit(cmd, &limit)
	a.addJSON(cmd)
	return cmd
}

// findResult is what `devices find` prints.
type findResult struct {
	Devices []foundDevice `json:"devices"`
	Calls   calls         `json:"calls"`
}

// foundDevice is a device as the provisioning service and the hubs have it.
type foundDevice struct {
	// Found is false if neither has it.
	Found bool `json:"found"`
	deviceState
	// DeviceID is the device's id at its hub, if it is another one.
	DeviceID string `json:"deviceId,omitempty"`
	// Explanations are those of ErrorCode.
	Explanations []explanation `json:"explanations,omitempty"`
	// Identities are the hubs that have the device: its assigned hub or, without one, any of the environment's.
	Identities []identity `json:"identities"`
}

// identity is a device at a hub.
type identity struct {
	Hub    string `json:"hub"`
	Status string `json:"status"`
	// Connected is whether the device is connected now, LastSeen when it was last active; empty for never.
	Connected   bool   `json:"connected"`
	LastSeen    string `json:"lastSeen,omitempty"`
	TwinVersion int    `json:"twinVersion"`
}

// find looks for devices by their registration ids.
func (o outputs) find(ctx context.Context, e environment.Endpoints, ids []string) (findResult, error) {
	s, err := o.newSearch(e)
	if err != nil {
		return findResult{}, fmt.Errorf("find devices: %w", err)
	}
	defer s.close()
	result := findResult{Devices: []foundDevice{}}
	missing := map[string]*foundDevice{} // registered, of a group that is not known yet
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[strings.ToLower(id)] {
			continue
		}
		seen[strings.ToLower(id)] = true
		found, err := s.device(ctx, id)
		if err != nil {
			return findResult{}, fmt.Errorf("find device %q: %w", id, err)
		}
		result.Devices = append(result.Devices, found)
	}
	for i := range result.Devices {
		if d := &result.Devices[i]; d.Status != unregistered && d.Enrollment == "" {
			missing[strings.ToLower(d.Device)] = d
		}
	}
	if err := s.nameGroups(ctx, missing); err != nil {
		return findResult{}, fmt.Errorf("find the groups of devices: %w", err)
	}
	result.Calls = s.calls()
	return result, nil
}

// device reads one device. The enrollment of a device of a group is empty.
func (s *search) device(ctx context.Context, id string) (foundDevice, error) {
	enrollment, deviceID := individual, id
	entry, err := s.service.Individuals().Get(ctx, id)
	switch {
	case errors.Is(err, dpsservice.ErrNotFound):
		enrollment = ""
	case err != nil:
		return foundDevice{}, err
	case entry.DeviceID != nil && *entry.DeviceID != "":
		deviceID = *entry.DeviceID
	}
	record, err := s.service.Registration(ctx, id)
	if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
		return foundDevice{}, err
	}
	if record.DeviceID != "" {
		deviceID = record.DeviceID
	}
	found := foundDevice{deviceState: newState(id, enrollment, record), Identities: []identity{}}
	if deviceID != id {
		found.DeviceID = deviceID
	}
	found.Explanations = explanationsOf(record.ErrorCode, errorcodes.Service, errorcodes.Both)
	if err := s.identities(ctx, &found, deviceID); err != nil {
		return foundDevice{}, err
	}
	found.Found = enrollment != "" || found.Status != unregistered || len(found.Identities) > 0
	return found, nil
}

// identities asks the assigned hub, and all others if that does not have the device.
func (s *search) identities(ctx context.Context, found *foundDevice, deviceID string) error {
	asked := map[string]bool{}
	ask := func(host string) error {
		asked[hostKey(host)] = true
		client, err := s.hub(host)
		if client == nil || err != nil {
			return err
		}
		twin, err := client.Twin(ctx, deviceID)
		if errors.Is(err, hub.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		at := identity{Hub: s.stack.hubName(host), Status: twin.Status, TwinVersion: twin.Version,
			Connected: strings.EqualFold(twin.ConnectionState, "connected")}
		if !strings.HasPrefix(twin.LastActivityTime, "0001-") {
			at.LastSeen = twin.LastActivityTime
		}
		found.Identities = append(found.Identities, at)
		return nil
	}
	if found.Hub != "" {
		if err := ask(found.Hub); err != nil || len(found.Identities) > 0 {
			return err
		}
	}
	for _, h := range s.stack.Hubs {
		if asked[hostKey(h.HostName)] {
			continue
		}
		if err := ask(h.HostName); err != nil {
			return err
		}
	}
	return nil
}

// nameGroups sets the groups of registered devices. A registration does not name its group: with one group it must be
// that, and with several their registrations are read until all devices are found.
func (s *search) nameGroups(ctx context.Context, missing map[string]*foundDevice) error {
	if len(missing) == 0 {
		return nil
	}
	groups, err := s.groups(ctx)
	if err != nil {
		return err
	}
	if len(groups) == 1 {
		for _, d := range missing {
			d.Enrollment = groups[0]
		}
		return nil
	}
	for _, group := range groups {
		for record, err := range s.service.Registrations(ctx, group, maxPage) {
			if err != nil {
				return err
			}
			if d := missing[strings.ToLower(record.RegistrationID)]; d != nil {
				d.Enrollment = group
				delete(missing, strings.ToLower(record.RegistrationID))
			}
			if len(missing) == 0 {
				return nil
			}
		}
	}
	return nil
}

// printFound prints devices. It returns an error if one was not found.
func (a *app) printFound(result findResult) error {
	unknown := 0
	for _, d := range result.Devices {
		if !d.Found {
			unknown++
		}
	}
	if a.json {
		if err := a.printJSON(result); err != nil {
			return err
		}
	} else {
		for i, d := range result.Devices {
			if i > 0 {
				fmt.Fprintln(a.stdout)
			}
			if err := d.print(a.stdout); err != nil {
				return err
			}
		}
		a.say("%s", result.Calls)
	}
	if unknown > 0 {
		return hint.To(fmt.Errorf("find devices: neither the provisioning service nor a hub has %d of %d", unknown,
			len(result.Devices)), "list devices: keel devices list%s", a.stackFlag())
	}
	return nil
}

// print prints one device as lines of a name and a value.
func (d foundDevice) print(w io.Writer) error {
	if !d.Found {
		_, err := fmt.Fprintf(w, "device  %s: unknown\n", d.Device)
		return err
	}
	return table(w, func(row func(...string)) {
		add := func(name, value string) {
			if value != "" {
				row(name, value)
			}
		}
		add("device", d.Device)
		add("enrollment", dash(d.Enrollment))
		add("device id", d.DeviceID)
		add("status", d.Status)
		add("substatus", d.Substatus)
		add("assigned to", d.Hub)
		add("registered", d.Registered)
		add("updated", d.Updated)
		if d.ErrorCode != 0 || d.Error != "" {
			add("error", strings.TrimSpace(strconv.Itoa(d.ErrorCode)+" "+strings.ReplaceAll(d.Error, "\n", " ")))
		}
		for _, e := range d.Explanations {
			add("  cause", e.Cause)
			add("  remedy", e.Remedy)
		}
		if len(d.Identities) == 0 {
			add("identity", "on no hub of this environment")
		}
		for _, at := range d.Identities {
			add("identity", "on "+at.Hub+", "+at.Status)
			add("twin", "version "+strconv.Itoa(at.TwinVersion))
			add("connected", map[bool]string{true: "yes", false: "no"}[at.Connected])
			lastSeen := at.LastSeen
			if lastSeen == "" {
				lastSeen = "never"
			}
			add("last seen", lastSeen)
		}
	})
}
