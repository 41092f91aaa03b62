package set

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"evenkeel/dpsservice"
	"evenkeel/internal/provider/entry"
)

const (
	// fewDevices is the largest number of enrollments that are read one by one instead of by a query of all
	// enrollments.
	fewDevices = 50
	// queryPage is the requested number of enrollments on a page of a query. The service may return fewer.
	queryPage = 1000
	// allEnrollments is the query for all enrollments of the service.
	allEnrollments = "SELECT * FROM enrollments"
)

// survey visits the enrollments that exist, one at a time, without their keys.
func (r *run) survey(ctx context.Context, ids []string, visit func(id string, found dpsservice.Enrollment)) error {
	if len(ids) > fewDevices {
		wanted := make(map[string]string, len(ids))
		for _, id := range ids {
			wanted[strings.ToLower(id)] = id
		}
		for found, err := range r.Entries.Query(ctx, allEnrollments, queryPage) {
			if err != nil {
				return r.Failure("read", "*", err)
			}
			key := strings.ToLower(found.ID)
			id, is := wanted[key]
			if !is {
				continue
			}
			visit(id, found)
			if delete(wanted, key); len(wanted) == 0 {
				break // the other pages contain none of these devices
			}
		}
		return nil
	}
	var mu sync.Mutex
	var failed error
	inParallel(ctx, ids, func(id string) {
		found, err := r.Entries.Get(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			visit(id, found)
		case !errors.Is(err, dpsservice.ErrNotFound):
			failed = r.Failure("read", id, err)
		}
	})
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// completeEtags completes the records of enrollments that this run created: a bulk operation returns no etags. One that
// differs already was changed by another client and is left to the next refresh.
func (r *run) completeEtags(ctx context.Context, ids []string) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		known := r.known(id)
		return known.settings == "" || known.etag != ""
	})
	if len(ids) == 0 {
		return nil
	}
	return r.survey(ctx, ids, func(id string, found dpsservice.Enrollment) {
		if made := r.known(id); r.settings(entry.FromService(r.Host, found).Declared) == made.settings {
			r.note(id, r.stamped(made, found.Etag, found.CreatedDateTimeUtc, found.LastUpdatedDateTimeUtc))
		}
	})
}

// settle reads enrollments that an interrupted run left without an etag. Those that exist as they were sent get their
// etags. Those that do not exist lose their records, and so do those that were never confirmed and differ from what was
// sent: they have another owner. An enrollment that was created and then changed keeps its record until a refresh
// reports the change.
func (r *run) settle(ctx context.Context, needs func(record) bool) error {
	var open []string
	for id, text := range r.devices {
		if needs(parseRecord(text)) {
			open = append(open, id)
		}
	}
	if len(open) == 0 {
		return nil
	}
	there, doubtful := map[string]bool{}, []string(nil)
	err := r.survey(ctx, open, func(id string, found dpsservice.Enrollment) {
		there[id] = true
		made := r.known(id)
		// It has not changed since its creation, so its keys are those that were sent.
		untouched := found.CreatedDateTimeUtc != "" && found.CreatedDateTimeUtc == found.LastUpdatedDateTimeUtc
		if made.etag == "" && untouched && r.settings(entry.FromService(r.Host, found).Declared) == made.settings {
			r.note(id, r.stamped(made, found.Etag, found.CreatedDateTimeUtc, found.LastUpdatedDateTimeUtc))
			return
		}
		doubtful = append(doubtful, id)
	})
	if err != nil {
		return err
	}
	for _, id := range open {
		if !there[id] {
			r.forget(id)
		}
	}
	return r.readAll(ctx, doubtful, func(id string, found entry.Held, known record) {
		if now := r.reread(found, known); now.same(known) {
			r.note(id, now)
		} else if known.etag == entry.Unanswered {
			r.forget(id)
		}
	})
}

func lacksEtag(r record) bool    { return r.etag == "" || r.etag == entry.Unanswered }
func isUnanswered(r record) bool { return r.etag == entry.Unanswered }

// refresh updates the devices to what the service holds, and passes changed enrollments to visit in full.
func (r *run) refresh(ctx context.Context, visit func(entry.Held)) error {
	ids := slices.DeleteFunc(slices.Sorted(maps.Keys(r.devices)),
		func(id string) bool { return r.known(id).etag == gone })
	there, moved := make(map[string]bool, len(ids)), []string(nil)
	err := r.survey(ctx, ids, func(id string, found dpsservice.Enrollment) {
		if there[id] = true; found.Etag != r.known(id).etag {
			moved = append(moved, id)
		}
	})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !there[id] {
			r.forget(id)
		}
	}
	return r.readAll(ctx, moved, func(id string, found entry.Held, known record) {
		now := r.reread(found, known)
		if known.etag == entry.Unanswered && !now.same(known) {
			r.forget(id) // it has another owner
			return
		}
		r.note(id, now)
		visit(found)
	})
}

// readAll reads enrollments in full and visits them, one at a time. It removes the records of deleted ones.
func (r *run) readAll(ctx context.Context, ids []string, visit func(id string, found entry.Held, known record)) error {
	var mu sync.Mutex
	var failed error
	inParallel(ctx, ids, func(id string) {
		found, err := r.Fetch(ctx, id)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case errors.Is(err, dpsservice.ErrNotFound):
			r.forget(id)
		case err != nil:
			failed = r.Failure("read", id, err)
		default:
			visit(id, found, r.known(id))
		}
	})
	if failed == nil {
		failed = ctx.Err()
	}
	return failed
}

// drift returns the records of drifted enrollments from when they were last declared. Before are the records before
// this refresh, and known is the drift that an earlier refresh found.
func drift(before, known, now map[string]string) map[string]string {
	drifted := map[string]string{}
	for _, records := range []map[string]string{before, known} { // known drift takes precedence
		for id, declared := range records {
			if was, is := known[id]; is {
				declared = was
			}
			if current, exists := now[id]; !exists || parseRecord(current).differs(parseRecord(declared)) {
				drifted[id] = declared
			}
		}
	}
	if len(drifted) == 0 {
		return nil
	}
	return drifted
}
