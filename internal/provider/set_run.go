package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/sync/errgroup"

	"evenkeel/internal/dpsapi"
)

const (
	// setCalls is how many requests of one set are under way at once; the rate limit holds for them together.
	setCalls = 8
	// fewDevices is up to how many enrollments are asked for one by one rather than by a query of all that the service holds.
	fewDevices = 50
	// queryPage is how many enrollments a page of a query should have. The service may give fewer.
	queryPage = 1000
	// maxReasons bounds how many failures of single devices are told.
	maxReasons = 100
)

// setPlan is what has to be done with the enrollments of a set.
type setPlan struct {
	added, changed []declared
	removed        []string
	// unmoved counts the others.
	unmoved int
}

func planSet(want []declared, devices map[string]string, d digester) setPlan {
	var plan setPlan
	known := make(map[string]string, len(devices))
	for id, text := range devices {
		known[strings.ToLower(id)] = text
	}
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		id := strings.ToLower(w.ID)
		wanted[id] = true
		switch text, exists := known[id]; {
		case !exists:
			plan.added = append(plan.added, w)
		case !d.agrees(w, parseRecord(text)):
			plan.changed = append(plan.changed, w)
		default:
			plan.unmoved++
		}
	}
	for id := range devices {
		if !wanted[strings.ToLower(id)] {
			plan.removed = append(plan.removed, id)
		}
	}
	slices.Sort(plan.removed)
	return plan
}

func (p setPlan) isEmpty() bool { return len(p.added)+len(p.changed)+len(p.removed) == 0 }

// String counts what is to be done, with the first ids.
func (p setPlan) String() string {
	var parts []string
	say := func(what string, ids []string) {
		if len(ids) == 0 {
			return
		}
		const first = 5
		shown := strings.Join(ids[:min(first, len(ids))], ", ")
		if len(ids) > first {
			shown += ", …"
		}
		parts = append(parts, fmt.Sprintf("%d %s (%s)", len(ids), what, shown))
	}
	say("added", idsOf(p.added))
	say("changed", idsOf(p.changed))
	say("removed", p.removed)
	return fmt.Sprintf("enrollments: %s; %d unchanged", strings.Join(parts, ", "), p.unmoved)
}

func idsOf(list []declared) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids
}

// setRun is one operation on the enrollments of a set.
type setRun struct {
	lifecycle
	digester
	entries dpsapi.Collection[dpsapi.IndividualEnrollment]

	mu sync.Mutex // guards the three below
	// devices are the records by registration id: what the service holds, as far as is known.
	devices map[string]string
	// spelled is the key of devices by the id in lower case.
	spelled  map[string]string
	failures []string
}

func beginSet(ctx context.Context, key string, devices map[string]string) (*setRun, error) {
	l, err := begin(ctx, individualsName)
	if err != nil {
		return nil, err
	}
	digests, err := newDigester(key)
	if err != nil {
		return nil, err
	}
	client, err := infer.GetConfig[*Config](ctx).service()
	if err != nil {
		return nil, err
	}
	r := &setRun{lifecycle: l, digester: digests, entries: client.Individuals(), devices: map[string]string{}, spelled: map[string]string{}}
	for id, text := range devices {
		r.devices[id], r.spelled[strings.ToLower(id)] = text, id
	}
	return r, nil
}

func (r *setRun) note(id string, made record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, exists := r.spelled[strings.ToLower(id)]; exists {
		delete(r.devices, old)
	}
	r.devices[id], r.spelled[strings.ToLower(id)] = made.String(), id
}

func (r *setRun) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.devices, r.spelled[strings.ToLower(id)])
	delete(r.spelled, strings.ToLower(id))
}

func (r *setRun) known(id string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return parseRecord(r.devices[r.spelled[strings.ToLower(id)]])
}

// fail notes what went wrong with one enrollment. An operation that was cancelled is told once, by apply.
func (r *setRun) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, err.Error())
}

