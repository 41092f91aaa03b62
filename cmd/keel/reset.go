package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// resetParallel is how many requests reset sends at a time.
const resetParallel = 16

func newReset(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset [NAME]",
		Short: "Delete all devices of an environment and keep its infrastructure",
		Long: "Remove every registration record from the provisioning service and every device, with its twin and " +
			"messages, from the hubs.\n" +
			"Hubs, links, enrollments and keys stay as they are: the same devices can register again, as new ones.",
		Example: "  keel reset --yes\n  keel reset mine --yes --json",
		Args:    optionalArg,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.takeName(args); err != nil {
				return err
			}
			if !yes {
				return hint.To(usageError{fmt.Errorf("reset deletes all devices of environment %s", a.stack)},
					"confirm with --yes")
			}
			return a.reset(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "confirm; without it, keel changes nothing")
	a.addJSON(cmd)
	return cmd
}

func (a *app) reset(ctx context.Context) error {
	stack, e, err := a.outputs(ctx)
	if err != nil {
		return err
	}
	// Registrations are deleted first: a device that an interrupted reset leaves at its hub can register again.
	registrations, devices, err := repeatUntilEmpty(func() (registrations, devices int, err error) {
		return stack.forget(ctx, e.Endpoints)
	})
	if err != nil {
		return fmt.Errorf("reset environment %s: %w", e.Stack, err)
	}
	if a.json {
		return a.printJSON(resetResult{registrations, devices})
	}
	fmt.Fprintf(a.stdout, "environment %s: deleted %d registrations and %d devices of the hubs\n", e.Stack,
		registrations, devices)
	return nil
}

// maxRounds is how often reset looks for devices that have registered meanwhile.
const maxRounds = 25

// repeatUntilEmpty repeats a round until it finds nothing: a device that registers between the removal of the records
// and of the devices would keep only its record.
func repeatUntilEmpty(round func() (registrations, devices int, err error)) (registrations, devices int, err error) {
	for range maxRounds {
		r, d, err := round()
		registrations, devices = registrations+r, devices+d
		if err != nil || r == 0 && d == 0 {
			return registrations, devices, err
		}
	}
	return registrations, devices, hint.To(errors.New("devices go on registering"),
		"stop them, and run keel reset again")
}

// forget removes all records and then all devices that there are, and returns how many. Records go first: a device that
// a half-done reset leaves at its hub can register again, and is found there.
func (o outputs) forget(ctx context.Context, e environment.Endpoints) (registrations, devices int, err error) {
	registrations, err = o.forgetRegistrations(ctx, e)
	for _, h := range o.Hubs {
		if err != nil {
			break
		}
		var n int
		n, err = o.clearHub(ctx, e, h)
		devices += n
	}
	return registrations, devices, err
}

// forgetRegistrations removes the registration records of all devices and returns how many there were.
func (o outputs) forgetRegistrations(ctx context.Context, e environment.Endpoints) (int, error) {
	devices, err := o.devices(ctx, e)
	if err != nil {
		return 0, err
	}
	client, err := o.service(e)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var gone atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(resetParallel)
	for _, d := range devices {
		if d.Status == unregistered {
			continue
		}
		work.Go(func() error {
			err := client.DeleteRegistration(ctx, d.Device, "")
			if errors.Is(err, dpsservice.ErrNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("remove the registration of %q: %w", d.Device, err)
			}
			gone.Add(1)
			return nil
		})
	}
	err = work.Wait()
	return int(gone.Load()), err
}

// clearHub removes all devices of one hub and returns how many there were.
func (o outputs) clearHub(ctx context.Context, e environment.Endpoints, h hubOut) (int, error) {
	registry, err := o.hub(e, h.HostName)
	if err != nil {
		return 0, err
	}
	defer registry.Close()
	var ids []string
	for id, err := range registry.IDs(ctx) { // the whole list first: removing while paging would skip some
		if err != nil {
			return 0, fmt.Errorf("list the devices of %s: %w", h.Name, err)
		}
		ids = append(ids, id)
	}
	for some := range slices.Chunk(ids, hub.BulkSize) {
		if err := registry.Remove(ctx, some); err != nil {
			return 0, fmt.Errorf("remove the devices of %s: %w", h.Name, err)
		}
	}
	return len(ids), nil
}
