package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"evenkeel/acceptance/checkout"
)

// reach is the goal of registrations: the percentage of the allowed rate.
const reach = 70

// gauge measures registrations and the operations that bound them.
type gauge struct {
	options
	fleet *fleet
	bare  *bareServer
	store storeProbe
	size  *CommitSize
	// proofs are client certificates for bare handshakes, used in turn.
	proofs []*tls.Certificate
	shown  atomic.Uint64
}

// proofCount is the number of certificates that take turns: enough that the server has forgotten each before it is used
// again.
const proofCount = 4096

// samples are the measurements of all rounds for one way to register, per second.
type samples struct {
	way                                                  way
	keyExchange                                          string
	registrations, handshakes, commits, allowed, percent []float64
}

// measureRates measures bare commits and, for each way to register, bare handshakes, bare handshakes with a commit, and
// registrations. Each round measures all of them in turn, after a warm-up round.
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
	if g.store, err = buildStoreProbe(ctx, s.folder); err != nil {
		return nil, nil, err
	}
	if g.bare, err = startBareServer(ctx, g.store, filepath.Join(s.folder, ".evenkeel", "emulator"),
		g.fleet.authority); err != nil {
		return nil, nil, err
	}
	defer g.bare.stop()
	if err := g.certify(); err != nil {
		return nil, nil, err
	}
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

// certify creates the certificates for bare handshakes.
func (g *gauge) certify() error {
	for range proofCount {
		d, err := g.fleet.newDevice(way{certified: true})
		if err != nil {
			return err
		}
		g.proofs = append(g.proofs, d.certificate)
	}
	return nil
}

func (g *gauge) round(ctx context.Context, all []*samples) error {
	commits, size, err := g.store.commits(ctx, g.span)
	if err != nil {
		return err
	}
	g.size = size
	for _, x := range all {
		if x.keyExchange, err = g.fleet.keyExchange(ctx, g.fleet.address(x.way), g.bare.handshakes); err != nil {
			return err
		}
		handshakes, err := g.handshakes(ctx, x.way, g.bare.handshakes)
		if err != nil {
			return fmt.Errorf("measure handshakes: %w", err)
		}
		allowed, err := g.handshakes(ctx, x.way, g.bare.commits)
		if err != nil {
			return fmt.Errorf("measure handshakes with a commit: %w", err)
		}
		registrations, err := g.registrations(ctx, x.way, handshakes)
		if err != nil {
			return fmt.Errorf("measure registrations over %s: %w", x.way.name, err)
		}
		x.registrations, x.handshakes, x.commits = append(x.registrations, registrations),
			append(x.handshakes, handshakes), append(x.commits, commits)
		x.allowed, x.percent = append(x.allowed, allowed), append(x.percent, 100*registrations/allowed)
	}
	return nil
}

// handshakes measures connections that do nothing else. If devices have certificates, each connection uses another one.
func (g *gauge) handshakes(ctx context.Context, w way, address string) (float64, error) {
	return g.perSecond(ctx, func(ctx context.Context) error {
		var proof *tls.Certificate
		if w.certified {
			proof = g.proofs[g.shown.Add(1)%proofCount]
		}
		return handshake(ctx, address, g.fleet.tls(proof))
	})
}

// registrations measures registrations of new devices. The devices are prepared before: there cannot be more of them
// than handshakes.
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

// perSecond runs do in parallel for the span and counts how often it completed in that time.
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
		Way: s.way.name, KeyExchange: s.keyExchange, Registrations: median(s.registrations),
		Handshakes: median(s.handshakes),
		Commits:    median(s.commits), Allowed: median(s.allowed), Percent: median(s.percent), Goal: reach,
	}
}
