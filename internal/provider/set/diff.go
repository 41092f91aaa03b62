package set

import (
	"context"
	"errors"
	"evenkeel/internal/provider/entry"
	"fmt"
	"iter"
	"maps"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
)

// Diff compares each enrollment with what the service holds, as the state knows it. Each inline item has its own path;
// a manifest is one property. A message counts the devices.
func (EnrollmentSet) Diff(ctx context.Context, req infer.DiffRequest[EnrollmentSetArgs,
	EnrollmentSetState]) (infer.DiffResponse, error) {
	diff, isMoved := map[string]p.PropertyDiff{}, false
	if host := entry.Connect(ctx).Host; host != "" && !strings.EqualFold(host, req.State.ServiceHost) {
		diff["serviceHost"], isMoved = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}, true
	}
	if !entry.IsPartlyUnknown(ctx) {
		devices, err := devicesDiff(ctx, req.Inputs, req.State)
		if err != nil {
			return infer.DiffResponse{}, err
		}
		maps.Copy(diff, devices)
	}
	if !isMoved {
		entry.ClaimsOf(ctx).Keep(entry.Owner{URN: string(entry.URN(ctx)), Instance: req.State.DigestKey},
			heldKeys(req.State.Devices))
	}
	// A replacement has the same ids, so the set is deleted first.
	return infer.DiffResponse{HasChanges: len(diff) > 0, DetailedDiff: diff, DeleteBeforeReplace: !isMoved}, nil
}

// heldKeys returns the claims of a set on the enrollments that exist at the service according to its records.
func heldKeys(devices map[string]string) iter.Seq[entry.ClaimKey] {
	return func(yield func(entry.ClaimKey) bool) {
		for id, text := range devices {
			if parseRecord(text).isCreated() && !yield(entry.ClaimOf(entry.IndividualsName, id)) {
				return
			}
		}
	}
}

func devicesDiff(ctx context.Context, inputs EnrollmentSetArgs, state EnrollmentSetState) (map[string]p.PropertyDiff,
	error) {
	source, want, err := inputs.wanted(ctx)
	if errors.Is(err, errElided) { // a refresh, which has no Check before
		return elidedDiff(inputs, state), nil
	}
	if err != nil {
		return nil, err
	}
	digests, err := newDigester(state.DigestKey)
	if err != nil {
		return nil, err
	}
	devices := withQueries(ctx, state.Devices, inputs, digests)
	plan := planFor(want, devices, digests)
	if plan.isEmpty() {
		if len(state.Drifted) > 0 { // the drift was undone, or the program now declares it: an update clears the record
			return map[string]p.PropertyDiff{"drifted": {Kind: p.Delete}}, nil
		}
		return nil, nil
	}
	p.GetLogger(ctx).Info(plan.String())
	diff := map[string]p.PropertyDiff{}
	plan, renamed := plan.withoutRenamed(entry.Text(state.IDPrefix), entry.Text(inputs.IDPrefix), devices, digests)
	if renamed {
		diff["idPrefix"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	switch {
	case plan.isEmpty():
	case source == "items":
		maps.Copy(diff, newDeviceDiff(state.EnrollmentSetArgs, inputs).paths(plan))
	default:
		maps.Copy(diff, manifestDiff(source, plan, state.EnrollmentSetArgs, inputs))
	}
	return diff, nil
}

// manifestDiff names the changed defaults or, if more than those differ, the manifest as a whole.
func manifestDiff(source string, plan plan, old, new EnrollmentSetArgs) map[string]p.PropertyDiff {
	diff := map[string]p.PropertyDiff{}
	if len(plan.changed) > 0 {
		for _, path := range defaultsPaths(old.defaults(), new.defaults()) {
			diff[path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	if len(diff) == 0 || !sameSource(new, old) {
		diff[source] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	return diff
}

// sameSource reports whether both have the same manifest.
func sameSource(a, b EnrollmentSetArgs) bool {
	return entry.Text(a.ManifestText) == entry.Text(b.ManifestText) && manifestHash(a) == manifestHash(b)
}

func manifestHash(a EnrollmentSetArgs) string {
	if a.Manifest == nil || a.Manifest.Asset == nil {
		return ""
	}
	return a.Manifest.Asset.Hash
}

// elidedDiff compares what is known without the manifest: its hash, the defaults, and the devices that a refresh found
// changed.
func elidedDiff(inputs EnrollmentSetArgs, state EnrollmentSetState) map[string]p.PropertyDiff {
	diff := map[string]p.PropertyDiff{}
	if !sameSource(inputs, state.EnrollmentSetArgs) {
		diff["manifest"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	if !strings.EqualFold(entry.Text(inputs.IDPrefix), entry.Text(state.IDPrefix)) {
		diff["idPrefix"] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	for _, path := range defaultsPaths(state.defaults(), inputs.defaults()) {
		diff[path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	for id := range state.Drifted {
		kind := p.Update
		if _, exists := state.Devices[id]; !exists {
			kind = p.Add
		}
		diff[fmt.Sprintf("devices[%q]", id)] = p.PropertyDiff{Kind: kind}
	}
	return diff
}
