package set

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/sas"
	"evenkeel/internal/provider/entry"
)

// importEnrollments reads the enrollments that an import names, by ids or by a prefix, as inline items. Keys are not
// written into them.
func importEnrollments(ctx context.Context, id string) (infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState],
	error) {
	var response infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState]
	host, names, err := entry.ParseID(id, entry.IndividualsName)
	if err != nil {
		return response, err
	}
	key, err := sas.NewKey(nil)
	if err != nil {
		return response, err
	}
	run, err := begin(ctx, key, nil)
	if err != nil {
		return response, err
	}
	if host != run.Host {
		return response, fmt.Errorf("%s is at %s, but the provider is configured for %s", id, host, run.Host)
	}
	older := run.Entries
	run.Entries = older.WithIssuance()
	ids, found, err := run.readNamed(ctx, names)
	if entry.IsUnsupported(err) {
		run.Entries = older
		ids, found, err = run.readNamed(ctx, names)
	}
	if err != nil {
		return response, err
	}
	if len(ids) == 0 {
		return response, fmt.Errorf("import %s: no enrollment id has this prefix: %w", id, dpsservice.ErrNotFound)
	}
	if missing := slices.DeleteFunc(
		ids, func(id string) bool { return run.spelled[strings.ToLower(id)] != "" }); len(missing) > 0 {
		return response, fmt.Errorf("import %s: %s: %w", id, counted("of them do not exist", missing),
			dpsservice.ErrNotFound)
	}
	args, err := importedArgs(found)
	if err != nil {
		return response, fmt.Errorf("import %s: %w", id, err)
	}
	response.ID, response.Inputs = entry.ResourceID(run.Host, collectionName, run.Name), args
	response.State = EnrollmentSetState{EnrollmentSetArgs: args, ServiceHost: run.Host, Devices: run.devices,
		DigestKey: key}
	return response, nil
}

// readNamed returns the ids that an import names, and the enrollments that exist, and records these.
func (r *run) readNamed(ctx context.Context, names string) (ids []string, found []entry.Held, err error) {
	if ids, err = r.named(ctx, names); err != nil {
		return nil, nil, err
	}
	err = r.readAll(ctx, ids, func(_ string, one entry.Held, _ record) {
		r.note(one.ID, r.reread(one, record{}))
		found = append(found, one)
	})
	return ids, found, err
}

// named returns the ids that an import names: a list, or those of the service that begin with a prefix.
func (r *run) named(ctx context.Context, names string) ([]string, error) {
	prefix, is := strings.CutSuffix(names, "*")
	if !is {
		return listed(names)
	}
	var ids []string
	for found, err := range r.Entries.Query(ctx, allEnrollments, queryPage) {
		if err != nil {
			return nil, r.Failure("import", names, err)
		}
		if strings.HasPrefix(strings.ToLower(found.ID), strings.ToLower(prefix)) {
			ids = append(ids, found.ID)
		}
	}
	return ids, nil
}

// listed reads a list of ids. A duplicate counts once: letter case has no meaning.
func listed(names string) ([]string, error) {
	var ids []string
	known := map[string]bool{}
	for id := range strings.SplitSeq(names, ",") {
		id = strings.TrimSpace(id)
		if faults := enrollment.CheckRegistrationID("import "+names, id); len(faults) > 0 {
			return nil, entry.JoinFaults(faults)
		}
		if lower := strings.ToLower(id); !known[lower] {
			ids, known[lower] = append(ids, id), true
		}
	}
	return ids, nil
}

// importedArgs converts enrollments to items without keys, in the order of their ids.
func importedArgs(found []entry.Held) (EnrollmentSetArgs, error) {
	slices.SortFunc(found, func(a, b entry.Held) int { return strings.Compare(a.ID, b.ID) })
	var args EnrollmentSetArgs
	for _, h := range found {
		if entry.SigningPair(h.Attestation) != nil {
			return args, fmt.Errorf(
				"%q has signing certificates, which a set cannot declare: import it as an IndividualEnrollment", h.ID)
		}
		args.Items = append(args.Items, itemOf(h.Declared))
	}
	return args, nil
}
