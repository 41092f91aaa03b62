package provider

import (
	"context"
	"errors"
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/dpsservice"
)

// takeOver decides on an entry that exists where one is to be created. One whose keys show that it is this resource's own gets what is
// declared now, and new keys where the provider makes them: a replacement renews them. Any other one is left as it is.
func (l lifecycle) takeOver(ctx context.Context, want declared, found held) (held, error) {
	if difference := l.difference(want, found); difference != "" {
		return held{}, l.existsAlready(want, found.ID, difference)
	}
	given := keysOf(want.Attestation)
	keys, err := completeKeys(given, l.mark)
	if err != nil {
		return held{}, err
	}
	stored, err := l.entries.Put(ctx, want.ID, entryOf(want, keys), found.Etag)
	switch {
	case errors.Is(err, dpsservice.ErrPrecondition): // perhaps this very request, sent again because its first answer was lost
		return l.afterRace(ctx, want, keys, err)
	case errors.Is(err, dpsservice.ErrUncertain):
		return l.unconfirmed(want, keys, err)
	case err != nil:
		return held{}, l.failure("create", want.ID, err)
	}
	if given == keys { // two stacks that declare one id with the same keys look alike
		p.GetLogger(ctx).Infof("enrollment %q exists already with the declared keys: this resource manages it now", want.ID)
	} else {
		p.GetLogger(ctx).Infof("enrollment %q exists already and was made by this resource: it stays, with new keys", want.ID)
	}
	return l.settle(want, stored, keys), nil
}

// difference says why an entry is not this resource's own; nothing when it is. Only keys can show who made an entry: one without keys is
// never taken over, though it may be equal.
func (l lifecycle) difference(want declared, found held) string {
	isKeyed := kindOf(want.Attestation) == dpsservice.SymmetricKeyAttestation && kindOf(found.Attestation) == dpsservice.SymmetricKeyAttestation
	if isKeyed && areOurs(foundKeys(found), keysOf(want.Attestation), l.mark) {
		return ""
	}
	if changed := changes(want, found); len(changed) > 0 {
		return "it differs from the declared one in " + paths(changed)
	}
	return "it equals the declared one, but nothing shows that this resource created it"
}

// existsAlready is the refusal to create an entry over one that is not this resource's own, with the ways to go on.
func (l lifecycle) existsAlready(want declared, foundID, difference string) error {
	id := l.resourceID(foundID)
	return fmt.Errorf("create enrollment %q: %s exists already; %s. Nothing was changed. "+
		"hint: if another resource of this stack declared it, keep that resource: by the option aliases, or by `pulumi state rename`; "+
		"if this resource is to be replaced, run `pulumi state untaint '%s'`, or set its option deleteBeforeReplace; "+
		"if it was made elsewhere, import it: pulumi import %s %s %s --generate-code=false (with --provider when the resource names one)",
		want.ID, id, difference, l.urn, l.token, l.name, id)
}

// change is how the version of an entry that the service holds differs from the one of the state.
type change struct {
	// isCreatedAgain says that the service created the entry at another time.
	isCreatedAgain bool
	// primaryKey and secondaryKey are keys that the state does not know; empty where the key is the known one.
	primaryKey, secondaryKey string
	// isWrittenAgain says that the entry was written since, though it is the same.
	isWrittenAgain bool
}

// changeOf compares entries that are known in full.
func changeOf(found, known held) change {
	differs := func(a, b string) bool { return b != "" && a != b }
	c := change{isCreatedAgain: differs(found.CreatedDateTimeUtc, known.CreatedDateTimeUtc)}
	keys, old := foundKeys(found), foundKeys(known)
	if keys.PrimaryKey != old.PrimaryKey {
		c.primaryKey = keys.PrimaryKey
	}
	if keys.SecondaryKey != old.SecondaryKey {
		c.secondaryKey = keys.SecondaryKey
	}
	c.isWrittenAgain = differs(found.LastUpdatedDateTimeUtc, known.LastUpdatedDateTimeUtc) && keys == old &&
		len(changes(known.declared, found)) == 0
	return c
}

