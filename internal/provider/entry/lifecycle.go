package entry

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"evenkeel/dpsservice"
)

// Lifecycle carries out the operations of one resource on its entry.
type Lifecycle struct {
	Kind
	client *dpsservice.Client
	// Entries are those of the kind.
	Entries dpsservice.Collection
	// Host is the configured service's.
	Host string
	// URN names the resource whose operation this is, and token and name are its parts that the import command needs.
	URN, token, Name string
	// Mark is what keys that are made for an entry are marked with: the resource's URN, and for an entry of a set its
	// id too.
	Mark string
	// Claims records which other resources declare or hold an entry in this run.
	Claims *Claims
	// advice returns what to do about an error, or "".
	advice func(error) string
}

// Begin returns the lifecycle of entries of a kind. It fails when the provider is not configured.
func Begin(ctx context.Context, k Kind) (Lifecycle, error) {
	connection := Connect(ctx)
	client, err := connection.Client()
	if err != nil {
		return Lifecycle{}, err
	}
	l := Lifecycle{Kind: k, client: client, Entries: client.Individuals(), Host: client.Host(), Claims: ClaimsOf(ctx),
		advice: connection.Advice}
	if urn := URN(ctx); urn != "" { // a function has none
		l.URN, l.Mark, l.token, l.Name = string(urn), string(urn), string(urn.Type()), urn.Name()
	}
	if k.isGroup {
		l.Entries = client.Groups()
	}
	return l, nil
}

// ResourceID is the Pulumi id of an entry.
func (l Lifecycle) ResourceID(id string) string { return ResourceID(l.Host, l.collection, id) }

// own checks that an existing resource belongs to the configured provisioning service, and returns the entry's id.
func (l Lifecycle) own(id string) (string, error) {
	host, entry, err := ParseID(id, l.collection)
	if err != nil {
		return "", err
	}
	if host != l.Host {
		return "", fmt.Errorf("%s is at %s, but the provider is configured for %s", id, host, l.Host)
	}
	return entry, nil
}

// Failure wraps an error with the operation, the entry and, if there is any, advice.
func (l Lifecycle) Failure(verb, id string, err error) error {
	return fmt.Errorf("%s enrollment %q: %w%s%s", verb, id, err, l.advice(err), unsupportedAdvice(err))
}

// Fetch reads an entry with its keys.
func (l Lifecycle) Fetch(ctx context.Context, id string) (Held, error) {
	entry, err := l.Entries.Get(ctx, id)
	if err != nil {
		return Held{}, err
	}
	h := FromService(l.Host, entry)
	if AttestationType(h.Attestation) == dpsservice.SymmetricKeyAttestation {
		attestation, err := l.Entries.AttestationMechanism(ctx, id)
		if err != nil {
			return Held{}, err
		}
		h.readKeys(attestation)
	}
	return h, nil
}

// create creates the entry. An existing one is taken over if this resource owns it: the entry of a replaced instance,
// or one that an interrupted creation left.
func (l Lifecycle) create(ctx context.Context, want Declared) (Held, error) {
	done, err := l.Claims.Lock(ctx, ClaimOf(l.collection, want.ID))
	if err != nil {
		return Held{}, l.Failure("create", want.ID, err)
	}
	defer done()
	made, err := l.makeEntry(ctx, want)
	if made.ID != "" { // perhaps made only, as err then says
		made.Instance = NewInstance()
		l.Claims.Hold(Owner{l.URN, *made.Instance}, ClaimOf(l.collection, want.ID))
	}
	return made, err
}

