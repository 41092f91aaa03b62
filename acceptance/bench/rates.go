package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
)

// reach is the percentage of the allowed rate that registrations are to reach.
const reach = 60

// gauge measures registrations and what bounds them.
type gauge struct {
	options
	fleet  *fleet
	bare   *bareTLS
	commit commitProbe
	size   *CommitSize
}

// samples are what the rounds measured for one transport, per second.
type samples struct {
	transport                                              dpsdevice.Transport
	keyExchange                                            string
	registrations, handshakes, commits, permitted, percent []float64
}

// measureRates measures bare commits, and for each transport bare handshakes and registrations, in turn, round for round. The round
// before the first does not count.
func measureRates(ctx context.Context, o options, s *stacks) ([]Rate, *CommitSize, error) {
	g := &gauge{options: o}
	var err error
	if g.fleet, err = openFleet(ctx, s); err != nil {
		return nil, nil, err
	}
	if g.commit, err = buildCommitProbe(ctx, s.folder); err != nil {
		return nil, nil, err
	}
	if g.bare, err = startBareTLS(ctx, filepath.Join(s.folder, ".evenkeel", "emulator")); err != nil {
		return nil, nil, err
	}
	defer g.bare.stop()
	all := []*samples{{transport: dpsdevice.MQTT}, {transport: dpsdevice.HTTPS}}
	for round := range o.rounds + 1 {
		say("registrations, round %d of %d (0 does not count)", round, o.rounds)
		if round == 1 {
			for _, x := range all {
				*x = samples{transport: x.transport}
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
		if x.keyExchange, err = g.fleet.keyExchange(ctx, x.transport, g.bare.address); err != nil {
			return err
		}
		handshakes, err := g.perSecond(ctx, func(ctx context.Context) error { return handshake(ctx, g.bare.address, g.fleet.tls()) })
		if err != nil {
			return fmt.Errorf("measure handshakes: %w", err)
		}
		registrations, err := g.perSecond(ctx, func(context.Context) error { return g.fleet.register(x.transport) })
		if err != nil {
			return fmt.Errorf("measure registrations: %w", err)
		}
		allowed := 1 / (1/handshakes + 1/commits)
		x.registrations, x.handshakes, x.commits = append(x.registrations, registrations), append(x.handshakes, handshakes), append(x.commits, commits)
		x.permitted, x.percent = append(x.permitted, allowed), append(x.percent, 100*registrations/allowed)
	}
	return nil
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
	name := map[dpsdevice.Transport]string{dpsdevice.MQTT: "MQTT", dpsdevice.HTTPS: "HTTPS"}[s.transport]
	return Rate{
		Transport: name, KeyExchange: s.keyExchange, Registrations: median(s.registrations), Handshakes: median(s.handshakes),
		Commits: median(s.commits), Allowed: median(s.permitted), Percent: median(s.percent), Goal: reach,
	}
}
