package provider_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/pkg/v3/engine"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

var (
	lives    = flag.Int("lives", 6, "how many random lives of a stack TestRandomOperationsOnAStack tries")
	lifeSeed = flag.Uint64("life-seed", 0, "the one life to try again, as a failure names it")
)

// TestRandomOperationsOnAStack declares, renames, moves, replaces, taints, imports and refreshes enrollments, groups
// and rows of sets in random order, and kills the provider at random calls. After each step the service has every
// declared entry with its keys and none that is no longer declared, entries that the stack never declared are
// unchanged, and a failed step has changed no declared entry.
func TestRandomOperationsOnAStack(t *testing.T) {
	t.Parallel()
	seeds := []uint64{*lifeSeed}
	if *lifeSeed == 0 {
		seeds = nil
		if testing.Short() {
			*lives = min(*lives, 2)
		}
		for range *lives {
			seeds = append(seeds, uint64(time.Now().UnixNano()))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("life-seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			service, _ := openService(t)
			newLife(t, service, seed).live()
		})
	}
}

// entry is an id that the program declares: as a resource, or as a row of a set.
type entry struct {
	kind string // IndividualEnrollment, EnrollmentGroup, or EnrollmentSet for a row
	// name is the resource's name; all rows of a set have the same one.
	name, component    string
	primary, secondary string // empty if the provider generates them
	isDisabled         bool
	aliases            []resource.URN
	deletesFirst       bool
}

// life is a random life of a stack.
type life struct {
	*stack
	*rand.Rand
	service serviceAPI
	// entries are what the program declares, by collection and id.
	entries map[string]entry
	// foreign are the etags of entries that the stack never declares.
	foreign map[string]string
	made    int
	steps   []string
}

func newLife(t *testing.T, service serviceAPI, seed uint64) *life {
	return &life{
		stack: newStack(t, "life", service.cloud.config(service.key)), Rand: rand.New(rand.NewPCG(seed, 0)),
		service: service,
		entries: map[string]entry{}, foreign: map[string]string{},
	}
}

// live takes some steps and ends with a destroy, which leaves foreign entries.
func (l *life) live() {
	for range 3 {
		l.add()
	}
	l.addForeign()
	for step := 0; step < 12 && !l.t.Failed(); step++ {
		l.step()
	}
	if !l.t.Failed() {
		if err := l.destroy(refreshing); err != nil {
			l.t.Errorf("destroy: %v\n%s", err, l.messages)
		}
		l.entries = map[string]entry{}
		l.check(nil)
	}
	if l.t.Failed() {
		l.t.Logf("the steps:\n%s", strings.Join(l.steps, "\n"))
	}
}

// step changes the program or the service at random and brings the stack up.
func (l *life) step() {
	before, keys := maps.Clone(l.entries), l.service.enrolledKeys(l.t)
	replaced := false
	var settings []func(*engine.UpdateOptions)
	for range 1 + l.IntN(2) {
		switch l.IntN(12) {
		case 0, 1:
			l.add()
		case 2:
			l.change(func(path string, _ entry) { delete(l.entries, path) })
		case 3:
			l.change(func(path string, e entry) { e.isDisabled = !e.isDisabled; l.entries[path] = e })
		case 4:
			l.change(l.rename)
		case 5, 6:
			l.change(l.move)
		case 7, 8:
			l.change(func(_ string, e entry) { replaced = l.replace(e, &settings) || replaced })
		case 9:
			l.addForeign()
		case 10:
			settings = append(settings, refreshing)
		default:
			l.drift()
		}
	}
	if l.IntN(3) == 0 {
		l.kill = &kill{nth: 1 + l.IntN(4), after: l.IntN(2) == 0}
	}
	l.write()
	err := l.up(settings...)
	wasKilled := l.kill != nil && l.kill.calls >= l.kill.nth
	l.kill = nil
	l.tell("up (%d settings, killed %t): %v", len(settings), wasKilled, err)
	switch {
	case wasKilled:
		l.spared(before, keys)
		l.goOn(before)
	case err != nil:
		l.refused()
		l.spared(before, keys)
		l.goOn(before)
	case replaced:
		l.check(nil)
	default:
		l.check(l.unmoved(before, keys))
	}
}

// goOn brings the stack up after a step that did not end. It takes back a program that was refused.
func (l *life) goOn(before map[string]entry) {
	err := l.up(refreshing)
	l.tell("up --refresh: %v", err)
	if err != nil {
		l.refused()
		l.takeBack(before)
		l.untaint() // as the error advises: keys that were generated under an older name show nothing
		err = l.up(refreshing)
		l.tell("taken back, up --refresh: %v", err)
	}
	if err != nil {
		l.t.Errorf("the next update does not go on: %v\n%s", err, l.messages)
		return
	}
	if err := l.refresh(); err != nil { // after a killed update of the keys, the state differs
		l.t.Errorf("refresh: %v", err)
	}
	l.check(nil)
}

