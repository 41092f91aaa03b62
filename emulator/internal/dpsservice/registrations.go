package dpsservice

import (
	"net/http"
	"strings"
)

// registrations serves DeviceRegistrationState_Get, _Delete and _Query.
func (s *surface) registrations(r request) (reply, error) {
	rest := r.segments[1:]
	if len(rest) == 2 && strings.EqualFold(rest[1], "query") {
		return r.only(http.MethodPost, registrationRead, func() (reply, error) { return s.queryRegistrations(r, rest[0]) })
	}
	if len(rest) == 0 {
		return reply{}, refuse(http.StatusMethodNotAllowed, codeMethod, "The path needs a registration id.")
	}
	if len(rest) > 1 {
		return reply{}, refuse(http.StatusNotFound, codeNotFound, "There is no such operation.")
	}
	switch r.Method {
	case http.MethodGet:
		return r.only(http.MethodGet, registrationRead, func() (reply, error) {
			record, err := s.st.Registration(r.service.IDScope, rest[0])
			return ok(registrationOf(record)), err
		})
	case http.MethodDelete:
		return r.only(http.MethodDelete, registrationWrite, func() (reply, error) {
			return reply{status: http.StatusNoContent}, s.st.DeleteRegistration(r.service.IDScope, rest[0], r.ifMatch())
		})
	}
	return reply{}, wrongMethod("GET, DELETE")
}

// queryRegistrations lists the registrations of a group, which outlive it: an unknown group has none.
func (s *surface) queryRegistrations(r request, group string) (reply, error) {
	collection := "registrations/" + strings.ToLower(group)
	after, limit, err := r.page(collection)
	if err != nil {
		return reply{}, err
	}
	page, next, err := s.st.Registrations(r.service.IDScope, group, after, limit)
	if err != nil {
		return reply{}, err
	}
	items := convert(page, registrationOf)
	return paged(items, "DeviceRegistration", collection, next), nil
}
