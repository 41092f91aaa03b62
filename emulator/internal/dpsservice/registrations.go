package dpsservice

import (
	"net/http"
	"strings"

	"evenkeel/emulator/internal/dpswire"
)

// getRegistration is DeviceRegistrationState_Get.
func (s *surface) getRegistration(r request) (dpswire.Reply, error) {
	record, err := s.st.Registration(r.service.IDScope, r.id)
	return dpswire.OK(dpswire.RegistrationOf(record)), err
}

// deleteRegistration is DeviceRegistrationState_Delete. The device at the hub is kept.
func (s *surface) deleteRegistration(r request) (dpswire.Reply, error) {
	return dpswire.Reply{Status: http.StatusNoContent}, s.st.DeleteRegistration(r.service.IDScope, r.id, r.ifMatch())
}

// queryRegistrations is DeviceRegistrationState_Query: the registrations of a group, which are kept when it is
// deleted. An unknown group has none.
func (s *surface) queryRegistrations(r request) (dpswire.Reply, error) {
	collection := "registrations/" + strings.ToLower(r.id)
	after, limit, err := r.page(collection)
	if err != nil {
		return dpswire.Reply{}, err
	}
	page, next, err := s.st.Registrations(r.service.IDScope, r.id, after, limit)
	if err != nil {
		return dpswire.Reply{}, err
	}
	return paged(convert(page, dpswire.RegistrationOf), "DeviceRegistration", collection, limit, next), nil
}