func (l Lifecycle) makeEntry(ctx context.Context, want Declared) (Held, error) {
	found, err := l.Fetch(ctx, want.ID)
	if err == nil {
		return l.takeOver(ctx, want, found)
	}
	if !errors.Is(err, dpsservice.ErrNotFound) {
		return Held{}, l.Failure("create", want.ID, err)
	}
	keys, err := CompleteKeys(GivenKeys(want.Attestation), l.Mark)
	if err != nil {
		return Held{}, err
	}
	stored, err := l.Entries.Put(ctx, want.ID, ToService(want, keys), "")
	if errors.Is(err, dpsservice.ErrConflict) {
		// Another request was faster: perhaps the first attempt of this one, whose answer was lost.
		return l.afterRace(ctx, want, keys, err)
	}
	if errors.Is(err, dpsservice.ErrUncertain) {
		return l.unconfirmed(want, keys, err)
	}
	if err != nil {
		return Held{}, l.Failure("create", want.ID, err)
	}
	return l.settle(want, stored, keys), nil
}

// afterRace takes over an entry that appeared between the read and the creation if it is exactly what was sent.
func (l Lifecycle) afterRace(ctx context.Context, want Declared, keys dpsservice.SymmetricKey, refusal error) (Held,
	error) {
	found, err := l.Fetch(ctx, want.ID)
	if err != nil && errors.Is(refusal, dpsservice.ErrUncertain) {
		return l.unconfirmed(want, keys, refusal)
	}
	if err != nil || !l.IsExactly(want, keys, found) {
		return Held{}, l.Failure("create", want.ID, refusal)
	}
	found.Declared = Reconcile(want, found)
	return found, nil
}

// IsExactly reports whether the service holds what is wanted, with these keys.
func (l Lifecycle) IsExactly(want Declared, keys dpsservice.SymmetricKey, found Held) bool {
	if len(Changes(want, found)) > 0 {
		return false
	}
	return AttestationType(want.Attestation) != dpsservice.SymmetricKeyAttestation || FoundKeys(found) == keys
}

// FoundKeys returns the symmetric keys of an entry, or zero for other kinds of attestation.
func FoundKeys(found Held) dpsservice.SymmetricKey {
	return dpsservice.SymmetricKey{PrimaryKey: Text(found.PrimaryKey), SecondaryKey: Text(found.SecondaryKey)}
}

// settle returns the state after the service accepted an entry: what was declared, and the record in the answer.
func (l Lifecycle) settle(want Declared, stored dpsservice.Enrollment, keys dpsservice.SymmetricKey) Held {
	h := FromService(l.Host, stored)
	if AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		if h.PrimaryKey == nil {
			h.PrimaryKey = &keys.PrimaryKey
		}
		if h.SecondaryKey == nil {
			h.SecondaryKey = &keys.SecondaryKey
		}
	}
	h.Declared = want
	return h
}

// read refreshes an entry, or reads one to import when known has no etag, and spells it as want does. It returns false
// only when the service itself answers that the entry does not exist.
func (l Lifecycle) read(ctx context.Context, id string, want Declared, known Held) (Held, bool, error) {
	if known.isUnconfirmed() {
		found, ours, err := l.confirm(ctx, known)
		found.Instance = known.Instance
		if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
			return Held{}, false, l.Failure("read", id, err)
		}
		return found, ours, nil
	}
	entry, err := l.get(ctx, id, known)
	if errors.Is(err, dpsservice.ErrNotFound) {
		return Held{}, false, nil
	}
	if err != nil {
		return Held{}, false, l.Failure("read", id, err)
	}
	if known.Etag != "" && entry.Etag == known.Etag { // every change of an entry changes its etag
		known.Declared = Reconcile(want, known)
		return known, true, nil
	}
	found := FromService(l.Host, entry)
	if found.Instance = known.Instance; known.Etag == "" { // an import
		found.Instance = NewInstance()
	}
	if AttestationType(found.Attestation) == dpsservice.SymmetricKeyAttestation {
		attestation, err := l.Entries.AttestationMechanism(ctx, id)
		if errors.Is(err, dpsservice.ErrNotFound) {
			return Held{}, false, nil // deleted between the two calls
		}
		if err != nil {
			return Held{}, false, l.Failure("read the keys of", id, err)
		}
		found.readKeys(attestation)
	}
	if want.ID == "" {
		want.ID = found.ID
	}
	found.Declared = Reconcile(want, found)
	return found, true, nil
}