// mayDelete decides whether an entry that is to be deleted is still this resource's own, although the service holds another version of it
// than the state. No claim says so: the other owner may be another stack, another process of the provider, or a resource that the update
// leaves out. It fails with errKept for an entry of another owner, and with a hint for one whose owner cannot be determined.
func (l lifecycle) mayDelete(ctx context.Context, id string, c change) error {
	why := ""
	switch {
	case c.isCreatedAgain:
		why = "it was deleted and created again since"
	case isMadeFor(c.primaryKey, l.mark, primarySlot), isMadeFor(c.secondaryKey, l.mark, secondarySlot):
		why = "another life of this resource has renewed its keys"
	}
	if why != "" {
		p.GetLogger(ctx).Warningf("enrollment %q stays at %s and leaves this stack: %s", id, l.host, why)
		return errKept
	}
	if c.isWrittenAgain {
		return l.rewritten(id)
	}
	return nil
}

// errKept says that an entry was not deleted because it has another owner.
var errKept = errors.New("the entry has another owner")

// anyVersion is the etag that matches every version of an entry.
const anyVersion = "*"

// deletionTries is how often an entry that others change meanwhile is tried to be deleted.
const deletionTries = 5

// delete removes the entry of a resource, known as the state holds it; it may be gone already. It fails with errKept for an entry that
// belongs to somebody else by now. What others changed of it is deleted with it.
func (l lifecycle) delete(ctx context.Context, id string, known held) error {
	etag := known.Etag
	if etag == "" {
		etag = anyVersion
	}
	for try := 1; ; try++ {
		err := l.entries.Delete(ctx, id, etag)
		if err == nil || errors.Is(err, dpsservice.ErrNotFound) {
			return nil
		}
		if !errors.Is(err, dpsservice.ErrPrecondition) || try == deletionTries {
			return l.failure("delete", id, err)
		}
		found, err := l.ownVersion(ctx, id, known)
		if errors.Is(err, dpsservice.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		etag = found.Etag
	}
}

// ownVersion reads an entry of which there is another version than that of the state. It fails when it may not be deleted, with errKept when
// it belongs to somebody else.
func (l lifecycle) ownVersion(ctx context.Context, id string, known held) (held, error) {
	found, err := l.fetch(ctx, id)
	if errors.Is(err, dpsservice.ErrNotFound) {
		return held{}, err
	}
	if err != nil {
		return held{}, l.failure("delete", id, err)
	}
	return found, l.mayDelete(ctx, id, changeOf(found, known))
}

// rewritten is the refusal to delete an entry of which nobody can tell whose it is.
func (l lifecycle) rewritten(id string) error {
	return fmt.Errorf("delete enrollment %q: it was written again at %s without a change, as a resource does that takes it over. Nothing was deleted. "+
		"hint: if another resource declares it, run a whole `pulumi up`, or forget this one: pulumi state delete '%s'; "+
		"if none does, run `pulumi refresh` and delete it again", id, l.host, l.urn)
}

// yields reports whether an entry that is to be deleted is left to another resource of this run, and says so. It fails when the other one
// declares the entry but has not got it.
func (l lifecycle) yields(ctx context.Context, id string, known owner) (bool, error) {
	rival := l.claims.rivalOf(known, claimOf(l.collection, id))
	switch {
	case rival == nil:
		return false, nil
	case rival.holds:
		p.GetLogger(ctx).Infof("enrollment %q is kept for %s", id, rival.urn)
		return true, nil
	}
	return false, fmt.Errorf("delete enrollment %q: %s", id, declaredInVain(rival.urn))
}

// declaredInVain says why an entry is not deleted that another resource declares without having it.
func declaredInVain(urn string) string {
	return urn + " declares it, but could not be created. Nothing was deleted. " +
		"hint: mend what kept it from being created, then run `pulumi up` again"
}
