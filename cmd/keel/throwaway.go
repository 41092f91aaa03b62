package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/azure/hub"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

const (
	// throwawayPrefix begins the names of devices that only a check registers. Eight random digits follow, so that two
	// checks never have the same devices.
	throwawayPrefix = "keel-check-"
	// cleanupPatience bounds the removal of a check's devices, also after an interruption, and devicePatience is what
	// each device adds to it.
	cleanupPatience, devicePatience = 5 * time.Minute, 120 * time.Millisecond
	// checkedDevices is how many devices a check registers unless told otherwise, maxChecked how many at most, and
	// checkParallel how many at a time.
	checkedDevices, maxChecked, checkParallel = 200, 10_000, 16
)

// throwaways are the devices of a check that has begun. Their file outlives a check that was killed, so that the next
// up removes what it left.
type throwaways struct {
	// IDScope is that of the provisioning service: the devices of another one are gone with it.
	IDScope string `json:"idScope"`
	Prefix  string `json:"prefix"`
	Count   int    `json:"count"`
}

// newThrowaways names devices that did not exist before.
func newThrowaways(scope string, count int) throwaways {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return throwaways{scope, throwawayPrefix + hex.EncodeToString(random[:]), count}
}

func (t throwaways) ids() []string {
	ids := make([]string, t.Count)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%04d", t.Prefix, i+1)
	}
	return ids
}

// readThrowaways returns the devices that an earlier check may have left.
func readThrowaways(file string) (t throwaways, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &t)
	}
	if err == nil && (!strings.HasPrefix(t.Prefix, throwawayPrefix) || t.Count < 0 || t.Count > maxChecked) {
		err = errors.New("it does not name devices of a check")
	}
	if err != nil {
		return t, hint.To(fmt.Errorf("read the devices of an earlier check: %w", err), "remove the file %s", file)
	}
	return t, nil
}

// removeLeftovers removes what an earlier check left that was killed.
func (a *app) removeLeftovers(ctx context.Context, e *environment.Environment) error {
	if _, err := os.Stat(e.Folder.Check(e.Stack)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	stack, err := outputsOf(ctx, e)
	if err != nil {
		return err
	}
	return a.removeLeftoversOf(ctx, stack, e)
}

// removeLeftoversOf is removeLeftovers for known outputs.
func (a *app) removeLeftoversOf(ctx context.Context, stack outputs, e *environment.Environment) error {
	file := e.Folder.Check(e.Stack)
	t, err := readThrowaways(file)
	if err != nil {
		return err
	}
	if t.IDScope == stack.IDScope {
		a.say("removing the devices of a check that was interrupted")
		if _, err := stack.removeDevices(ctx, e.Endpoints, t.ids()); err != nil {
			return fmt.Errorf("remove the devices of an earlier check: %w", err)
		}
	}
	return forgetThrowaways(file)
}

// checkUp registers throw-away devices, compares their split, and removes them, whatever happens. It returns a result
// beside an error if only the removal failed.
func (a *app) checkUp(ctx context.Context, e *environment.Environment, count int) (*provisionResult, error) {
	stack, err := outputsOf(ctx, e)
	if err != nil {
		return nil, err
	}
	if e.Target == environment.Azure {
		stack.rateLimit = operationsPerMinute
	}
	return a.checkStack(ctx, stack, e, count)
}

// checkStack is checkUp for known outputs.
func (a *app) checkStack(ctx context.Context, stack outputs, e *environment.Environment, count int) (
	result *provisionResult, err error) {
	f, err := newFleet(ctx, stack, e, provisionOptions{transport: dpsdevice.MQTT, isFirst: true})
	if err != nil {
		return nil, err
	}
	t := newThrowaways(stack.IDScope, count)
	if err := writeThrowaways(e.Folder.Check(e.Stack), t); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.removeChecked(ctx, f, e, t)) }()
	f.finishes = true // so that it is known whether each device is there
	members := make([]member, 0, count)
	for _, id := range t.ids() {
		members = append(members, member{id, f.cohorts[0]})
	}
	took := f.registerAll(ctx, checkParallel, members, a.progress("check", count))
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("check the environment: %w", err)
	}
	r := f.result(f.compare(), took, true)
	return &r, nil
}

