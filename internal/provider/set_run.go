package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/dpsapi"
)

const (
	// setCalls is how many requests of one set are under way at once; the rate limit holds for them together.
	setCalls = 16
	// maxReasons bounds how many failures of single devices are told.
	maxReasons = 100
)

// setRun is one operation on the enrollments of a set.
type setRun struct {
	lifecycle
	digester
	entries dpsapi.Collection[dpsapi.IndividualEnrollment]
	// dropsRecords says that the registration record of a device goes with its enrollment.
	dropsRecords bool

	mu sync.Mutex // guards what follows
	// devices are the records by registration id: what the service holds, as far as is known.
	devices map[string]string
	// spelled is the key of devices by the id in lower case.
	spelled  map[string]string
	failures []string
	// added, changed and removed count what was done.
	added, changed, removed int
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

func (r *setRun) note(id string, current record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, exists := r.spelled[strings.ToLower(id)]; exists {
		delete(r.devices, old)
	}
	r.devices[id], r.spelled[strings.ToLower(id)] = current.String(), id
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

// done counts what was done with some enrollments.
func (r *setRun) done(count *int, enrollments int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*count += enrollments
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

// apply does what is planned. Its error, if any, tells what was done and every failure; the devices are what was achieved.
func (r *setRun) apply(ctx context.Context, plan setPlan) error {
	inParallel(ctx, slices.Collect(slices.Chunk(plan.removed, dpsapi.BulkSize)), func(ids []string) { r.removal(ctx, ids) })
	inParallel(ctx, plan.changed, func(want declared) {
		if err := r.change(ctx, want); err != nil {
			r.fail(ctx, err)
		} else {
			r.done(&r.changed, 1)
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
	reasons := []string{fmt.Sprintf("done: %d of %d added, %d of %d changed, %d of %d removed; the others:",
		r.added, len(plan.added), r.changed, len(plan.changed), r.removed, len(plan.removed))}
	reasons = append(reasons, r.failures[:min(len(r.failures), maxReasons)]...)
	if more := len(r.failures) - maxReasons; more > 0 {
		reasons = append(reasons, fmt.Sprintf("and %d more", more))
	}
	return infer.ResourceInitFailedError{Reasons: reasons}
}

// total is the error of an operation that leaves nothing half done, with its reasons.
func (r *setRun) total(verb string, err error) error {
	var partly infer.ResourceInitFailedError
	if errors.As(err, &partly) {
		return fmt.Errorf("%s enrollments: %s", verb, strings.Join(partly.Reasons, "; "))
	}
	return err
}

// inParallel runs do for each job, a few at once, until the context ends. The goroutines are as few, so that their stacks, which requests
// make grow, grow once.
func inParallel[T any](ctx context.Context, jobs []T, do func(T)) {
	var running sync.WaitGroup
	var next atomic.Int64
	for range min(setCalls, len(jobs)) {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				do(jobs[i]) // jobs note their failures themselves
			}
		})
	}
	running.Wait()
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

// add creates up to a bulk of enrollments, in smaller ones when the service refuses one as a whole. One that exists is taken over when this creation made it, now or in an interrupted run.
func (r *setRun) add(ctx context.Context, want []declared) {
	entries, sent := make([]dpsapi.IndividualEnrollment, len(want)), make([]record, len(want))
	for i, w := range want {
		keys, err := r.keysFor(w)
		if err != nil {
			r.fail(ctx, err)
			return
		}
		entries[i], sent[i] = entryOf(w, keys), r.record(w, keys, "")
	}
	result, err := r.entries.Bulk(ctx, dpsapi.BulkCreate, entries)
	if isRefusedWhole(err) && len(want) > 1 {
		r.add(ctx, want[:len(want)/2])
		r.add(ctx, want[len(want)/2:])
		return
	}
	if err != nil {
		for i, w := range want {
			r.doubt(w.ID, sent[i], err)
			r.fail(ctx, r.failure("create", w.ID, err))
		}
		return
	}
	failed := byID(result.Failures)
	for i, w := range want {
		f, is := failed[strings.ToLower(w.ID)]
		switch {
		case !is:
			r.note(w.ID, sent[i])
			r.done(&r.added, 1)
		case f.Code/1000 == 409:
			if !result.Repeated {
				sent[i] = record{} // it was there before
			}
			r.adopt(ctx, w, sent[i])
		default:
			r.fail(ctx, fmt.Errorf("create enrollment %q: %s (code %d)", w.ID, f.Message, f.Code))
		}
	}
}

// isRefusedWhole reports whether a bulk operation was not begun because of what one of its entries is, or of how long they are together:
// the service names none.
func isRefusedWhole(err error) bool {
	var refusal *dpsapi.Error
	return errors.As(err, &refusal) && !errors.Is(err, dpsapi.ErrUncertain) &&
		(refusal.Status == http.StatusBadRequest || refusal.Status == http.StatusRequestEntityTooLarge)
}

// keysFor returns the keys to create an enrollment with, made for it where none are given; none for other kinds of attestation.
func (r *setRun) keysFor(want declared) (dpsapi.SymmetricKey, error) {
	if kindOf(want.Attestation) != dpsapi.SymmetricKeyAttestation {
		return dpsapi.SymmetricKey{}, nil
	}
	return completeKeys(keysOf(want.Attestation), r.of(want.ID).urn)
}

// doubt notes an enrollment whose creation failed without an answer that says whether it was made.
func (r *setRun) doubt(id string, sent record, err error) {
	if errors.Is(err, dpsapi.ErrUncertain) {
		sent.etag = unanswered
		r.note(id, sent)
	}
}

// adopt takes over an enrollment that stands where one is to be created, when it is what this very operation sent (sent is empty if
// that cannot be), or when its keys show that an earlier run made it.
func (r *setRun) adopt(ctx context.Context, want declared, sent record) {
	l := r.of(want.ID)
	found, err := l.fetch(ctx, want.ID)
	if err != nil {
		sent.etag = unanswered
		if sent.settings != "" {
			r.note(want.ID, sent)
		}
		r.fail(ctx, l.failure("create", want.ID, err))
		return
	}
	now := r.reread(found, sent)
	if !now.same(sent) {
		if difference := l.difference(want, found); difference != "" {
			id := resourceID(r.host, individualsName, found.ID)
			r.fail(ctx, fmt.Errorf("create enrollment %q: %s exists already; %s. Delete it there, or leave it out here and manage it on its own: "+
				"pulumi import azure-dps:index:IndividualEnrollment %s %s", want.ID, id, difference, want.ID, id))
			return
		}
		now = r.record(want, foundKeys(found), found.Etag)
	}
	r.note(want.ID, now)
	r.done(&r.added, 1)
}

// change sends an enrollment with the keys that it holds, on condition that it is still the version of the state.
func (r *setRun) change(ctx context.Context, want declared) error {
	l, known := r.of(want.ID), r.known(want.ID)
	if !known.isSettled() {
		return r.movedMeanwhile(want.ID) // settle left it alone
	}
	if known.kind != kindOf(want.Attestation) {
		return r.remake(ctx, l, want, known)
	}
	keys := keysOf(want.Attestation)
	if known.kind == dpsapi.SymmetricKeyAttestation {
		var err error
		if keys, err = l.keepKeys(ctx, want.ID, keys, held{}); err != nil {
			return r.updateFailure(want.ID, err)
		}
	}
	stored, err := l.put(ctx, want.ID, entryOf(want, keys), known.etag)
	if errors.Is(err, dpsapi.ErrPrecondition) {
		stored, err = r.putAgain(ctx, l, want, keys, known)
	}
	if err != nil {
		return r.updateFailure(want.ID, err)
	}
	r.note(want.ID, r.record(want, keys, stored.Etag))
	return nil
}

// putAgain decides on an enrollment of which there is another version than that of the state. It may be this very update, whose answer
// was lost, or one that differs in nothing that would be overwritten.
func (r *setRun) putAgain(ctx context.Context, l lifecycle, want declared, keys dpsapi.SymmetricKey, known record) (dpsapi.IndividualEnrollment, error) {
	found, err := l.fetch(ctx, want.ID)
	switch {
	case err != nil:
		return dpsapi.IndividualEnrollment{}, err
	case l.isExactly(want, keys, found):
		return dpsapi.IndividualEnrollment{Entry: dpsapi.Entry{Etag: found.Etag}}, nil
	case !r.reread(found, known).same(known):
		return dpsapi.IndividualEnrollment{}, &movedError{r.reread(found, known).differences(known)}
	}
	return l.put(ctx, want.ID, entryOf(want, keys), found.Etag)
}

// remake deletes an enrollment whose kind of attestation changes, unless somebody else changed it, and creates it anew.
func (r *setRun) remake(ctx context.Context, l lifecycle, want declared, known record) error {
	found, err := l.fetch(ctx, want.ID)
	if err == nil && !r.reread(found, known).same(known) {
		err = &movedError{r.reread(found, known).differences(known)}
	}
	if err != nil {
		return r.updateFailure(want.ID, err)
	}
	if r.dropsRecords {
		if err := l.dropRecords(ctx, want.ID); err != nil {
			return err
		}
	}
	if err := l.delete(ctx, want.ID); err != nil {
		return err
	}
	r.forget(want.ID)
	keys, err := r.keysFor(want)
	if err != nil {
		return err
	}
	stored, err := l.put(ctx, want.ID, entryOf(want, keys), "")
	if err != nil {
		r.doubt(want.ID, r.record(want, keys, ""), err)
		return l.failure("create", want.ID, err)
	}
	r.note(want.ID, r.record(want, keys, stored.Etag))
	return nil
}

// movedError says that somebody else changed an enrollment, and what of it as far as digests tell.
type movedError struct{ what string }

func (e *movedError) Error() string { return "changed in " + e.what }

// Is reports whether target is the kind of refusal that this would have been.
func (e *movedError) Is(target error) bool { return target == dpsapi.ErrPrecondition }

func (r *setRun) updateFailure(id string, err error) error {
	var moved *movedError
	switch {
	case errors.As(err, &moved):
		return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh, in %s; run pulumi refresh to see that, then pulumi up again: %w",
			id, r.host, moved.what, dpsapi.ErrPrecondition)
	case errors.Is(err, dpsapi.ErrNotFound):
		return r.gone(id, err)
	case errors.Is(err, dpsapi.ErrPrecondition):
		return r.movedMeanwhile(id)
	}
	return r.failure("update", id, err)
}

func (r *setRun) movedMeanwhile(id string) error {
	return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh; run pulumi refresh to see that, then pulumi up again: %w",
		id, r.host, dpsapi.ErrPrecondition)
}
