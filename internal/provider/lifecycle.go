package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"evenkeel/dpsservice"
)

// lifecycle is what is done with an entry for one resource.
type lifecycle struct {
	kind
	client *dpsservice.Client
	// entries are those of the kind.
	entries dpsservice.Collection
	// host is the configured service's.
	host string
	// urn names the resource whose operation this is, and token and name are its parts that the import command needs.
	urn, token, name string
	// mark is what keys that are made for an entry are marked with: the resource's URN, and for an entry of a set its id too.
	mark string
	// claims say who else declares or holds an entry in this run.
	claims *claims
	// advice says what to do about an error; nothing when there is no more to say.
	advice func(error) string
}

// begin returns the lifecycle of entries of a kind. It fails when the provider is not configured.
func begin(ctx context.Context, k kind) (lifecycle, error) {
	connection := connect(ctx)
	client, err := connection.client()
	if err != nil {
		return lifecycle{}, err
	}
	l := lifecycle{kind: k, client: client, entries: client.Individuals(), host: client.Host(), claims: claimsFrom(ctx), advice: connection.advice}
	if urn := urnFrom(ctx); urn != "" { // a function has none
		l.urn, l.mark, l.token, l.name = string(urn), string(urn), string(urn.Type()), urn.Name()
	}
	if k.isGroup {
		l.entries = client.Groups()
	}
	return l, nil
}

// resourceID is the Pulumi id of an entry.
func (l lifecycle) resourceID(id string) string { return resourceID(l.host, l.collection, id) }

// own checks that an existing resource lies in the configured provisioning service, and returns the entry's id there.
func (l lifecycle) own(id string) (string, error) {
	host, entry, err := parseID(id, l.collection)
	if err != nil {
		return "", err
	}
	if host != l.host {
		return "", fmt.Errorf("%s lies at %s, but the provider is configured for %s", id, host, l.host)
	}
	return entry, nil
}

// failure says what was being done to which entry and, where there is something, what to look at.
func (l lifecycle) failure(verb, id string, err error) error {
	return fmt.Errorf("%s enrollment %q: %w%s", verb, id, err, l.advice(err))
}

// fetch reads an entry with its keys.
func (l lifecycle) fetch(ctx context.Context, id string) (held, error) {
	entry, err := l.entries.Get(ctx, id)
	if err != nil {
		return held{}, err
	}
	h := heldBy(l.host, entry)
	if kindOf(h.Attestation) == dpsservice.SymmetricKeyAttestation {
		attestation, err := l.entries.AttestationMechanism(ctx, id)
		if err != nil {
			return held{}, err
		}
		h.readKeys(attestation)
	}
	return h, nil
}

// create makes the entry. One that exists already is taken over when it is this resource's own: a replaced one, or one that an interrupted
// creation left.
func (l lifecycle) create(ctx context.Context, want declared) (held, error) {
	done, err := l.claims.turn(ctx, claimOf(l.collection, want.ID))
	if err != nil {
		return held{}, l.failure("create", want.ID, err)
	}
	defer done()
	made, err := l.makeEntry(ctx, want)
	if made.ID != "" { // perhaps made only, as err then says
		made.Instance = newInstance()
		l.claims.hold(owner{l.urn, *made.Instance}, claimOf(l.collection, want.ID))
	}
	return made, err
}

func (l lifecycle) makeEntry(ctx context.Context, want declared) (held, error) {
	found, err := l.fetch(ctx, want.ID)
	if err == nil {
		return l.takeOver(ctx, want, found)
	}
	if !errors.Is(err, dpsservice.ErrNotFound) {
		return held{}, l.failure("create", want.ID, err)
	}
	keys, err := completeKeys(keysOf(want.Attestation), l.mark)
	if err != nil {
		return held{}, err
	}
	stored, err := l.entries.Put(ctx, want.ID, entryOf(want, keys), "")
	if errors.Is(err, dpsservice.ErrConflict) {
		// Somebody was quicker: perhaps this very request, sent again because its first answer was lost.
		return l.afterRace(ctx, want, keys, err)
	}
	if errors.Is(err, dpsservice.ErrUncertain) {
		return l.unconfirmed(want, keys, err)
	}
	if err != nil {
		return held{}, l.failure("create", want.ID, err)
	}
	return l.settle(want, stored, keys), nil
}

// afterRace takes over an entry that appeared between the look and the creation when it is exactly what was sent.
func (l lifecycle) afterRace(ctx context.Context, want declared, keys dpsservice.SymmetricKey, refusal error) (held, error) {
	found, err := l.fetch(ctx, want.ID)
	if err != nil && errors.Is(refusal, dpsservice.ErrUncertain) {
		return l.unconfirmed(want, keys, refusal)
	}
	if err != nil || !l.isExactly(want, keys, found) {
		return held{}, l.failure("create", want.ID, refusal)
	}
	found.declared = reconcile(want, found)
	return found, nil
}

// isExactly reports whether the service holds what is wanted, with these keys.
func (l lifecycle) isExactly(want declared, keys dpsservice.SymmetricKey, found held) bool {
	if len(changes(want, found)) > 0 {
		return false
	}
	return kindOf(want.Attestation) != dpsservice.SymmetricKeyAttestation || foundKeys(found) == keys
}

func foundKeys(found held) dpsservice.SymmetricKey {
	return dpsservice.SymmetricKey{PrimaryKey: text(found.PrimaryKey), SecondaryKey: text(found.SecondaryKey)}
}