// takeBack restores the program before the step. A resource that the failed step renamed gets an alias.
func (l *life) takeBack(before map[string]entry) {
	for path, was := range before {
		if tried, is := l.entries[path]; is && tried.kind == was.kind && was.kind != "EnrollmentSet" {
			was.aliases = append(slices.Clone(was.aliases), l.urnIn(tried.kind, tried.name, tried.component))
			before[path] = was
		}
	}
	l.entries = before
	l.write()
}

// refused fails the test unless the last operation failed for a known reason.
func (l *life) refused() {
	l.t.Helper()
	for _, reason := range []string{"exists already", "rewritten", "could not be created"} {
		if strings.Contains(l.messages.String(), reason) {
			return
		}
	}
	l.t.Errorf("the update failed without a reason that was expected:\n%s", l.messages)
}

// spared fails the test if an entry that is declared before and after does not exist.
func (l *life) spared(before map[string]entry, keys map[string]string) {
	l.t.Helper()
	now := l.service.enrolledKeys(l.t)
	for path, e := range l.entries {
		was, is := before[path]
		if _, exists := now[path]; !is || exists || keys[path] == "" || e.deletesFirst || was.deletesFirst {
			continue // a resource that is deleted first may be absent in between
		}
		if was.kind == "EnrollmentSet" && (e.kind != was.kind || e.name != was.name) {
			// A set may remove its row before another resource creates the entry: then the registration is new, but it
			// is not lost.
			continue
		}
		l.t.Errorf("%s does not exist after a failed step\n%s", path, l.messages)
	}
}

// unmoved returns the keys that must be the same as before: those of entries that the same resource declares.
func (l *life) unmoved(before map[string]entry, keys map[string]string) map[string]string {
	same := map[string]string{}
	for path, e := range l.entries {
		if was, is := before[path]; is && was.kind == e.kind && (was.name == e.name && was.component == e.component ||
			len(e.aliases) > 0) {
			same[path] = keys[path]
		}
	}
	return same
}

// check fails the test unless the service has exactly the declared and the foreign entries, with these keys among
// others.
// among others.
func (l *life) check(same map[string]string) {
	l.t.Helper()
	want := map[string]string{}
	for path := range l.foreign {
		want[path] = "*"
	}
	for path, e := range l.entries {
		switch {
		case e.primary != "":
			want[path] = e.primary
		case e.kind != "EnrollmentSet":
			want[path] = l.output(l.urnIn(e.kind, e.name, e.component), "primaryKey")
		default:
			want[path] = "*"
		}
		if key := same[path]; key != "" && e.primary == "" {
			want[path] = key
		}
	}
	l.service.holds(l.t, want)
	for path, etag := range l.foreign {
		if got := l.service.call(l.t, "GET", "/"+path, nil); got["etag"] != etag {
			l.t.Errorf("%s was changed, though the stack never declared it", path)
		}
	}
	for path, e := range l.entries {
		if want[path] == "" {
			continue
		}
		if _, exists := l.service.enrolledKeys(l.t)[path]; exists {
			status := l.service.call(l.t, "GET", "/"+path, nil)["provisioningStatus"]
			if (status == "disabled") != e.isDisabled {
				l.t.Errorf("%s is %v, want disabled %t", path, status, e.isDisabled)
			}
		}
	}
	if l.t.Failed() {
		l.t.Logf("state: %v", l.urns())
	}
}

func (l *life) tell(format string, args ...any) {
	l.steps = append(l.steps, fmt.Sprintf(format, args...))
}

// add declares a new id.
func (l *life) add() {
	l.made++
	e := entry{kind: []string{"IndividualEnrollment", "EnrollmentGroup", "EnrollmentSet"}[l.IntN(3)],
		name: fmt.Sprintf("r-%d", l.made)}
	if e.kind == "EnrollmentSet" {
		e.name = []string{"set-a", "set-b"}[l.IntN(2)]
	}
	if l.IntN(2) == 0 {
		e.primary, e.secondary = newKey(l.t), newKey(l.t)
	}
	path := collectionOf(e.kind) + fmt.Sprintf("/d-%d", l.made)
	l.entries[path] = e
	l.tell("add %s as %s %s, given keys %t", path, e.kind, e.name, e.primary != "")
}

func collectionOf(kind string) string {
	if kind == "EnrollmentGroup" {
		return "enrollmentGroups"
	}
	return "enrollments"
}

