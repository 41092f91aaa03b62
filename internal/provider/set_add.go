package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"evenkeel/internal/dpsapi"
)

// add creates up to a bulk of enrollments, in smaller ones when the service refuses one as a whole. One that exists is taken over when this
// creation made it, now or in an interrupted run.
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