// apply does what is planned. Its error, if any, tells every failure; the devices are what was achieved.
func (r *setRun) apply(ctx context.Context, plan setPlan) error {
	inParallel(ctx, slices.Collect(slices.Chunk(plan.removed, dpsapi.BulkSize)), func(ids []string) { r.remove(ctx, ids) })
	inParallel(ctx, plan.changed, func(want declared) {
		if err := r.change(ctx, want); err != nil {
			r.fail(ctx, err)
		}
	})
	inParallel(ctx, slices.Collect(slices.Chunk(plan.added, dpsapi.BulkSize)), func(want []declared) { r.add(ctx, want) })
	if err := r.learnEtags(ctx, idsOf(plan.added)); err != nil && ctx.Err() == nil {
		r.failures = append(r.failures, fmt.Sprintf("read the etags of new enrollments: %v", err))
	}
	if ctx.Err() != nil {
		r.failures = append(r.failures, "interrupted: the next pulumi up goes on from here")
	}
	if len(r.failures) == 0 {
		return nil
	}
	slices.Sort(r.failures)
	reasons := r.failures
	if more := len(reasons) - maxReasons; more > 0 {
		reasons = append(slices.Clone(reasons[:maxReasons]), fmt.Sprintf("and %d more", more))
	}
	return infer.ResourceInitFailedError{Reasons: reasons}
}

// inParallel runs do for each job, a few at once, until the context ends.
func inParallel[T any](ctx context.Context, jobs []T, do func(T)) {
	var running errgroup.Group
	running.SetLimit(setCalls)
	for _, job := range jobs {
		if ctx.Err() != nil {
			break
		}
		running.Go(func() error { do(job); return nil })
	}
	_ = running.Wait() // the jobs note their failures themselves
}

// remove deletes up to a bulk of enrollments; those that are gone already are no failures.
func (r *setRun) remove(ctx context.Context, ids []string) {
	entries := make([]dpsapi.IndividualEnrollment, len(ids))
	for i, id := range ids {
		entries[i].RegistrationID = id
	}
	failures, err := r.entries.Bulk(ctx, dpsapi.BulkDelete, entries)
	if err != nil {
		for _, id := range ids {
			r.fail(ctx, r.failure("delete", id, err))
		}
		return
	}
	failed := byID(failures)
	for _, id := range ids {
		if f, is := failed[strings.ToLower(id)]; is && f.Code/1000 != 404 {
			r.fail(ctx, fmt.Errorf("delete enrollment %q: %s (code %d)", id, f.Message, f.Code))
			continue
		}
		r.forget(id)
	}
}

func byID(failures []dpsapi.BulkFailure) map[string]dpsapi.BulkFailure {
	failed := map[string]dpsapi.BulkFailure{}
	for _, f := range failures {
		failed[strings.ToLower(f.RegistrationID)] = f
	}
	return failed
}

// of is the lifecycle of one enrollment of the set: the keys made for it are marked as its own.
func (r *setRun) of(id string) lifecycle {
	l := r.lifecycle
	l.urn += "::" + strings.ToLower(id)
	return l
}

// add creates up to a bulk of enrollments. One that exists is taken over when an interrupted creation of this set left it.
func (r *setRun) add(ctx context.Context, want []declared) {
	entries, keys := make([]dpsapi.IndividualEnrollment, len(want)), make([]dpsapi.SymmetricKey, len(want))
	for i, w := range want {
		if kindOf(w.Attestation) == dpsapi.SymmetricKeyAttestation {
			var err error
			if keys[i], err = completeKeys(keysOf(w.Attestation), r.of(w.ID).urn); err != nil {
				r.fail(ctx, err)
				return
			}
		}
		entries[i] = entryOf(w, keys[i])
	}
	failures, err := r.entries.Bulk(ctx, dpsapi.BulkCreate, entries)
	if err != nil {
		for _, w := range want {
			r.fail(ctx, r.failure("create", w.ID, err))
		}
		return
	}
	failed := byID(failures)
	for i, w := range want {
		f, is := failed[strings.ToLower(w.ID)]
		switch {
		case !is:
			r.note(w.ID, r.record(w, keys[i], ""))
		case f.Code/1000 == 409:
			r.adopt(ctx, w)
		default:
			r.fail(ctx, fmt.Errorf("create enrollment %q: %s (code %d)", w.ID, f.Message, f.Code))
		}
	}
}

func (r *setRun) adopt(ctx context.Context, want declared) {
	l := r.of(want.ID)
	found, err := l.fetch(ctx, want.ID)
	if err != nil {
		r.fail(ctx, l.failure("create", want.ID, err))
		return
	}
	if found, err = l.takeOver(want, found); err != nil {
		r.fail(ctx, err)
		return
	}
	r.note(want.ID, r.record(want, foundKeys(found), found.Etag))
}

