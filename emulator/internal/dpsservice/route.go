package dpsservice

import (
	"errors"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/state"
)

// route finds the operation of a path. "query" is a segment of its own: an enrollment of that name cannot be fetched on Azure either.
func (s *surface) route(r request) (reply, error) {
	if len(r.segments) == 0 {
		return reply{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
	}
	if strings.EqualFold(r.segments[0], "registrations") {
		return s.registrations(r)
	}
	k, known := s.kindOf(r.segments[0])
	if !known {
		return reply{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
	}
	rest := r.segments[1:]
	switch {
	case len(rest) == 0:
		return r.only(http.MethodPost, enrollmentWrite, func() (reply, error) { return s.bulk(k, r) })
	case len(rest) == 1 && strings.EqualFold(rest[0], "query"):
		return r.only(http.MethodPost, enrollmentRead, func() (reply, error) { return s.query(k, r) })
	case len(rest) == 2 && strings.EqualFold(rest[1], "attestationmechanism"):
		return r.only(http.MethodPost, enrollmentRead, func() (reply, error) { return s.attestation(k, r, rest[0]) })
	case len(rest) == 1:
		return s.entry(k, r, rest[0])
	}
	return reply{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
}

// only runs the operation when the request has its method and its right.
func (r request) only(method string, wanted right, run func() (reply, error)) (reply, error) {
	if r.Method != method {
		return reply{}, wrongMethod(method)
	}
	if err := r.rights.need(wanted); err != nil {
		return reply{}, err
	}
	return run()
}

func wrongMethod(allowed string) error {
	return refuse(http.StatusMethodNotAllowed, codeMethod, "The method is not allowed here; allowed: %s.", allowed)
}

// entry serves one enrollment or group.
func (s *surface) entry(k kind, r request, id string) (reply, error) {
	switch r.Method {
	case http.MethodGet:
		return r.only(http.MethodGet, enrollmentRead, func() (reply, error) { return s.get(k, r, id) })
	case http.MethodPut:
		return r.only(http.MethodPut, enrollmentWrite, func() (reply, error) { return s.put(k, r, id) })
	case http.MethodDelete:
		return r.only(http.MethodDelete, enrollmentWrite, func() (reply, error) {
			return reply{status: http.StatusNoContent}, k.remove(r.service.IDScope, id, r.ifMatch())
		})
	}
	return reply{}, wrongMethod("GET, PUT, DELETE")
}

// get is IndividualEnrollment_Get and EnrollmentGroup_Get. Only the single individual enrollment shows its registration.
func (s *surface) get(k kind, r request, id string) (reply, error) {
	e, err := k.get(r.service.IDScope, id)
	if err != nil {
		return reply{}, err
	}
	w := k.reply(e, false)
	if k.individual {
		w.RegistrationState = &registrationReply{RegistrationID: e.id, Status: string(state.Unassigned)}
		record, err := s.st.Registration(r.service.IDScope, id)
		if err == nil {
			found := registrationOf(record)
			w.RegistrationState = &found
		} else if !isNotFound(err) {
			return reply{}, err
		}
	}
	return ok(w), nil
}

// put is IndividualEnrollment_CreateOrUpdate and EnrollmentGroup_CreateOrUpdate: the whole entry is replaced.
func (s *surface) put(k kind, r request, id string) (reply, error) {
	if err := checkID("the id in the path", id); err != nil {
		return reply{}, err
	}
	var w wireEntry
	if err := decode(r.body, &w); err != nil {
		return reply{}, err
	}
	e, err := s.checked(k, w, r.service)
	if err != nil {
		return reply{}, err
	}
	if !strings.EqualFold(e.id, id) {
		return reply{}, invalid("%s is %q, but the path names %q.", k.idField, e.id, id)
	}
	etag := r.ifMatch()
	if s.opts.Strict && etag == state.Unconditional {
		etag = state.MustNotExist
	}
	if e, err = k.put(r.service.IDScope, e, etag); err != nil {
		return reply{}, err
	}
	return ok(k.reply(e, true)), nil
}

// checked is the state's form of a request's entry. The stored entry matters for X.509 only.
func (s *surface) checked(k kind, w wireEntry, service state.Service) (entry, error) {
	var stored *entry
	if w.Attestation != nil && w.Attestation.X509 != nil {
		if id, err := k.idOf(w); err == nil {
			held, err := k.get(service.IDScope, id)
			if err == nil {
				stored = &held
			} else if !isNotFound(err) {
				return entry{}, err
			}
		}
	}
	return k.entryOf(w, service, stored)
}

// attestation is IndividualEnrollment_GetAttestationMechanism and its twin for groups: the one call that reads keys back.
func (s *surface) attestation(k kind, r request, id string) (reply, error) {
	e, err := k.get(r.service.IDScope, id)
	if err != nil {
		return reply{}, err
	}
	return ok(attestationReply(e.Attestation, true)), nil
}

// ifMatch is the etag of the header; empty when there is none.
func (r request) ifMatch() string { return etagOf(r.Header.Get("If-Match")) }

// etagOf takes off the quotes that some clients add. The state's word for "must not exist" is not one that a client can say.
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

func isNotFound(err error) bool {
	var refused *state.Error
	return errors.As(err, &refused) && refused.Kind == state.NotFound
}
