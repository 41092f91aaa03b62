package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"evenkeel/acceptance/checkout"
)

// reach is the percentage of the allowed rate that registrations are to reach.
const reach = 70

// gauge measures registrations and what bounds them.
type gauge struct {
	options
	fleet  *fleet
	bare   *bareTLS
	commit commitProbe
	size   *CommitSize
}

// samples are what the rounds measured for one way to register, per second.
type samples struct {
	way                                                    way
	keyExchange                                            string
	registrations, handshakes, commits, permitted, percent []float64
}

// measureRates measures bare commits, and for each way to register bare handshakes and registrations, in turn, round for round. The
// round before the first does not count.
func measureRates(ctx context.Context, o options, s *stacks) ([]Rate, *CommitSize, error) {
	g := &gauge{options: o}
	var err error
	var status checkout.Status
	if g.fleet, status, err = openFleet(ctx, s); err != nil {
		return nil, nil, err
	}
	defer g.fleet.service.Close()
	if err := g.fleet.certify(ctx, s.folder, status.Endpoints); err != nil {
		return nil, nil, err
	}
	if g.commit, err = buildCommitProbe(ctx, s.folder); err != nil {
		return nil, nil, err
	}
	if g.bare, err = startBareTLS(ctx, filepath.Join(s.folder, ".evenkeel", "emulator")); err != nil {
		return nil, nil, err
	}
	defer g.bare.stop()
	all := make([]*samples, len(ways))
	for round := range o.rounds + 1 {
		say("registrations, round %d of %d (0 does not count)", round, o.rounds)
		if round <= 1 {
			for i, w := range ways {
				all[i] = &samples{way: w}
			}
		}
		if err := g.round(ctx, all); err != nil {
			return nil, nil, err
		}
	}
	var rates []Rate
	for _, x := range all {
		rates = append(rates, x.rate())
	}
	return rates, g.size, nil
}

func (g *gauge) round(ctx context.Context, all []*samples) error {
	commits, size, err := g.commit.run(ctx, g.span)
	if err != nil {
		return err
	}
	g.size = size
	for _, x := range all {
		if x.keyExchange, err = g.fleet.keyExchange(ctx, g.fleet.address(x.way), g.bare.address); err != nil {
			return err
		}
		// A handshake of a device with a certificate proves that certificate too.
		one, err := g.fleet.newDevice(x.way)
		if err != nil {
			return err
		}
		handshakes, err := g.perSecond(ctx, func(ctx context.Context) error {
			return handshake(ctx, g.bare.address, g.fleet.tls(one.certificate))
		})
		if err != nil {
			return fmt.Errorf("measure handshakes: %w", err)
		}
		registrations, err := g.registrations(ctx, x.way, handshakes)
		if err != nil {
			return fmt.Errorf("measure registrations over %s: %w", x.way.name, err)
		}
		allowed := 1 / (1/handshakes + 1/commits)
		x.registrations, x.handshakes, x.commits = append(x.registrations, registrations), append(x.handshakes, handshakes), append(x.commits, commits)
		x.permitted, x.percent = append(x.permitted, allowed), append(x.percent, 100*registrations/allowed)
	}
	return nil
}

// registrations measures registrations of new devices. The devices are made before: there can be no more of them than handshakes.
func (g *gauge) registrations(ctx context.Context, w way, handshakes float64) (float64, error) {
	list := make([]device, int(handshakes*g.span.Seconds()*2)+g.parallel)
	for i := range list {
		var err error
		if list[i], err = g.fleet.newDevice(w); err != nil {
			return 0, err
		}
	}
	var next atomic.Int64
	return g.perSecond(ctx, func(context.Context) error {
		i := next.Add(1) - 1
		if i >= int64(len(list)) {
			return errors.New("more than twice as many registrations as handshakes")
		}
		_, err := g.fleet.register(w, list[i])
		return err
	})
}

// perSecond lets do run in parallel for the span, and counts how often it ended in that time.
func (g *gauge) perSecond(ctx context.Context, do func(context.Context) error) (float64, error) {
	var done atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range g.parallel {
		group.Go(func() error {
			for time.Since(start) < g.span {
				if err := do(ctx); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(done.Load()) / time.Since(start).Seconds(), err
}

func (s *samples) rate() Rate {
	return Rate{
		Way: s.way.name, KeyExchange: s.keyExchange, Registrations: median(s.registrations), Handshakes: median(s.handshakes),
		Commits: median(s.commits), Allowed: median(s.permitted), Percent: median(s.percent), Goal: reach,
	}
}
