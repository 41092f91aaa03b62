package entry

import (
	"context"
	"errors"
	"fmt"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
)

// Cleanup is the setting of enrollments, groups and sets for their deletion. The service does not know it, so changing
// it does not change the entry, and Delete uses the last inputs.
type Cleanup struct {
	DeleteRegistrations *bool `pulumi:"deleteRegistrations,optional"`
}

// Annotate describes the property in the schema.
func (c *Cleanup) Annotate(an infer.Annotator) {
	an.Describe(&c.DeleteRegistrations,
		"Whether deleting an enrollment, also one of a set, deletes the registration records of its devices, after "+
			"which the service does not know them; "+
			"the default is false. Their identities at the hubs stay. The setting takes effect at deletion only, and "+
			"changing it changes nothing at the service.")
}

// ForgetsRegistrations reports whether a deletion also deletes the registration records.
func (c Cleanup) ForgetsRegistrations(ctx context.Context) bool {
	if old := OldInputs(ctx).Get("deleteRegistrations"); old.IsBool() {
		return old.AsBool()
	}
	return IsOn(c.DeleteRegistrations)
}

// deleteEntry deletes the entry of a resource, which known describes as in the state. An entry that another resource
// owns by now stays. So does an entry whose creation was not confirmed if it differs from what was sent: it has another
// owner. With forget, the registration records are deleted first, so that a failure leaves the entry, by which the next
// attempt finds them, and again afterwards: a device may have registered in between.
func deleteEntry(ctx context.Context, k Kind, id string, known Held, forget bool) error {
	l, err := Begin(ctx, k)
	if err != nil {
		return err
	}
	l = l.For(known.Settings)
	entry, err := l.own(id)
	if err != nil {
		return err
	}
	done, err := l.Claims.Lock(ctx, ClaimOf(k.collection, entry))
	if err != nil {
		return l.Failure("delete", entry, err)
	}
	defer done()
	if kept, err := l.isLeftToOther(ctx, entry, Owner{l.URN, Text(known.Instance)}); kept || err != nil {
		return err
	}
	if known.isUnconfirmed() {
		found, ours, err := l.confirm(ctx, known)
		if errors.Is(err, dpsservice.ErrNotFound) || err == nil && !ours {
			return nil
		} else if err != nil {
			return l.Failure("delete", entry, err)
		}
		known = found
	}
	err = l.deleteKnown(ctx, entry, known, forget)
	if errors.Is(err, ErrKept) {
		return nil
	}
	return err
}

func (l Lifecycle) deleteKnown(ctx context.Context, entry string, known Held, forget bool) error {
	if !forget {
		return l.delete(ctx, entry, known)
	}
	current, err := l.Entries.Get(ctx, entry) // the owner must be known before the records are deleted
	switch {
	case errors.Is(err, dpsservice.ErrNotFound):
	case err != nil:
		return l.Failure("delete", entry, err)
	case known.Etag != "" && current.Etag != known.Etag:
		if known, err = l.ownVersion(ctx, entry, known); err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
			return err
		}
	}
	if err := l.DropRecords(ctx, entry); err != nil {
		return err
	}
	if err := l.delete(ctx, entry, known); err != nil {
		return err
	}
	return l.DropRecords(ctx, entry)
}

// DropRecords deletes the registration records of the entry's devices, if there are any.
func (l Lifecycle) DropRecords(ctx context.Context, entry string) error {
	ids := []string{entry}
	if l.isGroup {
		ids = nil
		for record, err := range l.client.Registrations(ctx, entry, 0) {
			if errors.Is(err, dpsservice.ErrNotFound) {
				break // a service that no longer knows the group
			}
			if err != nil {
				return l.Failure("list the registrations of", entry, err)
			}
			ids = append(ids, record.RegistrationID)
		}
	}
	for i, id := range ids {
		if err := l.client.DeleteRegistration(ctx, id, ""); err != nil && !errors.Is(err, dpsservice.ErrNotFound) {
			return l.Failure(fmt.Sprintf("delete registration %q (%d of %d) of", id, i+1, len(ids)), entry, err)
		}
	}
	return nil
}
