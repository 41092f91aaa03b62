package set

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

const (
	// maxFaults bounds how many errors of a set are reported.
	maxFaults = 50
	// manyItems is the number of inline items from which on a manifest is advised: Pulumi's engine handles each item as
	// a separate value.
	manyItems = 2000
)

// sources are the properties that an EnrollmentSet takes its enrollments from.
var sources = []string{"items", "manifest", "manifestText"}

// Check reports every error of the inputs at once, those of a manifest by row.
func (EnrollmentSet) Check(
	ctx context.Context,
	req infer.CheckRequest,
) (infer.CheckResponse[EnrollmentSetArgs], error) {
	args, failures, err := infer.DefaultCheck[EnrollmentSetArgs](ctx, req.NewInputs)
	if err != nil {
		return infer.CheckResponse[EnrollmentSetArgs]{}, err
	}
	for i := range args.Items {
		args.Items[i].cleanKeys()
	}
	faults := args.defaults().faults("defaults.", time.Now())
	given, known := 0, true
	for _, name := range sources {
		value, exists := req.NewInputs.GetOk(name)
		if exists && !value.IsNull() {
			given++
		}
		known = known && !value.IsComputed()
	}
	known = known && !req.NewInputs.Get("idPrefix").IsComputed()
	checked := args
	if bad := enrollment.CheckIDPrefix("idPrefix", entry.Text(args.IDPrefix)); len(bad) > 0 {
		faults = append(faults, bad...)
		checked.IDPrefix = nil // its error is not repeated for every item
	}
	switch {
	case given != 1:
		faults = append(
			faults,
			enrollment.Fault{Path: "items", Message: "set exactly one of items, manifest and manifestText"},
		)
	case known:
		faults = append(faults, itemFaults(ctx, checked, unknownOf(req.NewInputs), time.Now())...)
	}
	if len(args.Items) > manyItems {
		p.GetLogger(ctx).
			Warningf("%d inline items slow down every operation by seconds: use a manifest, which the engine handles "+
				"as one value", len(args.Items))
	}
	return infer.CheckResponse[EnrollmentSetArgs]{
		Inputs:   args,
		Failures: entry.WithFaults(failures, req.NewInputs, distinct(faults)),
	}, nil
}

// distinct removes duplicates.
func distinct(faults []enrollment.Fault) []enrollment.Fault {
	seen := make(map[enrollment.Fault]bool, len(faults))
	return slices.DeleteFunc(faults, func(f enrollment.Fault) bool {
		was := seen[f]
		seen[f] = true
		return was
	})
}

// faults returns the errors of the defaults that do not depend on items.
func (d Defaults) faults(prefix string, now time.Time) []enrollment.Fault {
	own := Item{}.declared(d).Settings
	own.IotHubs, own.IotHubHostName = nil, nil
	faults := slices.DeleteFunc(entry.CheckSettings("", own, false, now), func(f enrollment.Fault) bool {
		return f.Path == "customAllocation" || f.Path == "iotHubs" // items may set what a policy needs
	})
	faults = append(faults, enrollment.CheckHubs("iotHubs", "", d.IotHubs)...)
	if d.IotHubHostName != nil {
		faults = append(faults, enrollment.CheckHost("iotHubHostName", *d.IotHubHostName)...)
	}
	for i, f := range faults {
		faults[i].Path = prefix + placeOf(f.Path).defaults
	}
	return faults
}

// unknownParts are the inputs of a set that are not completely known yet.
type unknownParts struct {
	defaults bool
	items    map[int]bool
}

func unknownOf(inputs property.Map) unknownParts {
	unknown := unknownParts{defaults: inputs.Get("defaults").HasComputed(), items: map[int]bool{}}
	if items := inputs.Get("items"); items.IsArray() {
		for i, item := range items.AsArray().All {
			unknown.items[i] = item.HasComputed()
		}
	}
	return unknown
}

// decides reports whether a fault of an item may disappear when all inputs are known: of such an item only a known id
// is checked.
func (u unknownParts) decides(f enrollment.Fault, index int, item Item) bool {
	if u.items[index] {
		return f.Path != "registrationId" || item.RegistrationID == ""
	}
	return u.defaults && slices.Contains(allocationNames, placeOf(f.Path).property())
}

