package main

import (
	"context"
	"errors"
	"fmt"

	"evenkeel/acceptance/checkout"
)

// Enrolling holds the rates at which one set and other clients of the same emulator create enrollments: medians, per
// second.
type Enrolling struct {
	Count int    `json:"count"`
	Ways  []Rise `json:"ways"`
	// Goal is the lower of twice Node's best and 80 % of the bare client.
	Goal float64 `json:"goal"`
}

// Rise is the number of enrollments that one client creates per second.
type Rise struct {
	Name      string  `json:"name"`
	PerSecond float64 `json:"perSecond"`
}

// enrolling creates count enrollments whose ids begin with the prefix, and returns the number per second.
type enrolling struct {
	name   string
	isNode bool
	create func(ctx context.Context, prefix string, count int) (float64, error)
}

// beforeEnrolling is the name of the snapshot that each client starts from.
const beforeEnrolling = "before-enrolling"

// measureEnrolling lets all clients take turns in each round. A snapshot removes what one client created before the
// next one starts: thousands of deleted rows would make each query slower than in normal use.
func measureEnrolling(ctx context.Context, o options, s *stacks, report *Report) error {
	f, status, err := openFleet(ctx, s)
	if err != nil {
		return err
	}
	provider, err := startPlugin(ctx, s.folder, f, status.Endpoints.CAFile)
	if err != nil {
		return err
	}
	defer provider.stop()
	all := []enrolling{{"a set", false, provider.createSet}, {"bare Go client, bulk", false, f.bareBulk}}
	sdk, err := openNode(ctx, s.folder, f, status.Endpoints.CAFile)
	switch {
	case errors.Is(err, errNoNode):
		say("%v: enrollments are not compared with Azure's SDK for Node", err)
	case err != nil:
		return err
	default:
		for way, name := range map[string]string{"single": "one at a time", "parallel": "ten at a time", "bulk": "bulk",
			"parallel-bulk": "ten bulks at a time"} {
			all = append(all, enrolling{"azure-iot-provisioning-service, " + name, true,
				func(ctx context.Context, prefix string, count int) (float64, error) {
					return sdk.enroll(ctx, prefix, count, way)
				}})
		}
	}
	if _, err := checkout.Keel(s.folder, "emulator", "snapshot", "save", beforeEnrolling); err != nil {
		return err
	}
	report.Enrolling, err = compareEnrolling(ctx, o, all, func() error {
		_, err := checkout.Keel(s.folder, "emulator", "snapshot", "restore", beforeEnrolling, "--yes")
		return err
	})
	return err
}

// compareEnrolling calls restore after each turn.
func compareEnrolling(ctx context.Context, o options, all []enrolling, restore func() error) (*Enrolling, error) {
	result := &Enrolling{Count: 1000}
	rates := make([][]float64, len(all))
	for round := range o.rounds + 1 {
		say("enrollments, round %d of %d (0 does not count)", round, o.rounds)
		for i, one := range all {
			perSecond, err := one.create(ctx, fmt.Sprintf("bench-%d-%d", round, i), result.Count)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				rates[i] = append(rates[i], perSecond)
			}
			if err := restore(); err != nil {
				return nil, err
			}
		}
	}
	best := 0.0
	for i, one := range all {
		rise := Rise{one.name, median(rates[i])}
		if result.Ways = append(result.Ways, rise); one.isNode {
			best = max(best, rise.PerSecond)
		}
	}
	result.Goal = 0.8 * result.Ways[1].PerSecond
	if best > 0 {
		result.Goal = min(result.Goal, 2*best)
	}
	return result, nil
}
