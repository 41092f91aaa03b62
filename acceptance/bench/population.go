package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"evenkeel/acceptance/checkout"
	"evenkeel/dpsservice"
)

// Population is the memory that the emulator needs for each enrollment or each connected device.
type Population struct {
	// What is counted: an enrollment, or a device connected to its hub over MQTT.
	What  string `json:"what"`
	Count int    `json:"count"`
	// Bytes of resident memory for each: the growth of the whole process, divided by Count.
	Bytes float64 `json:"bytesEach"`
}

// measurePopulation fills the emulator with enrollments and then with connected devices. The emulator is restarted
// before each measurement, so that memory of the work before is not counted.
func measurePopulation(ctx context.Context, o options, s *stacks, report *Report) error {
	enrollments, devices := 100_000, 2_000
	if o.quick {
		enrollments, devices = 1_000, 100
	}
	f, _, err := openFleet(ctx, s)
	if err != nil {
		return err
	}
	defer f.service.Close()
	say("memory of %d enrollments and %d connected devices", enrollments, devices)
	before, err := restart(s.folder)
	if errors.Is(err, errNoPeak) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.enrollMany(ctx, enrollments, o.parallel); err != nil {
		return err
	}
	after, err := restart(s.folder)
	if err != nil {
		return err
	}
	report.Population = append(report.Population, population("enrollment", enrollments, before, after))

	list, err := f.settle(devices, o.parallel)
	if err != nil {
		return err
	}
	if before, err = restart(s.folder); err != nil {
		return err
	}
	sessions := make([]*session, devices)
	defer func() {
		for _, one := range sessions {
			if one != nil {
				_ = one.conn.Close()
			}
		}
	}()
	err = inParallel(devices, o.parallel, func(i int) error {
		if sessions[i], err = f.connect(list[i]); err != nil {
			return err
		}
		return sessions[i].subscribe("devices/" + list[i].id + "/messages/devicebound/#")
	})
	if err != nil {
		return err
	}
	if after, err = residentOf(s.folder); err != nil {
		return err
	}
	report.Population = append(report.Population, population("connected device", devices, before, after))
	return nil
}

func population(what string, count int, before, after float64) Population {
	return Population{What: what, Count: count, Bytes: (after - before) * (1 << 20) / float64(count)}
}

// restart stops the checkout's emulator, starts it again, and returns the resident memory that it has then, in MiB.
func restart(folder string) (float64, error) {
	for _, verb := range []string{"stop", "start"} {
		if _, err := checkout.Keel(folder, "emulator", verb); err != nil {
			return 0, err
		}
	}
	return residentOf(folder)
}

func residentOf(folder string) (float64, error) {
	status, err := checkout.EmulatorStatus(folder)
	if err != nil {
		return 0, err
	}
	return memoryOf("/proc/"+strconv.Itoa(status.PID), "VmRSS:")
}

// enrollMany creates enrollments with keys by bulk operations.
func (f *fleet) enrollMany(ctx context.Context, count, parallel int) error {
	return inParallel(count/dpsservice.BulkSize, parallel, func(call int) error {
		entries := make([]dpsservice.Enrollment, dpsservice.BulkSize)
		for i := range entries {
			entries[i].ID = fmt.Sprintf("bench-enrolled-%d", call*dpsservice.BulkSize+i)
			entries[i].Attestation = &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation,
				SymmetricKey: &dpsservice.SymmetricKey{}}
		}
		result, err := f.service.Individuals().Bulk(ctx, dpsservice.BulkCreate, entries)
		if err == nil && len(result.Failures) > 0 {
			err = fmt.Errorf("%d of %d enrollments were refused: %+v", len(result.Failures), dpsservice.BulkSize,
				result.Failures[0])
		}
		return err
	})
}

// inParallel calls do with 0 to count-1, several at a time, until one call fails.
func inParallel(count, parallel int, do func(i int) error) error {
	var next atomic.Int64
	var group errgroup.Group
	for range parallel {
		group.Go(func() error {
			for {
				i := int(next.Add(1) - 1)
				if i >= count {
					return nil
				}
				if err := do(i); err != nil {
					next.Store(int64(count))
					return err
				}
			}
		})
	}
	return group.Wait()
}
