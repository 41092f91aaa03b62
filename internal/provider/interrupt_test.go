package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/integration"

	"evenkeel/emulator"
)

// long is longer than any operation in these tests, and shorter than any wait that a cancellation must end.
const long = 60 * time.Second

// interrupted cancels a provider while the service holds one request of an operation, and waits for the end of the
// operation. It releases the request only afterwards, so that an operation that waits for the answer does not end.
func interrupted[T any](t *testing.T, cloud *azure, held emulator.Match, server integration.Server,
	operation func() T) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	hold := cloud.Hold(held)
	ended := make(chan T, 1)
	go func() { ended <- operation() }()
	must(t, hold.Held(ctx))
	must(t, server.Cancel())
	select {
	case outcome := <-ended:
		hold.Release()
		must(t, hold.Done(ctx))
		return outcome
	case <-ctx.Done():
		hold.Release()
		t.Fatal("the operation waits for an answer although it is cancelled")
		panic("unreachable")
	}
}

func dpsRequest(method, path string) emulator.Match {
	return emulator.Match{Surface: "dps-service", Method: method, Path: regexp.MustCompile("^" + path + "$")}
}

func nth(n int, m emulator.Match) emulator.Match {
	m.Nth = n
	return m
}

// TestEveryOperationOnOneEntryEndsWhenItIsCancelled, whichever of its requests is held.
func TestEveryOperationOnOneEntryEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	service, direct := openService(t)
	type step struct {
		held emulator.Match
		do   func(m *managed) error
	}
	create := func(m *managed) error {
		m.id = ""
		_, err := m.tryUp(object{m.idProperty(): m.urn.Name() + "-new"})
		return err
	}
	change := func(m *managed) error {
		_, err := m.tryUp(object{m.idProperty(): m.urn.Name(), "provisioningStatus": "disabled"})
		return err
	}
	read := func(m *managed) error {
		m.state = m.state.Set("etag", propertyOf("old")) // so that refresh reads everything
		_, err := m.server.Read(readOf(m))
		return err
	}
	remove := func(m *managed) error { return m.server.Delete(deleteOf(m)) }
	asking := func(function, property string) func(m *managed) error {
		return func(m *managed) error {
			_, err := tryInvoke(t, m.server, function, object{property: m.urn.Name()})
			return err
		}
	}
	for kind, steps := range map[string]map[string]step{
		"IndividualEnrollment": {
			"create, looking":    {dpsRequest("GET", "/enrollments/[^/]+-new"), create},
			"create, writing":    {dpsRequest("PUT", "/enrollments/[^/]+-new"), create},
			"update":             {dpsRequest("PUT", "/enrollments/[^/]+"), change},
			"refresh":            {dpsRequest("GET", "/enrollments/[^/]+"), read},
			"refresh, its keys":  {dpsRequest("POST", "/enrollments/[^/]+/attestationmechanism"), read},
			"delete":             {dpsRequest("DELETE", "/enrollments/[^/]+"), remove},
			"delete, the record": {dpsRequest("DELETE", "/registrations/[^/]+"), remove},
			"delete, once more":  {nth(2, dpsRequest("DELETE", "/registrations/[^/]+")), remove},
			"getIndividualEnrollment": {dpsRequest("GET", "/enrollments/[^/]+"),
				asking("getIndividualEnrollment", "registrationId")},
			"getRegistration": {dpsRequest("GET", "/registrations/[^/]+"),
				asking("getRegistration", "registrationId")},
		},
		"EnrollmentGroup": {
			"create, writing":     {dpsRequest("PUT", "/enrollmentGroups/[^/]+-new"), create},
			"update":              {dpsRequest("PUT", "/enrollmentGroups/[^/]+"), change},
			"refresh":             {dpsRequest("GET", "/enrollmentGroups/[^/]+"), read},
			"delete":              {dpsRequest("DELETE", "/enrollmentGroups/[^/]+"), remove},
			"delete, its records": {dpsRequest("POST", "/registrations/[^/]+/query"), remove},
			"getEnrollmentGroup": {dpsRequest("POST", "/enrollmentGroups/[^/]+/attestationmechanism"),
				asking("getEnrollmentGroup", "enrollmentGroupId")},
			"listRegistrations": {dpsRequest("POST", "/registrations/[^/]+/query"),
				asking("listRegistrations", "enrollmentGroupId")},
		},
	} {
		for name, step := range steps {
			t.Run(kind+" "+name, func(t *testing.T) { // sequential, because a hold catches requests of any test
				m := manage(t, direct, kind, regexp.MustCompile("[^a-zA-Z]+").ReplaceAllString(kind+name, "-"))
				m.up(object{m.idProperty(): m.urn.Name(), "deleteRegistrations": true})
				m.server = startProvider(t, service.cloud.config(service.key))
				if err := interrupted(t, service.cloud, step.held, m.server,
					func() error { return step.do(m) }); err == nil {
					t.Error("got no error of an operation that did not end")
				}
			})
		}
	}
}

