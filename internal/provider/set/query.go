package set

import (
	"context"
	"maps"
	"strings"

	"github.com/pulumi/pulumi-go-provider/infer"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

// withQueries completes the records of webhooks whose queries the service never returned, after an import: they are
// assumed to be those that the program gave last. Of an earlier manifest file only the hash is known, so a changed file
// makes all of them doubtful.
func withQueries(ctx context.Context, devices map[string]string, inputs EnrollmentSetArgs,
	d digester) map[string]string {
	unknown := map[string]string{} // the ids as the state spells them, by those in lower case
	for id, text := range devices {
		if parseRecord(text).webhook == unseen {
			unknown[strings.ToLower(id)] = id
		}
	}
	if len(unknown) == 0 {
		return devices
	}
	before, failures, err := infer.DefaultCheck[EnrollmentSetArgs](ctx, entry.OldInputs(ctx))
	if err != nil || len(failures) > 0 {
		return devices
	}
	believed := maps.Clone(devices)
	believe := func(id, digest string) {
		r := parseRecord(devices[id])
		r.webhook = digest
		believed[id] = r.String()
	}
	if before.Manifest != nil {
		for _, id := range unknown {
			if !sameSource(before, inputs) {
				believe(id, doubted)
			}
		}
		return believed
	}
	_, said, err := before.wanted(ctx)
	if err != nil {
		return devices
	}
	for _, want := range said {
		id, is := unknown[strings.ToLower(want.ID)]
		if address := entry.WebhookOf(want.Settings).WebhookURL; is && address != "" && !enrollment.IsMasked(address) {
			believe(id, d.sum("webhook", address))
		}
	}
	return believed
}
