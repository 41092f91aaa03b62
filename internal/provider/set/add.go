package set

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"evenkeel/dpsservice"
	"evenkeel/internal/provider/entry"
)

// add creates enrollments with one bulk operation, and splits it when the service refuses it as a whole. An existing
// enrollment is taken over if this creation created it, now or in an interrupted run.
func (r *run) add(ctx context.Context, want []entry.Declared) {
	done, err := r.Claims.Lock(ctx, r.keys(idsOf(want))...)
	if err != nil {
		return // canceled, which apply reports
	}
	defer done()
	r.addBulk(ctx, want)
}

func (r *run) addBulk(ctx context.Context, want []entry.Declared) {
	entries, sent := make([]dpsservice.Enrollment, len(want)), make([]record, len(want))
	for i, w := range want {
		keys, err := r.keysFor(w)
		if err != nil {
			r.fail(ctx, err)
			return
		}
		entries[i], sent[i] = entry.ToService(w, keys), r.record(w, keys, "")
	}
	result, err := r.Entries.Bulk(ctx, dpsservice.BulkCreate, entries)
	if isRefusedAsWhole(err) && len(want) > 1 {
		r.addBulk(ctx, want[:len(want)/2])
		r.addBulk(ctx, want[len(want)/2:])
		return
	}
	if err != nil {
		for i, w := range want {
			r.recordUnconfirmed(w.ID, sent[i], err)
			r.fail(ctx, r.Failure("create", w.ID, err))
		}
		return
	}
	failed := byID(result.Failures)
	for i, w := range want {
		f, is := failed[strings.ToLower(w.ID)]
		switch {
		case !is:
			r.made(w.ID, sent[i])
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

// isRefusedAsWhole reports whether the service refused a whole bulk operation because of one of its entries, which it
// does not name, or because of its size.
func isRefusedAsWhole(err error) bool {
	var refusal *dpsservice.Error
	return errors.As(err, &refusal) && !errors.Is(err, dpsservice.ErrUncertain) &&
		(refusal.Status == http.StatusBadRequest || refusal.Status == http.StatusRequestEntityTooLarge)
}

// keysFor returns the keys to create an enrollment with, and generates those that are not given. They are empty for
// other kinds of attestation.
func (r *run) keysFor(want entry.Declared) (dpsservice.SymmetricKey, error) {
	if entry.AttestationType(want.Attestation) != dpsservice.SymmetricKeyAttestation {
		return dpsservice.SymmetricKey{}, nil
	}
	return entry.CompleteKeys(entry.GivenKeys(want.Attestation), r.of(want.ID).Mark)
}

// recordUnconfirmed records an enrollment whose creation failed without an answer, so that it is unknown whether it
// exists.
func (r *run) recordUnconfirmed(id string, sent record, err error) {
	if errors.Is(err, dpsservice.ErrUncertain) {
		sent.etag = entry.Unanswered
		r.note(id, sent)
	}
}

// adopt takes over an existing enrollment with the id of one to create if it is what this operation sent (sent is empty
// if that is impossible), or if its keys show that an earlier run created it.
func (r *run) adopt(ctx context.Context, want entry.Declared, sent record) {
	l := r.of(want.ID)
	found, err := l.Fetch(ctx, want.ID)
	if err != nil {
		sent.etag = entry.Unanswered
		if sent.settings != "" {
			r.note(want.ID, sent)
		}
		r.fail(ctx, l.Failure("create", want.ID, err))
		return
	}
	if now := r.reread(found, sent); now.same(sent) {
		r.made(want.ID, now)
		return
	}
	if difference := l.Difference(want, found); difference != "" {
		r.fail(ctx, r.existsAlready(want, found.ID, difference))
		return
	}
	keys, err := r.keysFor(want)
	if err != nil {
		r.fail(ctx, err)
		return
	}
	stored, err := l.Entries.Put(ctx, want.ID, entry.ToService(want, keys), found.Etag)
	if err != nil {
		r.recordUnconfirmed(want.ID, r.record(want, keys, ""), err)
		r.fail(ctx, l.Failure("create", want.ID, err))
		return
	}
	r.made(want.ID, r.answered(want, keys, stored))
	r.tookOver(want.ID)
}

// made records that this set now owns an enrollment.
func (r *run) made(id string, current record) {
	r.note(id, current)
	r.Claims.Hold(r.owner, r.key(id))
	r.done(&r.added, 1)
}

// existsAlready returns the error of a creation over an enrollment that this set does not own, with hints.
func (r *run) existsAlready(want entry.Declared, foundID, difference string) error {
	id := r.ResourceID(foundID)
	way := "delete it there first, for example with a `pulumi up` without the resource that declares it"
	if entry.AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		way = "declare its current primaryKey and secondaryKey, and this set takes it over"
	}
	return fmt.Errorf("create enrollment %q: %s exists already; %s. Nothing was changed of it. "+
		"hint: %s; or remove it from this set and manage it separately: pulumi import "+
		"azure-dps:index:IndividualEnrollment %s %s --generate-code=false",
		want.ID, id, difference, way, want.ID, id)
}
