package set

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi-go-provider/infer/types"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/asset"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

// manifestMark begins the part of an id that is the path of a manifest. No registration id begins with it.
const manifestMark = "/" + collectionName + "/@"

// manifestOf returns the host and the path of an id that names a manifest: {service host}/enrollmentSets/@{path}. Such
// an id is also that of the imported resource, so that the option `import` of a program imports it only once.
func manifestOf(id string) (host, path string, is bool) {
	host, path, is = strings.Cut(id, manifestMark)
	return strings.ToLower(host), path, is && host != "" && path != ""
}

// hostOf returns the host of a set's id.
func hostOf(id string) (string, error) {
	if host, _, is := manifestOf(id); is {
		return host, nil
	}
	host, _, err := entry.ParseID(id, collectionName)
	return host, err
}

// importManifest makes a set of the enrollments that a manifest lists. It compares them with the service by a query of
// all enrollments, and reads one by one only those whose keys the manifest gives: the query does not return keys, and a
// set keeps the keys that its manifest leaves out.
func importManifest(ctx context.Context, id, host, path string) (
	infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState], error) {
	var response infer.ReadResponse[EnrollmentSetArgs, EnrollmentSetState]
	file, err := asset.FromPath(path)
	if err != nil {
		return response, fmt.Errorf("import %s: read the manifest: %w", id, err)
	}
	args := EnrollmentSetArgs{Manifest: &types.AssetOrArchive{Asset: file}}
	_, want, err := args.wanted(ctx)
	if err != nil {
		return response, fmt.Errorf("import %s: %w", id, err)
	}
	run, key, err := beginImport(ctx, id, host)
	if err != nil {
		return response, err
	}
	err = run.withIssuance(func() error { return run.adoptAll(ctx, id, want) })
	if err != nil {
		return response, err
	}
	response.ID, response.Inputs = id, args
	response.State = EnrollmentSetState{EnrollmentSetArgs: args, ServiceHost: run.Host, Devices: run.devices,
		DigestKey: key}
	return response, nil
}

// adoptAll records what the service holds of the declared enrollments, all of which must exist.
func (r *run) adoptAll(ctx context.Context, id string, want []entry.Declared) error {
	var keyed []string
	given := make(map[string]bool, len(want))
	for _, w := range want {
		if faults := enrollment.CheckRegistrationID("registrationId", w.ID); len(faults) > 0 {
			return fmt.Errorf("import %s: %w", id, entry.JoinFaults(faults))
		}
		if entry.GivenKeys(w.Attestation) != (dpsservice.SymmetricKey{}) {
			given[strings.ToLower(w.ID)] = true
			keyed = append(keyed, w.ID)
		}
	}
	ids := idsOf(want)
	if err := r.survey(ctx, ids, func(name string, found dpsservice.Enrollment) {
		if given[strings.ToLower(name)] {
			return
		}
		held := entry.FromService(r.Host, found)
		now := r.reread(held, record{})
		if now.kind == dpsservice.SymmetricKeyAttestation {
			now.primary, now.secondary = unread, unread
		}
		r.note(held.ID, now)
	}); err != nil {
		return err
	}
	if err := r.readAll(ctx, keyed, func(_ string, found entry.Held, _ record) {
		r.note(found.ID, r.reread(found, record{}))
	}); err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(ids),
		func(id string) bool { return r.spelled[strings.ToLower(id)] != "" })
	if len(missing) > 0 {
		return fmt.Errorf("import %s: %s: %w", id, counted("of them do not exist", missing), dpsservice.ErrNotFound)
	}
	return nil
}
