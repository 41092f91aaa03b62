package provider

import (
	"context"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
	"evenkeel/internal/provider/entry"
)

// spelledAs returns a with the spelling of other wherever both mean the same, and with the key of other unless a is a
// link by a managed identity, which has none.
func (a LinkedHubArgs) spelledAs(other LinkedHubArgs) LinkedHubArgs {
	if a.identity() == "" {
		a.Key = other.Key
	}
	if a.identity() == other.identity() {
		a.AuthenticationType = other.AuthenticationType
	}
	if a.IdentityID != nil && strings.EqualFold(*a.IdentityID, entry.Text(other.IdentityID)) {
		a.IdentityID = other.IdentityID
	}
	if strings.EqualFold(a.ProvisioningServiceID, other.ProvisioningServiceID) {
		a.ProvisioningServiceID = other.ProvisioningServiceID
	}
	if domain.SameHost(a.HubHostName, other.HubHostName) {
		a.HubHostName = other.HubHostName
	}
	if a.PolicyName != nil && strings.EqualFold(*a.PolicyName, entry.Text(other.PolicyName)) {
		a.PolicyName = other.PolicyName
	}
	if hublink.SameLocation(a.Location, other.Location) {
		a.Location = other.Location
	}
	if hublink.SameWeight(a.AllocationWeight, other.AllocationWeight) {
		a.AllocationWeight = other.AllocationWeight
	}
	if hublink.SameApply(a.ApplyAllocationPolicy, other.ApplyAllocationPolicy) {
		a.ApplyAllocationPolicy = other.ApplyAllocationPolicy
	}
	return a
}

// Check reports every error of the inputs at once.
func (LinkedHub) Check(ctx context.Context, req infer.CheckRequest) (infer.CheckResponse[LinkedHubArgs], error) {
	args, failures, err := infer.DefaultCheck[LinkedHubArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[LinkedHubArgs]{}, err
	}
	entry.CleanKey(&args.Key)
	faults := enrollment.CheckServiceID("provisioningServiceId", args.ProvisioningServiceID)
	faults = append(faults, enrollment.CheckHost("hubHostName", args.HubHostName)...)
	faults = append(faults, args.authenticationFaults(req)...)
	if strings.TrimSpace(args.Location) == "" {
		faults = append(faults, enrollment.Fault{Path: "location",
			Message: "it is empty: give the location of the hub, such as westeurope"})
	}
	if args.AllocationWeight != nil {
		faults = append(faults, enrollment.CheckWeight("allocationWeight", *args.AllocationWeight)...)
	}
	if args.ProvisioningServiceID != "" && args.HubHostName != "" {
		faults = append(faults, entry.DeclareOne(ctx, "hubHostName", linksName,
			linkID(args.ProvisioningServiceID, domain.ClassicHost(args.HubHostName)))...)
	}
	return infer.CheckResponse[LinkedHubArgs]{Inputs: args, Failures: entry.WithFaults(failures, req.NewInputs,
		faults)}, nil
}

// Diff compares the inputs with the link in the state. The key of an imported link is unknown: then a key counts as
// changed only when it differs from the previous inputs. An empty text is a value that is not known yet, which
// addUnknown handles.
func (LinkedHub) Diff(ctx context.Context, req infer.DiffRequest[LinkedHubArgs, LinkedHubState]) (infer.DiffResponse,
	error) {
	response := infer.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	want, known := req.Inputs, req.State.LinkedHubArgs
	spelled, isReplaced := known.spelledAs(want), false
	before := known.Key
	if before == nil {
		before = oldKey(ctx)
	}
	for _, property := range []struct {
		name     string
		changed  bool
		replaces bool
	}{
		{"provisioningServiceId", want.ProvisioningServiceID != "" &&
			spelled.ProvisioningServiceID != want.ProvisioningServiceID, true},
		// Another form of the name is another link of the same hub: devices get the form that is linked.
		{"hubHostName", want.HubHostName != "" && !strings.EqualFold(known.HubHostName, want.HubHostName), true},
		{"authenticationType", known.changesAuthentication(want), false},
		{"identityId", differs(known.IdentityID, want.IdentityID), false},
		{"policyName", differs(known.PolicyName, want.PolicyName), false},
		{"location", want.Location != "" && spelled.Location != want.Location, false},
		{"allocationWeight", !hublink.SameWeight(known.AllocationWeight, want.AllocationWeight), false},
		{"applyAllocationPolicy", !hublink.SameApply(known.ApplyAllocationPolicy, want.ApplyAllocationPolicy), false},
		{"key", want.Key != nil && before != nil && *want.Key != *before, false},
	} {
		kind := p.Update
		if property.replaces {
			kind = p.UpdateReplace
		}
		if property.changed {
			response.DetailedDiff[property.name] = p.PropertyDiff{Kind: kind, InputDiff: true}
			isReplaced = isReplaced || property.replaces && known.claim() != want.claim()
		}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	// The same link is deleted before its replacement is created, also for a replacement by replaceOnChanges.
	if response.DeleteBeforeReplace = !isReplaced; !isReplaced {
		entry.ClaimsOf(ctx).Keep(entry.Owner{URN: string(entry.URN(ctx)), Instance: entry.Text(req.State.Instance)},
			slices.Values([]entry.ClaimKey{known.claim()}))
	}
	return response, nil
}

// oldKey returns the key of the last operation's inputs, or nil.
func oldKey(ctx context.Context) *string {
	value := entry.OldInputs(ctx).Get("key")
	if !value.IsString() {
		return nil
	}
	key := value.AsString()
	return &key
}
