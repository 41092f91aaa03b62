package entry

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
)

// Unanswered is the etag of an entry whose creation got no answer: it is unknown whether it exists.
const Unanswered = "?"

// isUnconfirmed reports whether it is unknown if the service created the entry: the creation was sent and got no
// answer, perhaps because the operation was cancelled. The state then contains what was sent.
func (h Held) isUnconfirmed() bool { return h.Etag == Unanswered }

// unconfirmed returns the state after a creation without an answer. With its error the engine keeps the state, and the
// next update continues.
func (l Lifecycle) unconfirmed(want Declared, keys dpsservice.SymmetricKey, err error) (Held, error) {
	h := Held{Declared: want, Record: Record{ServiceHost: l.Host, Etag: Unanswered}}
	if AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		h.PrimaryKey, h.SecondaryKey = &keys.PrimaryKey, &keys.SecondaryKey
	}
	return h, infer.ResourceInitFailedError{Reasons: []string{l.Failure("create", want.ID, err).Error()}}
}

// confirm reads an unconfirmed entry. If it differs from what was sent, it has another owner, and ours is false. It
// fails with ErrNotFound if the entry does not exist.
func (l Lifecycle) confirm(ctx context.Context, known Held) (found Held, ours bool, err error) {
	if found, err = l.Fetch(ctx, known.ID); err != nil {
		return found, false, err
	}
	if ours = l.IsExactly(known.Declared, FoundKeys(known), found); ours {
		found.Declared = known.Declared
	}
	return found, ours, nil
}

// finish completes an unconfirmed creation: it updates the entry if it exists, and creates it otherwise.
func (l Lifecycle) finish(ctx context.Context, want Declared, known Held) (Held, error) {
	found, ours, err := l.confirm(ctx, known)
	switch {
	case errors.Is(err, dpsservice.ErrNotFound):
		return l.makeEntry(ctx, want)
	case err != nil:
		return Held{}, l.Failure("create", want.ID, err)
	case ours:
		return l.change(ctx, want, found)
	}
	taken, err := l.takeOver(ctx, want, found)
	if err != nil {
		err = fmt.Errorf("%w; run pulumi refresh first: it removes the resource from the state", err)
	}
	return taken, err
}
