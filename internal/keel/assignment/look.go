package assignment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/domain"
)

// few is up to how many devices of a group Look reads one by one. More are found by listing the group, which needs a
// request for each page.
const few = 50

// Record is the registration record of a device.
type Record struct {
	// Hub is the host name of the assigned hub, as domain.ClassicHost returns it; "" if the last registration failed.
	Hub string
	// Version differs after each registration.
	Version string
	// Status is that of the service: assigned, assigning, failed and others.
	Status string
	// Error is why the registration failed, with the service's code; "" if it did not.
	Error string
}

// Look returns the current records of devices, by registration ids in lower case. A device without a record is missing.
func Look(ctx context.Context, client *dpsservice.Client, devices []Device) (map[string]Record, error) {
	groups := map[string][]Device{}
	var single []Device
	for _, d := range devices {
		if d.Enrollment.Individual {
			single = append(single, d)
		} else {
			groups[d.Enrollment.ID] = append(groups[d.Enrollment.ID], d)
		}
	}
	records := map[string]Record{}
	for id, members := range groups {
		if len(members) <= few {
			single = append(single, members...)
			continue
		}
		wanted := map[string]bool{}
		for _, d := range members {
			wanted[strings.ToLower(d.ID)] = true
		}
		for record, err := range client.Registrations(ctx, id, 0) {
			if err != nil {
				return nil, fmt.Errorf("list the registrations of %q: %w", id, err)
			}
			if key := strings.ToLower(record.RegistrationID); wanted[key] {
				records[key] = newRecord(record)
			}
		}
	}
	var mu sync.Mutex // guards records
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(parallel)
	for _, d := range single {
		work.Go(func() error {
			record, err := client.Registration(ctx, d.ID)
			if errors.Is(err, dpsservice.ErrNotFound) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("read the registration of %q: %w", d.ID, err)
			}
			mu.Lock()
			defer mu.Unlock()
			records[strings.ToLower(d.ID)] = newRecord(record)
			return nil
		})
	}
	return records, work.Wait()
}

func newRecord(r dpsservice.Registration) Record {
	record := Record{
		Hub: domain.ClassicHost(r.AssignedHub), Version: NewDevice(Key{}, r).Version, Status: r.Status,
	}
	if r.ErrorCode != 0 || r.ErrorMessage != "" {
		record.Error = strings.TrimSpace(fmt.Sprintf("%d %s", r.ErrorCode, r.ErrorMessage))
	}
	return record
}
