package entry

import (
	"context"
	"slices"
	"strings"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/internal/azure/enrollment"
)

// diff compares what is wanted with the state.
func diff(ctx context.Context, k Kind, want Declared, known Held) p.DiffResponse {
	response := p.DiffResponse{DetailedDiff: map[string]p.PropertyDiff{}}
	isReplaced := false
	replace := func(path string) {
		isReplaced = true
		response.DetailedDiff[path] = p.PropertyDiff{Kind: p.UpdateReplace, InputDiff: true}
	}
	if !sameID(want.ID, known.ID) {
		replace(k.idName)
	}
	host := Connect(ctx).Host
	isMoved := host != "" && known.ServiceHost != "" && !strings.EqualFold(host, known.ServiceHost)
	if isMoved {
		replace("serviceHost")
	}
	for _, f := range Changes(want, known) {
		if f.replaces {
			replace(f.Path)
		} else {
			response.DetailedDiff[f.Path] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
		}
	}
	if isAnotherQuery(ctx, WebhookOf(want.Settings).WebhookURL, WebhookOf(known.Settings).WebhookURL) {
		response.DetailedDiff[webhookPath] = p.PropertyDiff{Kind: p.Update, InputDiff: true}
	}
	response.HasChanges = len(response.DetailedDiff) > 0
	// An entry with the same id is deleted before its replacement is created, also for a replacement by
	// replaceOnChanges.
	response.DeleteBeforeReplace = sameID(want.ID, known.ID) && !isMoved
	if !isReplaced {
		ClaimsOf(ctx).Keep(Owner{string(URN(ctx)), Text(known.Instance)},
			slices.Values([]ClaimKey{ClaimOf(k.collection, known.ID)}))
	}
	return response
}

// isAnotherQuery reports whether the program changed the query of a webhook whose current query only the service knows:
// an import returns it masked, so that any query agrees with it.
func isAnotherQuery(ctx context.Context, want, known string) bool {
	custom := OldInputs(ctx).Get("customAllocation")
	if !enrollment.IsMasked(known) || !custom.IsMap() || !custom.AsMap().Get("webhookUrl").IsString() {
		return false
	}
	before := custom.AsMap().Get("webhookUrl").AsString()
	return !enrollment.IsMasked(before) && before != want
}
