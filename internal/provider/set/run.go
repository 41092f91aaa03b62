package set

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
	"evenkeel/internal/provider/entry"
)

const (
	// calls is the number of concurrent requests of one set, which share the rate limit.
	calls = 16
	// maxReasons limits the reported failures of single devices.
	maxReasons = 100
)

// run is one operation on the enrollments of a set.
type run struct {
	entry.Lifecycle
	digester
	// owner is this instance of the set, which the key of its digests identifies.
	owner entry.Owner
	// dropsRecords is true if the registration record of a device is deleted with its enrollment.
	dropsRecords bool

	mu sync.Mutex // guards what follows
	// devices are the records by registration id: the known content of the service.
	devices map[string]string
	// spelled is the key of devices by the id in lower case.
	spelled  map[string]string
	failures []string
	// added, changed and removed count the finished operations.
	added, changed, removed int
	// kept are enrollments that left the set and stay at the service, and taken existing ones that the set now owns.
	kept, taken []string
}

func begin(ctx context.Context, key string, devices map[string]string) (*run, error) {
	l, err := entry.Begin(ctx, entry.Individual)
	if err != nil {
		return nil, err
	}
	digests, err := newDigester(key)
	if err != nil {
		return nil, err
	}
	r := &run{Lifecycle: l, digester: digests, owner: entry.Owner{URN: l.URN, Instance: key},
		devices: map[string]string{}, spelled: map[string]string{}}
	for id, text := range devices {
		r.devices[id], r.spelled[strings.ToLower(id)] = text, id
	}
	return r, nil
}

// knows makes the run use the version of the service API that has certificate policies, if one of its enrollments has
// or gets one.
func (r *run) knows(want []entry.Declared) {
	is := slices.ContainsFunc(want, func(w entry.Declared) bool { return w.IsNamed() })
	for _, text := range r.devices {
		is = is || parseRecord(text).isNamed()
	}
	if is {
		r.Entries = r.Entries.WithIssuance()
	}
}

func (r *run) note(id string, current record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, exists := r.spelled[strings.ToLower(id)]; exists {
		delete(r.devices, old)
	}
	r.devices[id], r.spelled[strings.ToLower(id)] = current.String(), id
}

func (r *run) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.devices, r.spelled[strings.ToLower(id)])
	delete(r.spelled, strings.ToLower(id))
}

func (r *run) known(id string) record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return parseRecord(r.devices[r.spelled[strings.ToLower(id)]])
}

// done counts finished operations on enrollments.
func (r *run) done(count *int, enrollments int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*count += enrollments
}

// fail records the failure of one enrollment. A canceled operation is reported once, by apply.
func (r *run) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, err.Error())
}

// apply carries out the plan. Its error, if any, reports what was done and every failure; devices then holds the
// result.
func (r *run) apply(ctx context.Context, plan plan) error {
	going := r.own(ctx, plan.removed)
	inParallel(ctx, slices.Collect(slices.Chunk(going, dpsservice.BulkSize)),
		func(ids []string) { r.removal(ctx, ids) })
	inParallel(ctx, plan.changed, func(want entry.Declared) {
		if err := r.change(ctx, want); err != nil {
			r.fail(ctx, err)
		} else {
			r.done(&r.changed, 1)
		}
	})
	inParallel(ctx, slices.Collect(slices.Chunk(plan.added, dpsservice.BulkSize)),
		func(want []entry.Declared) { r.add(ctx, want) })
	if err := r.completeEtags(ctx, idsOf(plan.added)); err != nil && ctx.Err() == nil {
		r.failures = append(r.failures, fmt.Sprintf("read the etags of new enrollments: %v", err))
	}
	r.report(ctx)
	if ctx.Err() != nil {
		r.failures = append(r.failures, "interrupted: run pulumi up again to continue")
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

// report logs the enrollments whose owner changed.
func (r *run) report(ctx context.Context) {
	for what, ids := range map[string][]string{
		"kept at the service for another resource": r.kept, "existed already and are now managed by this set": r.taken,
	} {
		if slices.Sort(ids); len(ids) > 0 {
			p.GetLogger(ctx).Info("enrollments: " + counted(what, ids))
		}
	}
}

func (r *run) tookOver(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = append(r.taken, id)
}

func (r *run) key(id string) entry.ClaimKey { return entry.ClaimOf(entry.IndividualsName, id) }

func (r *run) keys(ids []string) []entry.ClaimKey {
	keys := make([]entry.ClaimKey, len(ids))
	for i, id := range ids {
		keys[i] = r.key(id)
	}
	return keys
}

// total returns the error of an operation that needs no partial state, with its reasons.
func (r *run) total(verb string, err error) error {
	var partly infer.ResourceInitFailedError
	if errors.As(err, &partly) {
		return fmt.Errorf("%s enrollments: %s", verb, strings.Join(partly.Reasons, "; "))
	}
	return err
}

// inParallel runs do for each job, a few at once, until the context ends. It uses as few goroutines, so that their
// stacks, which requests enlarge, grow only once.
func inParallel[T any](ctx context.Context, jobs []T, do func(T)) {
	var running sync.WaitGroup
	var next atomic.Int64
	for range min(calls, len(jobs)) {
		running.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				do(jobs[i]) // jobs record their failures
			}
		})
	}
	running.Wait()
}

func byID(failures []dpsservice.BulkFailure) map[string]dpsservice.BulkFailure {
	failed := map[string]dpsservice.BulkFailure{}
	for _, f := range failures {
		failed[strings.ToLower(f.ID)] = f
	}
	return failed
}

// of returns the lifecycle of one enrollment of the set: generated keys are marked with its id.
func (r *run) of(id string) entry.Lifecycle {
	l := r.Lifecycle
	l.Mark += "::" + strings.ToLower(id)
	return l
}