// addForeign creates an entry that the stack does not declare.
func (l *life) addForeign() {
	l.made++
	id := fmt.Sprintf("foreign-%d", l.made)
	l.service.call(l.t, "POST", "/enrollments", map[string]any{"mode": "create", "enrollments": []any{map[string]any{
		"registrationId": id, "attestation": map[string]any{"type": "symmetricKey",
			"symmetricKey": map[string]any{"primaryKey": newKey(l.t), "secondaryKey": newKey(l.t)}},
	}}})
	l.foreign["enrollments/"+id] = l.service.call(l.t, "GET", "/enrollments/"+id, nil)["etag"].(string)
}

// change calls do with one of the declared ids.
func (l *life) change(do func(path string, e entry)) {
	if len(l.entries) == 0 {
		return
	}
	paths := slices.Sorted(maps.Keys(l.entries))
	path := paths[l.IntN(len(paths))]
	do(path, l.entries[path])
	l.tell("changed %s to %+v", path, redacted(l.entries[path]))
}

func redacted(e entry) entry {
	e.primary, e.secondary = e.primary[:min(4, len(e.primary))], ""
	return e
}

// rename gives a resource another name or another component, with or without an alias.
func (l *life) rename(path string, e entry) {
	if e.kind == "EnrollmentSet" {
		return
	}
	was := l.urnIn(e.kind, e.name, e.component)
	if l.IntN(2) == 0 {
		l.made++
		e.name = fmt.Sprintf("r-%d", l.made)
	} else if e.component == "" {
		e.component = "line"
	} else {
		e.component = ""
	}
	if e.aliases = nil; l.IntN(2) == 0 {
		e.aliases = []resource.URN{was}
	}
	l.entries[path] = e
}

// move moves an individual enrollment into a set or out of it.
func (l *life) move(path string, e entry) {
	switch e.kind {
	case "IndividualEnrollment":
		e = entry{kind: "EnrollmentSet", name: []string{"set-a", "set-b"}[l.IntN(2)], primary: e.primary,
			secondary: e.secondary, isDisabled: e.isDisabled}
	case "EnrollmentSet":
		l.made++
		e = entry{kind: "IndividualEnrollment", name: fmt.Sprintf("r-%d", l.made), primary: e.primary,
			secondary: e.secondary, isDisabled: e.isDisabled}
	}
	l.entries[path] = e
}

// replace requests the replacement of a resource in the state, in one of the possible ways. It reports whether it did.
func (l *life) replace(e entry, settings *[]func(*engine.UpdateOptions)) bool {
	urn := l.urnIn(e.kind, e.name, e.component)
	if l.state == nil || !slices.ContainsFunc(l.state.Resources, func(r *resource.State) bool {
		return r.URN == urn && !r.Delete
	}) {
		return false
	}
	first := l.IntN(3) == 0
	for path, other := range l.entries {
		if other.kind == e.kind && other.name == e.name {
			other.deletesFirst = first
			l.entries[path] = other
		}
	}
	if l.IntN(2) == 0 {
		*settings = append(*settings, replacing(urn))
	} else {
		l.taint(urn)
	}
	return true
}

// drift changes an entry of the stack at the service.
func (l *life) drift() {
	l.change(func(path string, _ entry) {
		if _, exists := l.service.enrolledKeys(l.t)[path]; exists {
			l.service.edit(l.t, "/"+path, func(entry map[string]any) { entry["provisioningStatus"] = "disabled" })
			must(l.t, l.operate(engine.Refresh))
		}
	})
}

// write generates the program for the entries.
func (l *life) write() {
	l.program = nil
	sets := map[string][]object{}
	first := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(l.entries)) {
		e := l.entries[path]
		collection, id, _ := strings.Cut(path, "/")
		inputs := object{idNameOf("/" + path): id}
		status := object{}
		if e.isDisabled {
			status["provisioningStatus"] = "disabled"
		}
		if e.kind == "EnrollmentSet" {
			if e.primary != "" {
				inputs["primaryKey"], inputs["secondaryKey"] = propertyOf(e.primary).WithSecret(true),
					propertyOf(e.secondary).WithSecret(true)
			}
			sets[e.name] = append(sets[e.name], inputs.edited(status))
			first[e.name] = first[e.name] || e.deletesFirst
			continue
		}
		if e.primary != "" {
			inputs = keyed(idNameOf("/"+collection+"/"), id, e.primary, e.secondary)
		}
		r := resourceIn{kind: e.kind, name: e.name, in: e.component, aliases: e.aliases, inputs: inputs.edited(status)}
		if e.deletesFirst {
			r.options.DeleteBeforeReplace = &e.deletesFirst
		}
		l.program = append(l.program, r)
	}
	for _, name := range slices.Sorted(maps.Keys(sets)) {
		r := resourceIn{kind: "EnrollmentSet", name: name, inputs: object{"items": items(sets[name]...)}}
		if isFirst := first[name]; isFirst {
			r.options.DeleteBeforeReplace = &isFirst
		}
		l.program = append(l.program, r)
	}
}