// update sends the whole entry with the keys it holds, on condition that it is still the version of the state.
func (l Lifecycle) update(ctx context.Context, want Declared, known Held) (Held, error) {
	key := ClaimOf(l.collection, want.ID)
	done, err := l.Claims.Lock(ctx, key)
	if err != nil {
		return Held{}, l.Failure("update", want.ID, err)
	}
	defer done()
	l.Claims.Hold(Owner{l.URN, Text(known.Instance)}, key)
	var updated Held
	if known.isUnconfirmed() {
		updated, err = l.finish(ctx, want, known)
	} else {
		updated, err = l.change(ctx, want, known)
	}
	updated.Instance = known.Instance
	return updated, err
}

func (l Lifecycle) change(ctx context.Context, want Declared, known Held) (Held, error) {
	keys := GivenKeys(want.Attestation)
	if AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		var err error
		if keys, err = l.KeepKeys(ctx, want.ID, keys, known); err != nil {
			return Held{}, l.Failure("update", want.ID, err)
		}
	}
	entry := ToService(want, keys)
	stored, err := l.Entries.Put(ctx, want.ID, entry, known.Etag)
	if errors.Is(err, dpsservice.ErrPrecondition) {
		var found Held
		if found, err = l.Fetch(ctx, want.ID); err == nil {
			if l.IsExactly(want, keys, found) {
				found.Declared = want // the answer to this update was lost, now or in an interrupted run
				return found, nil
			}
			if changed := Changes(known.Declared, found); len(changed) > 0 || FoundKeys(found) != FoundKeys(known) {
				return Held{}, l.changedMeanwhile(want.ID, changed)
			}
			// Only the version changed, and nothing would be overwritten.
			stored, err = l.Entries.Put(ctx, want.ID, entry, found.Etag)
		}
	}
	if errors.Is(err, dpsservice.ErrNotFound) {
		return Held{}, l.MissingError(want.ID, err)
	}
	if err != nil {
		return Held{}, l.Failure("update", want.ID, err)
	}
	return l.settle(want, stored, keys), nil
}

// MissingError returns the error of an update of an entry that does not exist any more.
func (l Lifecycle) MissingError(id string, err error) error {
	return fmt.Errorf("update enrollment %q: it does not exist at %s any more; run pulumi refresh, then pulumi up to "+
		"create it again: %w", id, l.Host, err)
}

func (l Lifecycle) changedMeanwhile(id string, changed []field) error {
	what := paths(changed)
	if what == "" {
		what = "its keys"
	}
	return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh, in %s; run pulumi refresh "+
		"to see the change, then pulumi up again: %w",
		id, l.Host, what, dpsservice.ErrPrecondition)
}

// KeepKeys completes given keys with the entry's own, because a PUT without keys would generate new ones.
func (l Lifecycle) KeepKeys(ctx context.Context, id string, given dpsservice.SymmetricKey,
	known Held) (dpsservice.SymmetricKey, error) {
	if given.PrimaryKey != "" && given.SecondaryKey != "" {
		return given, nil
	}
	own := FoundKeys(known)
	if own.PrimaryKey == "" || own.SecondaryKey == "" {
		attestation, err := l.Entries.AttestationMechanism(ctx, id)
		if err != nil {
			return given, err
		}
		if attestation.SymmetricKey == nil {
			return given, errors.New("the service does not return the keys to keep")
		}
		own = *attestation.SymmetricKey
	}
	if given.PrimaryKey == "" {
		given.PrimaryKey = own.PrimaryKey
	}
	if given.SecondaryKey == "" {
		given.SecondaryKey = own.SecondaryKey
	}
	return given, nil
}

// sameID reports whether two ids name the same entry: the service ignores letter case.
func sameID(a, b string) bool { return strings.EqualFold(a, b) }
