package set

import (
	"evenkeel/internal/provider/entry"
	"fmt"
	"slices"
	"strings"
)

// plan lists the enrollments of a set to add, change and remove.
type plan struct {
	added, changed []entry.Declared
	removed        []string
	// unmoved counts the unchanged ones.
	unmoved int
}

// planFor compares the declared enrollments with the records of existing ones. An enrollment that was deleted, or of
// which it is unknown whether it was created, has to be added.
func planFor(want []entry.Declared, devices map[string]string, d digester) plan {
	var plan plan
	known := make(map[string]string, len(devices))
	for id, text := range devices {
		known[strings.ToLower(id)] = text
	}
	wanted := make(map[string]bool, len(want))
	for _, w := range want {
		id := strings.ToLower(w.ID)
		wanted[id] = true
		text, exists := known[id]
		switch record := parseRecord(text); {
		case !exists || !record.isCreated():
			plan.added = append(plan.added, w)
		case !d.agrees(w, record):
			plan.changed = append(plan.changed, w)
		default:
			plan.unmoved++
		}
	}
	for id := range devices {
		if !wanted[strings.ToLower(id)] {
			plan.removed = append(plan.removed, id)
		}
	}
	slices.Sort(plan.removed)
	return plan
}

// withoutRenamed returns the plan without the devices that are removed and added again because of another id prefix,
// and whether there are any. Their other differences are changes.
func (p plan) withoutRenamed(from, to string, devices map[string]string, d digester) (plan, bool) {
	if strings.EqualFold(from, to) {
		return p, false
	}
	removed := make(map[string]string, len(p.removed))
	for _, id := range p.removed {
		removed[strings.ToLower(id)] = id
	}
	rest := plan{changed: slices.Clone(p.changed), unmoved: p.unmoved}
	for _, w := range p.added {
		was := strings.ToLower(from + w.ID[len(to):])
		id, renamed := removed[was]
		switch {
		case !renamed:
			rest.added = append(rest.added, w)
		case !d.agrees(w, parseRecord(devices[id])):
			rest.changed = append(rest.changed, w)
		}
		delete(removed, was)
	}
	for _, id := range removed {
		rest.removed = append(rest.removed, id)
	}
	slices.Sort(rest.removed)
	return rest, len(removed) < len(p.removed)
}

func (p plan) isEmpty() bool { return len(p.added)+len(p.changed)+len(p.removed) == 0 }

// String returns the counts of the plan with the first ids.
func (p plan) String() string {
	parts := slices.DeleteFunc([]string{
		counted("added", idsOf(p.added)), counted("changed", idsOf(p.changed)), counted("removed", p.removed),
	}, func(part string) bool { return part == "" })
	return fmt.Sprintf("enrollments: %s; %d unchanged", strings.Join(parts, ", "), p.unmoved)
}

// counted returns the number of enrollments, what applies to them, and the first ids; "" without ids.
func counted(what string, ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	const first = 5
	shown := strings.Join(ids[:min(first, len(ids))], ", ")
	if len(ids) > first {
		shown += ", …"
	}
	return fmt.Sprintf("%d %s (%s)", len(ids), what, shown)
}

func idsOf(list []entry.Declared) []string {
	ids := make([]string, len(list))
	for i, d := range list {
		ids[i] = d.ID
	}
	return ids
}
