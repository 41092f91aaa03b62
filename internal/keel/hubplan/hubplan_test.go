package hubplan_test

import (
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/keel/assignment"
	"evenkeel/internal/keel/hubplan"
)

// fleet is a service with two hubs, of which both accept devices.
func fleet(change hubplan.Change) hubplan.Input {
	one, two := hubplan.Hub{Name: "hub-1", Host: "one", Weight: 1}, hubplan.Hub{Name: "hub-2", Host: "two", Weight: 2}
	return hubplan.Input{
		Change: change, Hub: one, Hubs: []hubplan.Hub{one, two}, Policy: "Hashed", InRegistry: -1,
		IsDeclared: func(e assignment.Enrollment) bool { return strings.HasPrefix(e.ID, "own") },
	}
}

// of returns a group with n devices on hub-1 and one on hub-2.
func of(id string, n int, hubs ...string) assignment.Enrollment {
	return assignment.Enrollment{Key: assignment.Key{ID: id}, Hubs: hubs, Devices: map[string]int{"one": n, "two": 1}}
}

func TestTheEffectDependsOnWhatAnEnrollmentNames(t *testing.T) {
	t.Parallel()
	never, disabled, custom := of("g", 1), of("g", 1), of("g", 1, "one", "two")
	never.Never, disabled.Disabled, custom.Policy = true, true, "custom"
	for name, tc := range map[string]struct {
		entry               assignment.Enrollment
		drain, remove, gain hubplan.Effect
	}{
		"no hub": {of("g", 1), hubplan.Reassigned, hubplan.Reassigned, hubplan.Reassigned},
		"both hubs": {of("g", 1, "one", "two"), hubplan.StillAssigned, hubplan.Reassigned,
			hubplan.NotOffered},
		"both hubs, declared": {of("own", 1, "one", "two"), hubplan.Reassigned, hubplan.Reassigned, hubplan.NotOffered},
		"this hub alone":      {of("g", 1, "one"), hubplan.StillAssigned, hubplan.Unassignable, hubplan.NotOffered},
		"this hub alone, declared": {of("own", 1, "one"), hubplan.UpRefuses, hubplan.UpRefuses,
			hubplan.NotOffered},
		"this hub and one of another stack": {of("g", 1, "one", "theirs"), hubplan.StillAssigned, hubplan.Reassigned,
			hubplan.NotOffered},
		"the other hub": {of("g", 1, "two"), hubplan.Reassigned, hubplan.Reassigned, hubplan.NotOffered},
		"never":         {never, hubplan.KeepsHub, hubplan.KeepsHub, hubplan.KeepsHub},
		"disabled":      {disabled, hubplan.CannotRegister, hubplan.CannotRegister, hubplan.CannotRegister},
		"a webhook":     {custom, hubplan.StillAssigned, hubplan.Webhook, hubplan.Webhook},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for change, want := range map[hubplan.Change]hubplan.Effect{hubplan.Drain: tc.drain,
				hubplan.Remove: tc.remove, hubplan.Add: tc.gain} {
				t.Run(string(change), func(t *testing.T) {
					in := fleet(change)
					if change == hubplan.Add {
						in.Hub = hubplan.Hub{Name: "hub-3", Weight: 1}
					}
					in.Census.Enrollments = []assignment.Enrollment{tc.entry}
					p := hubplan.New(in)
					if change == hubplan.Add && want == hubplan.Reassigned || want == hubplan.CannotRegister &&
						change == hubplan.Add { // a new hub changes nothing for these: they are not listed
						if len(p.Enrollments) != 0 {
							t.Errorf("%s: got %+v, want no entry", change, p.Enrollments)
						}
						return
					}
					if len(p.Enrollments) != 1 || p.Enrollments[0].Effect != want {
						t.Errorf("%s: got %+v, want %s", change, p.Enrollments, want)
					}
				})
			}
		})
	}
}

func TestThePlanCountsDevices(t *testing.T) {
	t.Parallel()
	never := of("locked", 5)
	never.Never = true
	census := assignment.Census{Enrollments: []assignment.Enrollment{of("devices", 20), of("pinned", 3, "one"), never,
		{Key: assignment.Key{ID: "lone", Individual: true}, Devices: map[string]int{"one": 1}},
		{Key: assignment.Key{ID: "elsewhere"}, Devices: map[string]int{"two": 9}}}}
	for change, want := range map[hubplan.Change][3]int{hubplan.Drain: {29, 0, 21}, hubplan.Remove: {29, 29, 21}} {
		t.Run(string(change), func(t *testing.T) {
			in := fleet(change)
			in.Census, in.InRegistry = census, 31
			p := hubplan.New(in)
			if got := [3]int{p.Devices, p.MustRegisterAgain, p.MayMove}; got != want || *p.InRegistry != 31 ||
				len(p.Enrollments) != 4 || p.Expected != nil {
				t.Errorf("%s: got %v and %+v, want %v and four enrollments", change, got, p, want)
			}
			hasStrangers := slices.ContainsFunc(p.Unknown, func(s string) bool {
				return strings.Contains(s, "no registration record here")
			})
			if hasStrangers != (change == hubplan.Remove) {
				t.Errorf("%s: got %q, want the devices without a record named for a removal", change, p.Unknown)
			}
		})
	}
	in := fleet(hubplan.Add)
	in.Hub, in.Census = hubplan.Hub{Name: "hub-3", Weight: 3}, census
	p := hubplan.New(in)
	// 21 of devices, 1 of lone and 9 of elsewhere may use the new hub, which has half of the weights.
	if p.MayMove != 31 || p.Expected == nil || *p.Expected != 16 || p.InRegistry != nil || p.Devices != 0 {
		t.Errorf("add: got %+v, want 31 that may move and 16 expected", p)
	}
	in.Hubs[1].Drain = true // a drained hub has no share
	if p := hubplan.New(in); *p.Expected != 23 {
		t.Errorf("add beside a drained hub: got %d expected, want 23", *p.Expected)
	}
}

// TestStacksThatShareAServiceListTheirNewHubs: keel up lists every hub of the stack in the enrollments that it
// declares.
func TestStacksThatShareAServiceListTheirNewHubs(t *testing.T) {
	t.Parallel()
	in := fleet(hubplan.Add)
	in.Hub, in.FollowsHubs = hubplan.Hub{Name: "hub-3", Weight: 1}, true
	in.Census.Enrollments = []assignment.Enrollment{of("own", 4, "one", "two"), of("own-pinned", 4, "one"),
		of("theirs", 4, "one", "two")}
	p := hubplan.New(in)
	if p.MayMove != 5 || len(p.Enrollments) != 3 || p.Enrollments[1].Effect != hubplan.NotOffered ||
		p.Enrollments[2].Effect != hubplan.NotOffered {
		t.Errorf("got %+v, want the five devices of the group own to be offered the new hub", p)
	}
}
