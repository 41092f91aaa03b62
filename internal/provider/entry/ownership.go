package entry

import (
	"context"
	"errors"
	"fmt"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/dpsservice"
)

// takeOver decides about an existing entry with the id of an entry to create. If its keys show that this resource owns
// it, it gets the declared settings, and new keys if the provider generates them: a replacement renews them. Any other
// entry is not touched.
func (l Lifecycle) takeOver(ctx context.Context, want Declared, found Held) (Held, error) {
	if difference := l.Difference(want, found); difference != "" {
		return Held{}, l.existsAlready(want, found.ID, difference)
	}
	given := GivenKeys(want.Attestation)
	keys, err := CompleteKeys(given, l.Mark)
	if err != nil {
		return Held{}, err
	}
	stored, err := l.Entries.Put(ctx, want.ID, ToService(want, keys), found.Etag)
	switch {
	case errors.Is(err, dpsservice.ErrPrecondition): // perhaps the first attempt of this request, whose answer was lost
		return l.afterRace(ctx, want, keys, err)
	case errors.Is(err, dpsservice.ErrUncertain):
		return l.unconfirmed(want, keys, err)
	case err != nil:
		return Held{}, l.Failure("create", want.ID, err)
	}
	if given == keys { // two stacks that declare one id with the same keys look alike
		p.GetLogger(ctx).Infof("enrollment %q exists already with the declared keys: this resource manages it now",
			want.ID)
	} else {
		p.GetLogger(ctx).Infof(
			"enrollment %q exists already and was created by this resource: it is kept, with new keys", want.ID)
	}
	return l.settle(want, stored, keys), nil
}

// Difference returns why this resource does not own an entry, or "" if it does. Only keys can show which resource
// created an entry: one without keys is never taken over, even if it is equal.
func (l Lifecycle) Difference(want Declared, found Held) string {
	isKeyed := AttestationType(want.Attestation) == dpsservice.SymmetricKeyAttestation &&
		AttestationType(found.Attestation) == dpsservice.SymmetricKeyAttestation
	if isKeyed && areOurs(FoundKeys(found), GivenKeys(want.Attestation), l.Mark) {
		return ""
	}
	if changed := Changes(want, found); len(changed) > 0 {
		return "it differs from the declared one in " + paths(changed)
	}
	return "it equals the declared one, but nothing shows that this resource created it"
}

// existsAlready returns the error of a creation over an entry that this resource does not own, with hints.
func (l Lifecycle) existsAlready(want Declared, foundID, difference string) error {
	id := l.ResourceID(foundID)
	return fmt.Errorf("create enrollment %q: %s exists already; %s. Nothing was changed. "+
		"hint: if another resource of this stack declared it, keep that resource: by the option aliases, or by "+
		"`pulumi state rename`; "+
		"if this resource is to be replaced, run `pulumi state untaint '%s'`, or set its option deleteBeforeReplace; "+
		"if it was created elsewhere, import it: pulumi import %s %s %s --generate-code=false (with --provider when "+
		"the resource names one)",
		want.ID, id, difference, l.URN, l.token, l.Name, id)
}

// Change describes how the service's version of an entry differs from the state's.
type Change struct {
	// IsCreatedAgain is true if the service created the entry at another time.
	IsCreatedAgain bool
	// PrimaryKey and secondaryKey are keys that the state does not know; empty where the key is the known one.
	PrimaryKey, SecondaryKey string
	// IsWrittenAgain is true if the entry was written since without a change.
	IsWrittenAgain bool
}

// changeOf compares entries that are known in full.
func changeOf(found, known Held) Change {
	differs := func(a, b string) bool { return b != "" && a != b }
	c := Change{IsCreatedAgain: differs(found.CreatedDateTimeUtc, known.CreatedDateTimeUtc)}
	keys, old := FoundKeys(found), FoundKeys(known)
	if keys.PrimaryKey != old.PrimaryKey {
		c.PrimaryKey = keys.PrimaryKey
	}
	if keys.SecondaryKey != old.SecondaryKey {
		c.SecondaryKey = keys.SecondaryKey
	}
	c.IsWrittenAgain = differs(found.LastUpdatedDateTimeUtc, known.LastUpdatedDateTimeUtc) && keys == old &&
		len(Changes(known.Declared, found)) == 0
	return c
}