// idProperty is the property that names a single entry.
func (m *managed) idProperty() string {
	if lastPart(string(m.urn.Type())) == "EnrollmentGroup" {
		return "enrollmentGroupId"
	}
	return "registrationId"
}

// gate passes some requests of a kind to the service and holds all further ones.
type gate struct {
	method string
	path   *regexp.Regexp
	// passing is the number that it passes; crowd is the number of held requests at which the gate is full, which is as
	// many as run at once.
	passing, crowd int

	seen          atomic.Int32
	full, release chan struct{}
}

func (g *gate) hold(_ http.ResponseWriter, r *http.Request) bool {
	if r.Method != g.method || !g.path.MatchString(r.URL.Path) {
		return false
	}
	switch seen := int(g.seen.Add(1)); {
	case seen <= g.passing:
		return false
	case seen == g.passing+g.crowd:
		close(g.full)
	}
	_, _ = io.Copy(io.Discard, r.Body)
	<-g.release
	return true
}

// TestEveryOperationOnASetEndsWhenItIsCancelled while the service holds its requests, and leaves a state with exactly
// what the service acknowledged. The next up then finishes.
func TestEveryOperationOnASetEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	const crowd = 16 // as many as run at once
	deleting := object{"deleteRegistrations": true}
	for name, test := range map[string]struct {
		held           string // method and path
		passing, crowd int
		// before exists before the operation, or is nil. inputs are those of the operation, nil for a deletion.
		before, inputs object
		look           func(set *managed) error
		// made, gone, unanswered and etagless are numbers of devices in the state.
		made, gone, unanswered, etagless int
		// left is the number of enrollments at the service.
		left int
	}{
		"creation": {held: "POST /enrollments", passing: 3, crowd: crowd, inputs: object{"items": numbered(200, 0)},
			made: 30, etagless: 30, unanswered: 160, left: 30},
		"creation, the etags": {held: "POST /enrollments/query", crowd: 1, inputs: object{"items": numbered(100, 0)},
			made: 100, etagless: 100, left: 100},
		"creation, the etags one by one": {held: "GET /enrollments/device-.*", passing: 10, crowd: crowd,
			inputs: object{"items": numbered(40, 0)},
			made:   40, etagless: 30, left: 40},
		"changes": {held: "PUT /enrollments/device-.*", passing: 5, crowd: crowd,
			before: object{"items": numbered(40, 0)}, inputs: object{"items": numbered(40, 30)},
			made: 40, left: 40},
		"changes, the keys": {held: "POST /enrollments/device-.*/attestationmechanism", passing: 5, crowd: crowd,
			before: object{"items": numbered(40, 0)}, inputs: object{"items": numbered(40, 30)},
			made: 40, left: 40},
		"removal": {held: "POST /enrollments", passing: 2, crowd: crowd, before: object{"items": numbered(250, 0)},
			inputs: object{"items": numbered(10, 0)},
			made:   230, left: 230},
		"removal, the records": {held: "DELETE /registrations/device-.*", passing: 5, crowd: 4,
			before: object{"items": numbered(40, 0)}, inputs: deleting.edited(object{"items": numbered(4, 0)}),
			made: 40, left: 40},
		"removal, the records once more": {held: "DELETE /registrations/device-.*", passing: 10, crowd: 1,
			before: object{"items": numbered(14, 0)}, inputs: deleting.edited(object{"items": numbered(4, 0)}),
			made: 4, gone: 10, left: 4},
		"deletion": {held: "POST /enrollments", passing: 2, crowd: crowd, before: object{"items": numbered(250, 0)},
			made: 250, left: 230},
		"refresh": {held: "POST /enrollments/query", passing: 1, crowd: 1,
			before: object{"manifestText": numberedText(1100, 0)}, look: (*managed).read,
			made: 1100, left: 1100},
		"refresh of few": {held: "GET /enrollments/device-.*", passing: 5, crowd: crowd,
			before: object{"items": numbered(30, 0)}, look: (*managed).read,
			made: 30, left: 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, direct := openService(t)
			method, path, _ := strings.Cut(test.held, " ")
			g := &gate{method: method, path: regexp.MustCompile("^" + path + "$"), passing: test.passing,
				crowd: test.crowd, full: make(chan struct{}), release: make(chan struct{})}
			gated := startProvider(t, service.through(t, unreliable{refuse: g.hold}))
			defer close(g.release)
			set := manage(t, direct, "EnrollmentSet", "devices")
			if test.before != nil {
				set.up(test.before)
			}
			set.server = gated
			ended := make(chan error, 1)
			go func() {
				switch {
				case test.look != nil:
					ended <- test.look(set)
				case test.inputs == nil:
					ended <- set.server.Delete(deleteOf(set))
				default:
					ended <- set.tryPartly(test.inputs)
				}
			}()
			enough := time.After(long)
			select {
			case <-g.full:
			case <-enough:
				t.Fatalf("got %d requests, want %d to be held", g.seen.Load(), test.crowd)
			}
			must(t, gated.Cancel())
			select {
			case err := <-ended:
				if err == nil {
					t.Error("got no error of an operation that did not end")
				}
			case <-enough:
				t.Fatal("the operation waits for answers although it is cancelled")
			}
			set.server = direct
			counts, err := service.cloud.Counts()
			must(t, err)
			made, gone, unanswered, etagless := set.tally()
			if made != test.made || gone != test.gone || unanswered != test.unanswered || etagless != test.etagless ||
				counts.Enrollments != test.left {
				t.Errorf("got %d made, %d gone, %d unanswered, %d without etag, and %d enrollments; want %d, %d, %d, "+
					"%d and %d",
					made, gone, unanswered, etagless, counts.Enrollments, test.made, test.gone, test.unanswered,
					test.etagless, test.left)
			}
			if test.inputs == nil {
				set.delete()
				return
			}
			settled := set.settled() // what the service acknowledged must not change any more
			set.refresh()
			for id, record := range set.settled() {
				if was, known := settled[id]; known && was != record {
					t.Errorf("%s: got %s, but the state held %s", id, record, was)
				}
			}
			set.up(test.inputs)
			if got := set.refresh(); got != nil {
				t.Errorf("after the next up: got drift %v, want none", got)
			}
		})
	}
}

