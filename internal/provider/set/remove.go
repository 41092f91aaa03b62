package set

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"evenkeel/dpsservice"
)

// removal removes devices with one bulk operation: their enrollments and, with deleteRegistrations, their registration
// records. As with a single enrollment, the records are deleted first, so that a failure leaves the enrollment for the
// next attempt, and again afterwards: a device may have registered in between. Devices whose second deletion failed are
// kept as gone.
func (r *run) removal(ctx context.Context, ids []string) {
	done, err := r.Claims.Lock(ctx, r.keys(ids)...)
	if err != nil {
		return // canceled, which apply reports
	}
	defer done()
	ids = r.unclaimed(ctx, ids)
	there, left := parted(ids, func(id string) bool { return r.known(id).etag != gone })
	if r.dropsRecords {
		there = r.withoutRecords(ctx, there)
	}
	removed := r.remove(ctx, there)
	if r.dropsRecords {
		for _, id := range removed {
			known := r.known(id)
			known.etag = gone
			r.note(id, known)
		}
		left = r.withoutRecords(ctx, append(left, removed...))
	} else {
		left = append(left, removed...)
	}
	for _, id := range left {
		r.forget(id)
	}
	r.done(&r.removed, len(left))
}

// parted splits a list into the elements that match and the others.
func parted(ids []string, fits func(string) bool) (yes, no []string) {
	for _, id := range ids {
		if fits(id) {
			yes = append(yes, id)
		} else {
			no = append(no, id)
		}
	}
	return yes, no
}

// withoutRecords deletes the registration records of devices, and returns the devices without records.
func (r *run) withoutRecords(ctx context.Context, ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		err := r.DropRecords(ctx, id)
		if err != nil {
			r.fail(ctx, err)
		}
		return err != nil
	})
}

// remove deletes enrollments by one bulk operation, and returns those that do not exist any more.
func (r *run) remove(ctx context.Context, ids []string) []string {
	if len(ids) == 0 {
		return nil
	}
	entries := make([]dpsservice.Enrollment, len(ids))
	for i, id := range ids {
		entries[i].ID = id
	}
	result, err := r.Entries.Bulk(ctx, dpsservice.BulkDelete, entries)
	if err != nil {
		for _, id := range ids {
			r.fail(ctx, r.Failure("delete", id, err))
		}
		return nil
	}
	failed := byID(result.Failures)
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		f, is := failed[strings.ToLower(id)]
		if is = is && f.Code/1000 != 404; is {
			r.fail(ctx, fmt.Errorf("delete enrollment %q: %s (code %d)", id, f.Message, f.Code))
		}
		return is
	})
}