// change sends an enrollment with the keys that it holds, unless somebody else changed it since the state was written.
func (r *setRun) change(ctx context.Context, want declared) error {
	l, known := r.of(want.ID), r.known(want.ID)
	found, err := l.fetch(ctx, want.ID)
	if errors.Is(err, dpsapi.ErrNotFound) {
		return fmt.Errorf("update enrollment %q: it is gone from %s; run pulumi refresh, then pulumi up makes it anew: %w", want.ID, l.host, err)
	}
	if err != nil {
		return l.failure("update", want.ID, err)
	}
	now := r.reread(found, known)
	meant := known
	if meant.etag = now.etag; now != meant && !r.agrees(want, now) {
		return r.movedMeanwhile(want.ID)
	}
	if kindOf(want.Attestation) != kindOf(found.Attestation) {
		if err := l.delete(ctx, want.ID); err != nil {
			return err
		}
		r.forget(want.ID)
		made, err := l.create(ctx, want)
		if err == nil {
			r.note(want.ID, r.record(want, foundKeys(made), made.Etag))
		}
		return err
	}
	keys := keysOf(want.Attestation)
	if kindOf(want.Attestation) == dpsapi.SymmetricKeyAttestation {
		if keys, err = l.keepKeys(ctx, want.ID, keys, found); err != nil {
			return l.failure("update", want.ID, err)
		}
	}
	stored, err := l.put(ctx, want.ID, entryOf(want, keys), found.Etag)
	if errors.Is(err, dpsapi.ErrPrecondition) {
		if again, lost := l.fetch(ctx, want.ID); lost == nil && l.isExactly(want, keys, again) {
			stored.Etag, err = again.Etag, nil // the answer to this very update was lost
		} else {
			return r.movedMeanwhile(want.ID)
		}
	}
	if err != nil {
		return l.failure("update", want.ID, err)
	}
	r.note(want.ID, r.record(want, keys, stored.Etag))
	return nil
}

func (r *setRun) movedMeanwhile(id string) error {
	return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh; run pulumi refresh to see that, then pulumi up again: %w",
		id, r.host, dpsapi.ErrPrecondition)
}

// learnEtags completes the records of new enrollments: a bulk operation answers no etags.
func (r *setRun) learnEtags(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		known := r.known(id)
		return known.settings == "" || known.etag != ""
	})
	etags, err := r.etags(ctx, ids)
	for _, id := range ids {
		if made := r.known(id); etags[strings.ToLower(id)] != "" {
			made.etag = etags[strings.ToLower(id)]
			r.note(id, made)
		}
	}
	return err
}

// etags returns the etags of those of the enrollments that exist, by id in lower case.
func (r *setRun) etags(ctx context.Context, ids []string) (map[string]string, error) {
	etags := make(map[string]string, len(ids))
	if len(ids) > fewDevices {
		for entry, err := range r.entries.Query(ctx, "SELECT * FROM enrollments", queryPage) {
			if err != nil {
				return etags, err
			}
			etags[strings.ToLower(entry.RegistrationID)] = entry.Etag
		}
		return etags, nil
	}
	for _, id := range ids {
		entry, err := r.get(ctx, id)
		if errors.Is(err, dpsapi.ErrNotFound) {
			continue
		}
		if err != nil {
			return etags, err
		}
		etags[strings.ToLower(id)] = entry.Etag
	}
	return etags, nil
}

// refresh makes the devices what the service holds, reading in full only what moved.
func (r *setRun) refresh(ctx context.Context) error {
	ids := slices.Sorted(maps.Keys(r.devices))
	etags, err := r.etags(ctx, ids)
	if err != nil {
		return r.failure("read", "*", err)
	}
	var moved []string
	for _, id := range ids {
		etag, exists := etags[strings.ToLower(id)]
		switch {
		case !exists:
			r.forget(id)
		case etag != r.known(id).etag:
			moved = append(moved, id)
		}
	}
	_, err = r.readAll(ctx, moved)
	return err
}

// readAll reads enrollments in full and notes them; those that are gone are forgotten.
func (r *setRun) readAll(ctx context.Context, ids []string) ([]held, error) {
	var mu sync.Mutex
	var all []held
	var failed error
	inParallel(ctx, ids, func(id string) {
		found, err := r.fetch(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, dpsapi.ErrNotFound):
			r.forget(id)
		case err != nil:
			failed = r.failure("read", id, err)
		default:
			r.note(id, r.reread(found, r.known(id)))
			all = append(all, found)
		}
	})
	if failed == nil {
		failed = ctx.Err()
	}
	return all, failed
}