// MayDelete decides whether this resource still owns an entry to delete of which the service holds another version than
// the state. Claims cannot show that: the other owner may be another stack, another process of the provider, or a
// resource that the update leaves out. It fails with errKept for an entry of another owner, and with a hint for one
// whose owner cannot be determined.
func (l Lifecycle) MayDelete(ctx context.Context, id string, c Change) error {
	why := ""
	switch {
	case c.IsCreatedAgain:
		why = "it was deleted and created again"
	case isGeneratedFor(c.PrimaryKey, l.Mark, primarySlot), isGeneratedFor(c.SecondaryKey, l.Mark, secondarySlot):
		why = "a replacement of this resource has renewed its keys"
	}
	if why != "" {
		p.GetLogger(ctx).Warningf("enrollment %q stays at %s and is no longer managed by this stack: %s", id, l.Host,
			why)
		return ErrKept
	}
	if c.IsWrittenAgain {
		return l.rewritten(id)
	}
	return nil
}

// ErrKept is the error of a deletion that kept the entry because it has another owner.
var ErrKept = errors.New("the entry has another owner")

// anyVersion is the etag that matches every version of an entry.
const anyVersion = "*"

// deletionTries is the number of attempts to delete an entry that others change meanwhile.
const deletionTries = 5

// delete deletes the entry of a resource, which known describes as in the state; the entry may be deleted already. It
// fails with errKept for an entry that has another owner by now. Drift is deleted with the entry.
func (l Lifecycle) delete(ctx context.Context, id string, known Held) error {
	etag := known.Etag
	if etag == "" {
		etag = anyVersion
	}
	for try := 1; ; try++ {
		err := l.Entries.Delete(ctx, id, etag)
		if err == nil || errors.Is(err, dpsservice.ErrNotFound) {
			return nil
		}
		if !errors.Is(err, dpsservice.ErrPrecondition) || try == deletionTries {
			return l.Failure("delete", id, err)
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

// ownVersion reads an entry whose version differs from the state's. It fails if the entry may not be deleted, with
// errKept if it has another owner.
func (l Lifecycle) ownVersion(ctx context.Context, id string, known Held) (Held, error) {
	found, err := l.Fetch(ctx, id)
	if errors.Is(err, dpsservice.ErrNotFound) {
		return Held{}, err
	}
	if err != nil {
		return Held{}, l.Failure("delete", id, err)
	}
	return found, l.MayDelete(ctx, id, changeOf(found, known))
}

// rewritten returns the error of a deletion of an entry whose owner cannot be determined.
func (l Lifecycle) rewritten(id string) error {
	return fmt.Errorf("delete enrollment %q: it was rewritten at %s without a change, perhaps by another resource "+
		"that now manages it. Nothing was deleted. "+
		"hint: if another resource declares it, run `pulumi up` without targets, or remove this one from the state: "+
		"pulumi state delete '%s'; "+
		"if no other resource declares it, run `pulumi refresh` and delete it again", id, l.Host, l.URN)
}

// isLeftToOther reports whether an entry to delete is left to another resource of this run, and logs that. It fails if
// the other resource declares the entry but does not have it.
func (l Lifecycle) isLeftToOther(ctx context.Context, id string, known Owner) (bool, error) {
	other := l.Claims.OtherOwnerOf(known, ClaimOf(l.collection, id))
	switch {
	case other == nil:
		return false, nil
	case other.Holds:
		p.GetLogger(ctx).Infof("enrollment %q is kept for %s", id, other.URN)
		return true, nil
	}
	return false, fmt.Errorf("delete enrollment %q: %s", id, DeclaredElsewhere(other.URN))
}

// DeclaredElsewhere returns why an entry is not deleted that another resource declares without having it.
func DeclaredElsewhere(urn string) string {
	return urn + " declares it, but could not be created. Nothing was deleted. " +
		"hint: fix the error of its creation, then run `pulumi up` again"
}