// writeThrowaways remembers the devices before the first one registers.
func writeThrowaways(file string, t throwaways) error {
	text, err := json.Marshal(t)
	if err == nil {
		err = durable.OS.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err == nil {
		err = durable.OS.WriteFile(file, append(text, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remember the devices of the check: %w", err)
	}
	return nil
}

// removeChecked removes the devices of a check, also if ctx has ended.
func (a *app) removeChecked(ctx context.Context, f *fleet, e *environment.Environment, t throwaways) error {
	if ctx.Err() != nil {
		a.say("removing the devices of the check")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx),
		cleanupPatience+time.Duration(t.Count)*devicePatience)
	defer cancel()
	ids := t.ids()
	for round := 1; ; round++ {
		removed, err := f.stack.removeDevices(ctx, e.Endpoints, ids)
		if err != nil {
			return hint.To(fmt.Errorf("remove the devices of the check: %w", err),
				"remove them with the next check: keel up%s --check", a.stackArgument())
		}
		// A device whose registration timed out may be assigned after it was looked for.
		if ids = f.uncertain(); removed == 0 || len(ids) == 0 || round == maxRounds {
			break
		}
	}
	return errors.Join(f.leftElsewhere(t.Prefix), forgetThrowaways(e.Folder.Check(e.Stack)))
}

// leftElsewhere is an error if devices are on hubs that the stack does not have, and for which it has no key.
func (f *fleet) leftElsewhere(prefix string) error {
	for _, c := range f.cohorts {
		for host, n := range c.hubs {
			if f.hubName(host) == host {
				return hint.To(fmt.Errorf("remove the devices of the check: %d remain on %s, which is not a hub of "+
					"this stack", n, host), "delete the devices of that hub whose names begin with %s", prefix)
			}
		}
	}
	return nil
}

// uncertain returns the devices of which it is not known whether the service has registered them.
func (f *fleet) uncertain() []string {
	var ids []string
	for _, c := range f.causes {
		ids = append(ids, c.devices...)
	}
	return ids
}

// removeDevices removes the registrations of devices, and their identities from every hub of the stack. It returns how
// many of both there were. Records go first, as in reset.
func (o outputs) removeDevices(ctx context.Context, e environment.Endpoints, ids []string) (int, error) {
	removed, err := o.removeRecords(ctx, e, ids)
	errs := []error{err}
	for _, h := range o.Hubs { // all of them, so that little is left if one cannot be reached
		n, err := o.removeIdentities(ctx, e, h, ids)
		removed += n
		errs = append(errs, err)
	}
	return removed, errors.Join(errs...)
}

// removeRecords removes the registrations of devices.
func (o outputs) removeRecords(ctx context.Context, e environment.Endpoints, ids []string) (int, error) {
	client, err := o.service(e)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var removed atomic.Int64
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(resetParallel)
	for _, id := range ids {
		work.Go(func() error {
			err := client.DeleteRegistration(ctx, id, "")
			switch {
			case errors.Is(err, dpsservice.ErrNotFound):
				return nil
			case err != nil:
				return fmt.Errorf("remove the registration of %q: %w", id, err)
			}
			removed.Add(1)
			return nil
		})
	}
	err = work.Wait()
	return int(removed.Load()), err
}

func (o outputs) removeIdentities(ctx context.Context, e environment.Endpoints, h hubOut, ids []string) (int, error) {
	registry, err := o.hub(e, h.HostName)
	if err != nil {
		return 0, err
	}
	defer registry.Close()
	removed := 0
	for some := range slices.Chunk(ids, hub.BulkSize) {
		n, err := registry.RemoveAny(ctx, some)
		if err != nil {
			return removed, fmt.Errorf("remove devices of %s: %w", h.Name, err)
		}
		removed += n
	}
	return removed, nil
}

// forgetThrowaways removes the file of a check whose devices are gone.
func forgetThrowaways(file string) error {
	if err := durable.OS.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the devices of the check: %w", err)
	}
	return nil
}