// itemFaults returns the faults of every enrollment. A fault of an inline item has the path of the item's property, or
// else of the defaults'; a fault of a manifest has the manifest's path and names the row. Faults that depend on unknown
// values are left out.
func itemFaults(ctx context.Context, args EnrollmentSetArgs, unknown unknownParts, now time.Time) []enrollment.Fault {
	path, m, err := args.read(ctx)
	if rows := (rowFaults)(nil); errors.As(err, &rows) {
		faults := make([]enrollment.Fault, len(rows))
		for i, row := range rows {
			faults[i] = enrollment.Fault{Path: path, Message: row}
		}
		return faults
	}
	if err != nil {
		return []enrollment.Fault{{Path: path, Message: err.Error()}}
	}
	defaults := args.defaults()
	if unknown.defaults {
		defaults = Defaults{}
	}
	c := checker{
		path:     path,
		manifest: m,
		seen:     map[string]int{},
		prefix:   entry.Text(args.IDPrefix),
		defaults: defaults,
		unknown:  unknown,
		now:      now,
		taken:    declareAll(ctx, entry.Text(args.IDPrefix), m.items),
	}
	var faults []enrollment.Fault
	for i := range m.items {
		if faults = append(faults, c.item(i)...); len(faults) >= maxFaults {
			return append(
				faults[:maxFaults],
				enrollment.Fault{Path: path, Message: "only the first errors are shown: there may be more"},
			)
		}
	}
	return faults
}

// checker checks the items of a set one after another.
type checker struct {
	manifest
	path     string
	seen     map[string]int // the items before, by their ids in lower case
	prefix   string
	defaults Defaults
	unknown  unknownParts
	now      time.Time
	taken    map[entry.ClaimKey]string // the URNs of other resources of the stack that declare an id
	reported int                       // how many errors of the manifest's rows are reported
}

// item returns the faults of the next item, those of reading its row included.
func (c *checker) item(i int) (faults []enrollment.Fault) {
	first := c.reported
	for c.reported < len(c.manifest.faults) && c.manifest.faults[c.reported].item <= i {
		faults = append(faults, enrollment.Fault{Path: c.path, Message: c.describe(c.manifest.faults[c.reported])})
		c.reported++
	}
	unread := c.manifest.faults[first:c.reported]
	if slices.ContainsFunc(unread, func(f rowFault) bool { return f.column == "" }) {
		return faults
	}
	item := c.items[i]
	for _, f := range c.faultsOf(i, item) {
		property := placeOf(f.Path).property()
		isUnread := slices.ContainsFunc(unread, func(u rowFault) bool { return u.column == property })
		if !isUnread && !c.unknown.decides(f, i, item) {
			faults = append(faults, c.place(f, i))
		}
	}
	return faults
}

// declareAll declares the ids of the items, and returns the URNs of other resources of the stack that declare one of
// them.
func declareAll(ctx context.Context, prefix string, items []Item) map[entry.ClaimKey]string {
	keys := make([]entry.ClaimKey, 0, len(items))
	for _, item := range items {
		if item.RegistrationID != "" && len(item.RegistrationID) <= entry.LongestID {
			keys = append(keys, entry.ClaimOf(entry.IndividualsName, prefix+item.RegistrationID))
		}
	}
	return entry.ClaimsOf(ctx).Declare(string(entry.URN(ctx)), keys)
}

// faultsOf returns the faults of one item, by their paths in an enrollment.
func (c *checker) faultsOf(index int, item Item) []enrollment.Fault {
	whole := c.prefix + item.RegistrationID
	if item.RegistrationID == "" {
		whole = ""
	}
	faults := enrollment.CheckRegistrationID("registrationId", whole)
	if other, is := c.taken[entry.ClaimOf(entry.IndividualsName, whole)]; is {
		faults = append(faults, enrollment.Fault{Path: "registrationId", Message: entry.DeclaredTwice(whole, other)})
	}
	id := strings.ToLower(item.RegistrationID)
	if first, twice := c.seen[id]; twice && id != "" {
		at := fmt.Sprintf("as item %d", first+1)
		if c.lines != nil {
			at = fmt.Sprintf("on line %d", c.lines[first])
		}
		faults = append(
			faults,
			enrollment.Fault{
				Path:    "registrationId",
				Message: fmt.Sprintf("%s is a duplicate, first %s", enrollment.Quote(item.RegistrationID), at),
			},
		)
	} else {
		c.seen[id] = index
	}
	if item.DeviceID != nil {
		faults = append(faults, enrollment.CheckDeviceID("deviceId", *item.DeviceID)...)
	}
	return append(faults, entry.CheckSettings(whole, item.declared(c.defaults).Settings, false, c.now)...)
}

// place changes the path of an enrollment's fault to that of the item, the defaults or the manifest that causes it.
func (c *checker) place(f enrollment.Fault, index int) enrollment.Fault {
	item, place := c.items[index], placeOf(f.Path)
	said := []string{place.property()}
	if slices.Contains(allocationNames, said[0]) {
		said = allocationNames
	}
	own := place.item
	switch {
	case own == "":
		own = "registrationId" // the attestation as a whole
	case place.defaults != "" && !item.has(said...):
		return enrollment.Fault{Path: "defaults." + place.defaults, Message: f.Message}
	}
	if c.path == "items" {
		return enrollment.Fault{Path: itemPath(index) + "." + own, Message: f.Message}
	}
	return enrollment.Fault{Path: c.path, Message: c.describe(rowFault{index, own, c.lines[index], f.Message})}
}
