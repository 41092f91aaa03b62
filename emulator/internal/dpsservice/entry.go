package dpsservice

import (
	"evenkeel/emulator/internal/state"
)

// kind describes how the two kinds of enrollment differ in the API, so that their calls share one implementation.
type kind struct {
	state.EntryKind
	// path is the collection's segment, idField the id's member, itemType the value of x-ms-item-type.
	path, idField, itemType string
}

var (
	individuals = kind{state.Individuals, "enrollments", "registrationId", "Enrollment"}
	groups      = kind{state.Groups, "enrollmentGroups", "enrollmentGroupId", "EnrollmentGroup"}
)

func (k kind) individual() bool { return k.EntryKind == state.Individuals }

func convert[From, To any](from []From, one func(From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = one(from[i])
	}
	return to
}
