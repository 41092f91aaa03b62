package provider

import (
	"context"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
)

// diff compares what is wanted with the state.
func diff(ctx context.Context, k kind, want declared, known held) p.DiffResponse {
	response := p.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	isReplaced := false
	replace := func(path string) {
		isReplaced = true
		response.DetailedDiff[path] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
	}
	if !sameID(want.ID, known.ID) {
		replace(k.idName)
	}
	host := infer.GetConfig[*Config](ctx).host()
	isMoved := host != "" && known.ServiceHost != "" && !strings.EqualFold(host, known.ServiceHost)
	if isMoved {
		replace("serviceHost")
	}
	for _, f := range changes(want, known) {
		if f.replaces {
			replace(f.path)
		} else {
			response.DetailedDiff[f.path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	if isAnotherQuery(ctx, webhookOf(want.Settings).WebhookURL, webhookOf(known.Settings).WebhookURL) {
		response.DetailedDiff[webhookPath] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	// A replacement with the same id comes after the deletion, also one that the program asks for by replaceOnChanges.
	response.DeleteBeforeReplace = sameID(want.ID, known.ID) && !isMoved
	if !isReplaced {
		claimsFrom(ctx).keep(owner{string(urnFrom(ctx)), text(known.Instance)}, slices.Values([]claimKey{claimOf(k.collection, known.ID)}))
	}
	return response
}

// isAnotherQuery reports whether the program gives a webhook another query than before, where only the service knows the one in force: an
// import tells it masked, so that any query agrees with it.
func isAnotherQuery(ctx context.Context, want, known string) bool {
	custom := oldInputs(ctx).Get("customAllocation")
	if !enrollment.IsMasked(known) || !custom.IsMap() || !custom.AsMap().Get("webhookUrl").IsString() {
		return false
	}
	before := custom.AsMap().Get("webhookUrl").AsString()
	return !enrollment.IsMasked(before) && before != want
}

// identities are the properties of which another value is another object.
var identities = map[string]bool{"registrationId": true, "enrollmentGroupId": true, "provisioningServiceId": true, "hubHostName": true}

// addUnknown makes every property that holds an unknown value part of a diff: typed values cannot tell unknown from empty. Of an attestation
// of which nothing is known, an absent one's kind is no reason to replace.
func addUnknown(req p.DiffRequest, response *p.DiffResponse) {
	if req.Inputs.Get(attestationPath).IsComputed() {
		delete(response.DetailedDiff, attestationPath)
		response.DeleteBeforeReplace = false
	}
	for name, value := range req.Inputs.All {
		if !value.HasComputed() || touches(response.DetailedDiff, name) {
			continue
		}
		if response.DetailedDiff == nil {
			response.DetailedDiff = map[string]p.PropertyDiff{}
		}
		kind := p.Update
		if identities[name] {
			kind = p.UpdateReplace
		}
		response.DetailedDiff[name] = p.PropertyDiff{Kind: kind, InputDiff: true}
		response.HasChanges = true
	}
}

func touches(diff map[string]p.PropertyDiff, name string) bool {
	for path := range diff {
		if isWithin(path, name) {
			return true
		}
	}
	return false
}
