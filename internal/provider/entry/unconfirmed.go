package entry

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
)

// Unanswered is the etag of an entry whose creation got no answer: nobody knows whether it exists.
const Unanswered = "?"

// isUnconfirmed reports whether nobody knows if the service made the entry: its creation was sent and got no answer, perhaps because the
// operation was cancelled. The state then holds what was sent.
func (h Held) isUnconfirmed() bool { return h.Etag == Unanswered }

// unconfirmed is the state after a creation without an answer. With its error the engine keeps it and comes back to it.
func (l Lifecycle) unconfirmed(want Declared, keys dpsservice.SymmetricKey, err error) (Held, error) {
	h := Held{Declared: want, Record: Record{ServiceHost: l.Host, Etag: Unanswered}}
	if AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		h.PrimaryKey, h.SecondaryKey = &keys.PrimaryKey, &keys.SecondaryKey
	}
	return h, infer.ResourceInitFailedError{Reasons: []string{l.Failure("create", want.ID, err).Error()}}
}

// confirm looks what became of an unconfirmed entry. One that is not as it was sent is somebody else's: ours is false then. It fails with
// ErrNotFound when the entry does not exist.
func (l Lifecycle) confirm(ctx context.Context, known Held) (found Held, ours bool, err error) {
	if found, err = l.Fetch(ctx, known.ID); err != nil {
		return found, false, err
	}
	if ours = l.IsExactly(known.Declared, FoundKeys(known), found); ours {
		found.Declared = known.Declared
	}
	return found, ours, nil
}

// finish brings an unconfirmed creation to its end: what was made is updated, and what was not is created.
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