// settle returns the state after the service accepted an entry: what was declared, and the record in the answer.
func (l lifecycle) settle(want declared, stored dpsservice.Enrollment, keys dpsservice.SymmetricKey) held {
	h := heldBy(l.host, stored)
	if kindOf(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		if h.PrimaryKey == nil {
			h.PrimaryKey = &keys.PrimaryKey
		}
		if h.SecondaryKey == nil {
			h.SecondaryKey = &keys.SecondaryKey
		}
	}
	h.declared = want
	return h
}

// read refreshes an entry, or reads one to import when known has no etag, and spells it as want does. It returns false only when the
// service itself says that there is no such entry.
func (l lifecycle) read(ctx context.Context, id string, want declared, known held) (held, bool, error) {
	if known.isUnconfirmed() {
		found, ours, err := l.confirm(ctx, known)
		found.Instance = known.Instance
		if err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
			return held{}, false, l.failure("read", id, err)
		}
		return found, ours, nil
	}
	entry, err := l.entries.Get(ctx, id)
	if errors.Is(err, dpsservice.ErrNotFound) {
		return held{}, false, nil
	}
	if err != nil {
		return held{}, false, l.failure("read", id, err)
	}
	if known.Etag != "" && entry.Etag == known.Etag { // every change of an entry moves its etag
		known.declared = reconcile(want, known)
		return known, true, nil
	}
	found := heldBy(l.host, entry)
	if found.Instance = known.Instance; known.Etag == "" { // an import
		found.Instance = newInstance()
	}
	if kindOf(found.Attestation) == dpsservice.SymmetricKeyAttestation {
		attestation, err := l.entries.AttestationMechanism(ctx, id)
		if errors.Is(err, dpsservice.ErrNotFound) {
			return held{}, false, nil // deleted between the two calls
		}
		if err != nil {
			return held{}, false, l.failure("read the keys of", id, err)
		}
		found.readKeys(attestation)
	}
	if want.ID == "" {
		want.ID = found.ID
	}
	found.declared = reconcile(want, found)
	return found, true, nil
}

// update sends the whole entry with the keys it holds, on condition that it is still the version of the state.
func (l lifecycle) update(ctx context.Context, want declared, known held) (held, error) {
	key := claimOf(l.collection, want.ID)
	done, err := l.claims.turn(ctx, key)
	if err != nil {
		return held{}, l.failure("update", want.ID, err)
	}
	defer done()
	l.claims.hold(owner{l.urn, text(known.Instance)}, key)
	var updated held
	if known.isUnconfirmed() {
		updated, err = l.finish(ctx, want, known)
	} else {
		updated, err = l.change(ctx, want, known)
	}
	updated.Instance = known.Instance
	return updated, err
}

func (l lifecycle) change(ctx context.Context, want declared, known held) (held, error) {
	keys := keysOf(want.Attestation)
	if kindOf(want.Attestation) == dpsservice.SymmetricKeyAttestation {
		var err error
		if keys, err = l.keepKeys(ctx, want.ID, keys, known); err != nil {
			return held{}, l.failure("update", want.ID, err)
		}
	}
	entry := entryOf(want, keys)
	stored, err := l.entries.Put(ctx, want.ID, entry, known.Etag)
	if errors.Is(err, dpsservice.ErrPrecondition) {
		var found held
		if found, err = l.fetch(ctx, want.ID); err == nil {
			if l.isExactly(want, keys, found) {
				found.declared = want // the answer to this very update was lost, now or in an interrupted run
				return found, nil
			}
			if changed := changes(known.declared, found); len(changed) > 0 || foundKeys(found) != foundKeys(known) {
				return held{}, l.changedMeanwhile(want.ID, changed)
			}
			// Only the version moved, and nothing that would be overwritten.
			stored, err = l.entries.Put(ctx, want.ID, entry, found.Etag)
		}
	}
	if errors.Is(err, dpsservice.ErrNotFound) {
		return held{}, l.gone(want.ID, err)
	}
	if err != nil {
		return held{}, l.failure("update", want.ID, err)
	}
	return l.settle(want, stored, keys), nil
}

func (l lifecycle) gone(id string, err error) error {
	return fmt.Errorf("update enrollment %q: it is gone from %s; run pulumi refresh, then pulumi up makes it anew: %w", id, l.host, err)
}

func (l lifecycle) changedMeanwhile(id string, changed []field) error {
	what := paths(changed)
	if what == "" {
		what = "its keys"
	}
	return fmt.Errorf("update enrollment %q: it was changed at %s since the last refresh, in %s; run pulumi refresh to see the change, then pulumi up again: %w",
		id, l.host, what, dpsservice.ErrPrecondition)
}

// keepKeys completes given keys with the entry's own, because a PUT without keys would make new ones.
func (l lifecycle) keepKeys(ctx context.Context, id string, given dpsservice.SymmetricKey, known held) (dpsservice.SymmetricKey, error) {
	if given.PrimaryKey != "" && given.SecondaryKey != "" {
		return given, nil
	}
	own := foundKeys(known)
	if own.PrimaryKey == "" || own.SecondaryKey == "" {
		attestation, err := l.entries.AttestationMechanism(ctx, id)
		if err != nil {
			return given, err
		}
		if attestation.SymmetricKey == nil {
			return given, errors.New("the service does not tell the keys to keep")
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

// sameID reports whether two ids name the same entry: the service has no regard for letter case.
func sameID(a, b string) bool { return strings.EqualFold(a, b) }
