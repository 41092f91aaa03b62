package provider

import (
	"context"

	"evenkeel/internal/dpsapi"
)

// store is one of the service's two collections of entries. An enrollment group travels as an individual enrollment whose
// registration id is the group's id: an individual enrollment has every field of a group and two more.
type store interface {
	get(ctx context.Context, id string) (dpsapi.IndividualEnrollment, error)
	put(ctx context.Context, id string, entry dpsapi.IndividualEnrollment, etag string) (dpsapi.IndividualEnrollment, error)
	remove(ctx context.Context, id, etag string) error
	attestation(ctx context.Context, id string) (dpsapi.Attestation, error)
}

// anyVersion is the etag that fits every version of an entry.
const anyVersion = "*"

type individuals struct {
	dpsapi.Collection[dpsapi.IndividualEnrollment]
}

func (s individuals) get(ctx context.Context, id string) (dpsapi.IndividualEnrollment, error) {
	return s.Get(ctx, id)
}

func (s individuals) put(ctx context.Context, id string, entry dpsapi.IndividualEnrollment, etag string) (dpsapi.IndividualEnrollment, error) {
	return s.Put(ctx, id, entry, etag)
}

func (s individuals) remove(ctx context.Context, id, etag string) error {
	return s.Delete(ctx, id, etag)
}

func (s individuals) attestation(ctx context.Context, id string) (dpsapi.Attestation, error) {
	return s.AttestationMechanism(ctx, id)
}

type groups struct {
	dpsapi.Collection[dpsapi.EnrollmentGroup]
}

func (s groups) get(ctx context.Context, id string) (dpsapi.IndividualEnrollment, error) {
	group, err := s.Get(ctx, id)
	return fromGroup(group), err
}

func (s groups) put(ctx context.Context, id string, entry dpsapi.IndividualEnrollment, etag string) (dpsapi.IndividualEnrollment, error) {
	group, err := s.Put(ctx, id, dpsapi.EnrollmentGroup{EnrollmentGroupID: entry.RegistrationID, Entry: entry.Entry}, etag)
	return fromGroup(group), err
}

func (s groups) remove(ctx context.Context, id, etag string) error { return s.Delete(ctx, id, etag) }

func (s groups) attestation(ctx context.Context, id string) (dpsapi.Attestation, error) {
	return s.AttestationMechanism(ctx, id)
}

func fromGroup(group dpsapi.EnrollmentGroup) dpsapi.IndividualEnrollment {
	return dpsapi.IndividualEnrollment{RegistrationID: group.EnrollmentGroupID, Entry: group.Entry}
}
