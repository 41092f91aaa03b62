package main

import (
	"context"
	"time"
)

// Crowd is the rate of first registrations while a number of other devices are connected to their hubs.
type Crowd struct {
	Connected     int     `json:"connected"`
	Registrations float64 `json:"registrations"`
}

// measureCrowd connects more and more devices and registers new ones beside each number. If the rates are equal, the
// cost of registering n devices beside n connections is linear.
func measureCrowd(ctx context.Context, o options, s *stacks, report *Report) error {
	crowds, newcomers := []int{0, 500, 1_000, 2_000}, 2_000
	if o.quick {
		crowds, newcomers = []int{0, 100}, 100
	}
	f, _, err := openFleet(ctx, s)
	if err != nil {
		return err
	}
	defer f.service.Close()
	most := crowds[len(crowds)-1]
	list, err := f.settle(most, o.parallel)
	if err != nil {
		return err
	}
	sessions := make([]*session, most)
	defer func() {
		for _, one := range sessions {
			if one != nil {
				_ = one.conn.Close()
			}
		}
	}()
	connected := 0
	for _, crowd := range crowds {
		say("registrations beside %d connected devices", crowd)
		from := connected
		err := inParallel(crowd-from, o.parallel, func(i int) (err error) {
			sessions[from+i], err = f.connect(list[from+i])
			return err
		})
		if err != nil {
			return err
		}
		connected = crowd
		begun := time.Now()
		if _, err := f.settle(newcomers, o.parallel); err != nil {
			return err
		}
		report.Crowds = append(report.Crowds, Crowd{crowd, float64(newcomers) / time.Since(begun).Seconds()})
	}
	return nil
}
