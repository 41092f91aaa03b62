package set

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"evenkeel/dpsservice"
	"evenkeel/internal/provider/entry"
)

// own returns the enrollments to remove that this set still owns. The others leave the set and stay at the service, or
// are failures if their owner cannot be determined.
func (r *run) own(ctx context.Context, ids []string) []string {
	ids = r.unclaimed(ctx, ids)
	versioned := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !r.known(id).isSettled() })
	if len(versioned) == 0 {
		return ids
	}
	var moved []string
	err := r.survey(ctx, versioned, func(id string, found dpsservice.Enrollment) {
		if found.Etag != r.known(id).etag {
			moved = append(moved, id)
		}
	})
	others := map[string]bool{}
	if err == nil {
		err = r.readAll(ctx, moved, func(id string, found entry.Held, known record) {
			others[id] = r.isLost(ctx, id, found, known)
		})
	}
	if err != nil {
		r.fail(ctx, err)
		return nil // without an answer none may be deleted
	}
	return slices.DeleteFunc(ids, func(id string) bool { return others[id] })
}

// isLost reports whether this set must not delete an enrollment whose version at the service differs from the state's.
// An enrollment of another owner leaves the set; one whose owner cannot be determined is a failure.
func (r *run) isLost(ctx context.Context, id string, found entry.Held, known record) bool {
	err := r.of(id).MayDelete(ctx, id, r.changeOf(found, known))
	switch {
	case err == nil:
		return false
	case errors.Is(err, entry.ErrKept):
		r.forget(id)
	default:
		r.fail(ctx, err)
	}
	return true
}

// unclaimed returns the enrollments on which no other resource of this run has a claim. Those that another resource
// holds leave the set; those that another one declares but does not have are failures.
func (r *run) unclaimed(ctx context.Context, ids []string) []string {
	var free []string
	for _, id := range ids {
		switch other := r.Claims.OtherOwnerOf(r.owner, r.key(id)); {
		case other == nil:
			free = append(free, id)
		case other.Holds:
			r.forget(id)
			r.keep(id)
		default:
			r.fail(ctx, fmt.Errorf("delete enrollment %q: %s", id, entry.DeclaredElsewhere(other.URN)))
		}
	}
	return free
}

func (r *run) keep(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, id)
	r.removed++
}

// refuseUnkeyed fails a creation of the set, before it changes anything, if enrollments exist that it could not take
// over: those without symmetric keys, which do not show which resource created them. Otherwise a set that replaces
// another one would remain incomplete.
func (r *run) refuseUnkeyed(ctx context.Context, want []entry.Declared) error {
	var unkeyed []string
	for _, w := range want {
		if entry.AttestationType(w.Attestation) != dpsservice.SymmetricKeyAttestation {
			unkeyed = append(unkeyed, w.ID)
		}
	}
	if len(unkeyed) == 0 {
		return nil
	}
	var there []string
	if err := r.survey(ctx, unkeyed, func(id string, _ dpsservice.Enrollment) {
		there = append(there, id)
	}); err != nil {
		return err
	}
	if len(there) == 0 {
		return nil
	}
	slices.Sort(there)
	return fmt.Errorf("create enrollments: %s at %s, and nothing shows that this set created them. Nothing was "+
		"changed. "+
		"hint: if another resource declares them, remove them there first; if this set is to be replaced, run "+
		"`pulumi state untaint '%s'`, or set its option "+
		"deleteBeforeReplace; if they were created elsewhere or by an interrupted run, import them: "+
		"pulumi import azure-dps:index:EnrollmentSet %s %s/enrollments/%s --generate-code=false",
		counted("exist already", there), r.Host, r.URN, r.Name, r.Host, strings.Join(there, ","))
}
