package dpsservice

import (
	"evenkeel/emulator/internal/state"
)

// entry is an individual enrollment or an enrollment group: the two differ in little, so their calls are written once.
type entry struct {
	id string
	// deviceID is of individual enrollments only; empty: the registration id.
	deviceID string
	state.Settings
}

// kind is one of the two sorts of entry: its words on the wire, and where it is kept.
type kind struct {
	// path is the collection's segment, idField the id's member, itemType the value of x-ms-item-type.
	path, idField, itemType string
	individual              bool

	get    func(scope, id string) (entry, error)
	put    func(scope string, e entry, etag string) (entry, error)
	remove func(scope, id, etag string) error
	list   func(scope, after string, limit int) ([]entry, string, error)
}

func (s *surface) individuals() kind {
	return kind{
		path: "enrollments", idField: "registrationId", itemType: "Enrollment", individual: true,
		get: func(scope, id string) (entry, error) {
			e, err := s.st.Enrollment(scope, id)
			return fromEnrollment(e), err
		},
		put: func(scope string, e entry, etag string) (entry, error) {
			put, _, err := s.st.PutEnrollment(scope, state.Enrollment{
				RegistrationID: e.id, DeviceID: e.deviceID, Settings: e.Settings,
			}, etag)
			return fromEnrollment(put), err
		},
		remove: s.st.DeleteEnrollment,
		list: func(scope, after string, limit int) ([]entry, string, error) {
			page, next, err := s.st.Enrollments(scope, after, limit)
			return convert(page, fromEnrollment), next, err
		},
	}
}

func (s *surface) groups() kind {
	return kind{
		path: "enrollmentGroups", idField: "enrollmentGroupId", itemType: "EnrollmentGroup",
		get: func(scope, id string) (entry, error) {
			g, err := s.st.EnrollmentGroup(scope, id)
			return fromGroup(g), err
		},
		put: func(scope string, e entry, etag string) (entry, error) {
			put, _, err := s.st.PutEnrollmentGroup(scope, state.EnrollmentGroup{ID: e.id, Settings: e.Settings}, etag)
			return fromGroup(put), err
		},
		remove: s.st.DeleteEnrollmentGroup,
		list: func(scope, after string, limit int) ([]entry, string, error) {
			page, next, err := s.st.EnrollmentGroups(scope, after, limit)
			return convert(page, fromGroup), next, err
		},
	}
}

func fromEnrollment(e state.Enrollment) entry {
	return entry{id: e.RegistrationID, deviceID: e.DeviceID, Settings: e.Settings}
}

func fromGroup(g state.EnrollmentGroup) entry { return entry{id: g.ID, Settings: g.Settings} }

func convert[From, To any](from []From, one func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = one(from[i])
	}
	return to
}
