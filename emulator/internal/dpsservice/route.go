package dpsservice

import (
	"net/http"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/routes"
	"evenkeel/emulator/internal/state"
)

// operation is one call of the API with the right that it requires.
type operation struct {
	needs right
	run   func(*surface, request) (dpswire.Reply, error)
}

// operations are those of the 2021-10-01 service.json. An enrollment with the id "query" cannot be fetched on Azure
// either.
var operations = func() *routes.Table[operation] {
	t := dpswire.NewTable[operation]()
	addCollection(t, individuals)
	addCollection(t, groups)
	t.Add("POST /registrations/{id}/query", operation{registrationRead, (*surface).queryRegistrations})
	t.Add("GET /registrations/{id}", operation{registrationRead, (*surface).getRegistration})
	t.Add("DELETE /registrations/{id}", operation{registrationWrite, (*surface).deleteRegistration})
	return t
}()

// addCollection adds the operations on individual enrollments or on groups.
func addCollection(t *routes.Table[operation], k kind) {
	path := "/" + k.path
	add := func(pattern string, needs right, run func(*surface, kind, request) (dpswire.Reply, error)) {
		t.Add(pattern, operation{needs, func(s *surface, r request) (dpswire.Reply, error) { return run(s, k, r) }})
	}
	add("POST "+path+"/query", enrollmentRead, (*surface).query)
	add("POST "+path+"/{id}/attestationmechanism", enrollmentRead, (*surface).attestation)
	add("GET "+path+"/{id}", enrollmentRead, (*surface).get)
	add("PUT "+path+"/{id}", enrollmentWrite, (*surface).put)
	add("DELETE "+path+"/{id}", enrollmentWrite, (*surface).remove)
	add("POST "+path, enrollmentWrite, (*surface).bulk)
}

// Routes returns the operations that are served, for example "GET /enrollments/{id}".
func Routes() []string { return operations.Patterns() }

// get is IndividualEnrollment_Get and EnrollmentGroup_Get. Only the reply for a single individual enrollment contains
// its registration.
func (s *surface) get(k kind, r request) (dpswire.Reply, error) {
	e, err := s.st.Entry(k.EntryKind, r.service.IDScope, r.id)
	if err != nil {
		return dpswire.Reply{}, err
	}
	w := k.reply(e, r.version(), false)
	if k.individual() {
		w.RegistrationState = &dpswire.Registration{RegistrationID: e.ID, Status: string(state.Unassigned)}
		record, err := s.st.Registration(r.service.IDScope, r.id)
		if err == nil {
			found := dpswire.RegistrationOf(record)
			w.RegistrationState = &found
		} else if !dpswire.IsNotFound(err) {
			return dpswire.Reply{}, err
		}
	}
	return dpswire.OK(w), nil
}

// put is IndividualEnrollment_CreateOrUpdate and EnrollmentGroup_CreateOrUpdate: the whole entry is replaced.
func (s *surface) put(k kind, r request) (dpswire.Reply, error) {
	if err := dpswire.CheckID("the id in the path", r.id); err != nil {
		return dpswire.Reply{}, err
	}
	var w wireEntry
	if err := decode(r.body, &w); err != nil {
		return dpswire.Reply{}, err
	}
	e, err := s.checked(k, w, r)
	if err != nil {
		return dpswire.Reply{}, err
	}
	if !strings.EqualFold(e.ID, r.id) {
		return dpswire.Reply{}, dpswire.Invalid("%s is %q, but the path names %q.", k.idField, e.ID, r.id)
	}
	etag := r.ifMatch()
	if s.opts.Strict && etag == state.Unconditional {
		etag = state.MustNotExist
	}
	if e, _, err = s.st.PutEntry(r.service.IDScope, e, etag); err != nil {
		return dpswire.Reply{}, err
	}
	return dpswire.OK(k.reply(e, r.version(), true)), nil
}

// remove is IndividualEnrollment_Delete and EnrollmentGroup_Delete.
func (s *surface) remove(k kind, r request) (dpswire.Reply, error) {
	return dpswire.Reply{Status: http.StatusNoContent}, s.st.DeleteEntry(k.EntryKind, r.service.IDScope, r.id,
		r.ifMatch())
}

// checked returns the state's form of a request's entry. The stored entry is read only if it matters.
func (s *surface) checked(k kind, w wireEntry, r request) (state.Entry, error) {
	var stored *state.Entry
	isOlder := r.version() < issuanceVersion
	keeps := isOlder && s.opts.KeepNewer
	if w.refers() || keeps {
		if id, err := k.idOf(w); err == nil {
			held, err := s.st.Entry(k.EntryKind, r.service.IDScope, id)
			if err == nil {
				stored = &held
			} else if !dpswire.IsNotFound(err) {
				return state.Entry{}, err
			}
		}
	}
	e, err := k.entryOf(w, r.service, stored)
	switch {
	case err != nil:
	case !isOlder:
		e.Issuance, err = w.issuance()
	case keeps && stored != nil:
		e.Issuance = stored.Issuance
	}
	return e, err
}

// attestation is IndividualEnrollment_GetAttestationMechanism and the same for groups: the only call that returns
// keys.
func (s *surface) attestation(k kind, r request) (dpswire.Reply, error) {
	e, err := s.st.Entry(k.EntryKind, r.service.IDScope, r.id)
	if err != nil {
		return dpswire.Reply{}, err
	}
	return dpswire.OK(attestationReply(e.Attestation, true)), nil
}

// ifMatch returns the etag in the header, or "".
func (r request) ifMatch() string { return etagOf(r.Header.Get("If-Match")) }

// etagOf removes the quotes that some clients add. A client cannot send the state's MustNotExist.
func etagOf(given string) string {
	given = strings.TrimSpace(given)
	if len(given) >= 2 && given[0] == '"' && given[len(given)-1] == '"' {
		given = given[1 : len(given)-1]
	}
	if given == state.MustNotExist {
		return "no etag"
	}
	return given
}
