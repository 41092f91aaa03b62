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

// beginImport begins the import of a set at a service, and returns the key of its digests too.
func beginImport(ctx context.Context, id, host string) (*run, string, error) {
	key, err := sas.NewKey(nil)
	if err != nil {
		return nil, "", err
	}
	run, err := begin(ctx, key, nil)
	if err != nil {
		return nil, "", err
	}
	return run, key, run.requireHost(id, host)
}

// withIssuance calls read with the api-version that has certificate policies, and again with the common one if the
// service does not serve it.
func (r *run) withIssuance(read func() error) error {
	older := r.Entries
	r.Entries = older.WithIssuance()
	err := read()
	if entry.IsUnsupported(err) {
		r.Entries = older
		err = read()
	}
	return err
}

// importEnrollments reads the enrollments that an import names, by ids or by a prefix, as inline items. Keys are not
// written into them.
func importEnrollments(ctx context.Context, id string) (infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState],
	error) {
	var response infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState]
	host, names, err := entry.ParseID(id, entry.IndividualsName)
	if err != nil {
		return response, err
	}
	run, key, err := beginImport(ctx, id, host)
	if err != nil {
		return response, err
	}
	var ids []string
	var found []entry.Held
	err = run.withIssuance(func() (err error) {
		ids, found, err = run.readNamed(ctx, names)
		return err
	})
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