// read refreshes a resource and ignores the result.
func (m *managed) read() error {
	_, err := m.server.Read(readOf(m))
	return err
}

// tryPartly creates or updates a resource and keeps the resulting state.
func (m *managed) tryPartly(inputs object) error {
	if m.id == "" {
		created := m.tryCreate(inputs)
		if created.PartialState == nil {
			return nil
		}
		return errors.New(strings.Join(created.PartialState.Reasons, "; "))
	}
	_, err := m.tryUp(inputs)
	return err
}

// tally counts the devices in the state of a set by their status; etagless ones are created.
func (m *managed) tally() (made, gone, unanswered, etagless int) {
	for _, record := range m.state.Get("devices").AsMap().All {
		switch record.AsString()[:2] {
		case "! ":
			gone++
		case "? ":
			unanswered++
		case "- ":
			etagless++
			made++
		default:
			made++
		}
	}
	return made, gone, unanswered, etagless
}

// settled are the records of the devices whose etags are known.
func (m *managed) settled() map[string]string {
	records := map[string]string{}
	for id, record := range m.state.Get("devices").AsMap().All {
		if text := record.AsString(); !strings.ContainsAny(text[:1], "!?-") {
			records[id] = text
		}
	}
	return records
}

// TestEveryOperationOnALinkEndsWhenItIsCancelled, also during the login. The state contains what was written to the
// service, as unfinished.
func TestEveryOperationOnALinkEndsWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	arm := func(method string, n int) emulator.Match {
		return emulator.Match{Surface: "arm", Method: method,
			Path: regexp.MustCompile("(?i)/provisioningServices/dps-1$"), Nth: n}
	}
	login := emulator.Match{Surface: "entra", Path: regexp.MustCompile("/token$")}
	cloud := emulator.Match{Path: regexp.MustCompile("^/metadata/endpoints$")}
	for name, test := range map[string]struct {
		held emulator.Match
		// before is whether the link exists before; inputs change it, nil reads or deletes it.
		before  bool
		changes object
		look    bool
		// unfinished is whether the state must contain the new link.
		unfinished bool
	}{
		"creation, finding the cloud": {held: cloud, changes: object{}},
		"creation, logging in":        {held: login, changes: object{}},
		"creation, looking":           {held: arm("GET", 1), changes: object{}},
		"creation, writing":           {held: arm("PUT", 1), changes: object{}, unfinished: true},
		"creation, newest version":    {held: arm("GET", 2), changes: object{}},
		"creation, looking once more": {held: arm("GET", 3), changes: object{}, unfinished: true},
		"change, looking":             {held: arm("GET", 1), before: true, changes: object{"allocationWeight": 7}},
		"change, writing": {held: arm("PUT", 1), before: true, changes: object{"allocationWeight": 7},
			unfinished: true},
		"change, looking once more": {held: arm("GET", 3), before: true, changes: object{"allocationWeight": 7},
			unfinished: true},
		"refresh, finding the cloud":  {held: cloud, before: true, look: true},
		"refresh":                     {held: arm("GET", 1), before: true, look: true},
		"deletion":                    {held: arm("PUT", 1), before: true},
		"deletion, looking once more": {held: arm("GET", 3), before: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShared(t)
			m, inputs := s.stack("hub-2"), s.link("hub-2", test.changes)
			if test.before {
				m.up(s.link("hub-2", nil))
			}
			m.server = startProvider(t, s.config)
			checked := m.check(inputs)
			initFailed := false
			err := interrupted(t, s.azure, test.held, m.server, func() error {
				switch {
				case test.look:
					return m.read()
				case test.changes == nil:
					return m.server.Delete(deleteOf(m))
				case test.before:
					updated, err := m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state,
						Inputs: checked, OldInputs: m.inputs})
					if initFailed = updated.PartialState != nil; initFailed {
						m.inputs, m.state = checked, updated.Properties
					}
					return err
				}
				created, err := m.server.Create(p.CreateRequest{Urn: m.urn, Properties: checked})
				if initFailed = created.PartialState != nil; initFailed {
					m.id, m.inputs, m.state = created.ID, checked, created.Properties
				}
				return err
			})
			if err == nil || initFailed != test.unfinished {
				t.Errorf("got %v with an unfinished state %t, want an error and %t", err, initFailed, test.unfinished)
			}
			if weight := m.state.Get("allocationWeight"); test.unfinished && test.before &&
				(!weight.IsNumber() || weight.AsNumber() != 7) {
				t.Errorf("got weight %v in the state, want what was written", weight)
			}
			m.server = startProvider(t, s.config)
			switch {
			case test.changes == nil && !test.look:
				m.delete()
				s.linked("hub-1")
			case m.id == "":
				m.up(inputs)
			default: // the engine updates an unfinished resource whatever Diff returns
				_, err := m.server.Update(p.UpdateRequest{ID: m.id, Urn: m.urn, State: m.state, Inputs: checked,
					OldInputs: m.inputs})
				must(t, err)
			}
		})
	}
}
