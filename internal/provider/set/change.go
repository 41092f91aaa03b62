package set

import (
	"context"
	"errors"
	"fmt"

	"evenkeel/dpsservice"
	"evenkeel/internal/provider/entry"
)

// change sends an enrollment with the keys that it holds, on condition that it is still the version of the state.
func (r *run) change(ctx context.Context, want entry.Declared) error {
	done, err := r.Claims.Lock(ctx, r.key(want.ID))
	if err != nil {
		return err
	}
	defer done()
	r.Claims.Hold(r.owner, r.key(want.ID))
	l, known := r.of(want.ID), r.known(want.ID)
	if !known.isSettled() {
		return r.movedMeanwhile(want.ID) // settle did not change it
	}
	if known.kind != entry.AttestationType(want.Attestation) {
		return r.recreate(ctx, l, want, known)
	}
	keys := entry.GivenKeys(want.Attestation)
	if known.kind == dpsservice.SymmetricKeyAttestation {
		var err error
		if keys, err = l.KeepKeys(ctx, want.ID, keys, entry.Held{}); err != nil {
			return r.updateFailure(want.ID, err)
		}
	}
	stored, err := l.Entries.Put(ctx, want.ID, entry.ToService(want, keys), known.etag)
	if errors.Is(err, dpsservice.ErrPrecondition) {
		stored, err = r.resolveConflict(ctx, l, want, keys, known)
	}
	if err != nil {
		return r.updateFailure(want.ID, err)
	}
	r.note(want.ID, r.answered(want, keys, stored))
	return nil
}

// answered returns the record of an enrollment that the service accepted with these keys.
func (r *run) answered(want entry.Declared, keys dpsservice.SymmetricKey, stored dpsservice.Enrollment) record {
	return r.stamped(r.record(want, keys, ""), stored.Etag, stored.CreatedDateTimeUtc, stored.LastUpdatedDateTimeUtc)
}

// resolveConflict decides about an enrollment whose version differs from the state's. It may be the result of this
// update, whose answer was lost, or differ in nothing that would be overwritten.
func (r *run) resolveConflict(ctx context.Context, l entry.Lifecycle, want entry.Declared, keys dpsservice.SymmetricKey,
	known record) (dpsservice.Enrollment, error) {
	found, err := l.Fetch(ctx, want.ID)
	switch {
	case err != nil:
		return dpsservice.Enrollment{}, err
	case l.IsExactly(want, keys, found):
		return dpsservice.Enrollment{
			Etag: found.Etag, CreatedDateTimeUtc: found.CreatedDateTimeUtc,
			LastUpdatedDateTimeUtc: found.LastUpdatedDateTimeUtc,
		}, nil
	case !r.reread(found, known).same(known):
		return dpsservice.Enrollment{}, &movedError{r.reread(found, known).differences(known)}
	}
	return l.Entries.Put(ctx, want.ID, entry.ToService(want, keys), found.Etag)
}

// recreate deletes an enrollment whose kind of attestation changes, unless another client changed it, and creates it
// again.
func (r *run) recreate(ctx context.Context, l entry.Lifecycle, want entry.Declared, known record) error {
	found, err := l.Fetch(ctx, want.ID)
	if err == nil && !r.reread(found, known).same(known) {
		err = &movedError{r.reread(found, known).differences(known)}
	}
	if err != nil {
		return r.updateFailure(want.ID, err)
	}
	if r.dropsRecords {
		if err := l.DropRecords(ctx, want.ID); err != nil {
			return err
		}
	}
	// The version that was compared: a concurrent change by another client is not overwritten.
	if err := l.Entries.Delete(ctx, want.ID, found.Etag); err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
		return r.updateFailure(want.ID, err)
	}
	r.forget(want.ID)
	keys, err := r.keysFor(want)
	if err != nil {
		return err
	}
	stored, err := l.Entries.Put(ctx, want.ID, entry.ToService(want, keys), "")
	if err != nil {
		r.recordUnconfirmed(want.ID, r.record(want, keys, ""), err)
		return l.Failure("create", want.ID, err)
	}
	r.note(want.ID, r.answered(want, keys, stored))
	return nil
}

// movedError is the error of an enrollment that another client changed; what names the changed parts that digests show.
type movedError struct{ what string }

func (e *movedError) Error() string { return "changed in " + e.what }

// Is reports whether target is the error that the service would have returned.
func (e *movedError) Is(target error) bool { return target == dpsservice.ErrPrecondition }

func (r *run) updateFailure(id string, err error) error {
	var moved *movedError
	switch {
	case errors.As(err, &moved):
		return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh, in %s; run pulumi "+
			"refresh to see that, then pulumi up again: %w",
			id, r.Host, moved.what, dpsservice.ErrPrecondition)
	case errors.Is(err, dpsservice.ErrNotFound):
		return r.MissingError(id, err)
	case errors.Is(err, dpsservice.ErrPrecondition):
		return r.movedMeanwhile(id)
	}
	return r.Failure("update", id, err)
}

func (r *run) movedMeanwhile(id string) error {
	return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh; run pulumi refresh to see "+
		"that, then pulumi up again: %w",
		id, r.Host, dpsservice.ErrPrecondition)
}
