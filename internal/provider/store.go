package provider

import (
	"context"

	"evenkeel/dpsservice"
)

// store is one of the service's two collections of entries. An enrollment group travels as an individual enrollment whose
// registration id is the group's id: an individual enrollment has every field of a group and two more.
type store interface {
	get(ctx context.Context, id string) (dpsservice.IndividualEnrollment, error)
	put(ctx context.Context, id string, entry dpsservice.IndividualEnrollment, etag string) (dpsservice.IndividualEnrollment, error)
	remove(ctx context.Context, id, etag string) error
	attestation(ctx context.Context, id string) (dpsservice.Attestation, error)
}

// anyVersion is the etag that fits every version of an entry.
const anyVersion = "*"

type individuals struct {
	dpsservice.Collection[dpsservice.IndividualEnrollment]
}

func (s individuals) get(ctx context.Context, id string) (dpsservice.IndividualEnrollment, error) {
	return s.Get(ctx, id)
}

func (s individuals) put(ctx context.Context, id string, entry dpsservice.IndividualEnrollment, etag string) (dpsservice.IndividualEnrollment, error) {
	return s.Put(ctx, id, entry, etag)
}

func (s individuals) remove(ctx context.Context, id, etag string) error {
	return s.Delete(ctx, id, etag)
}

func (s individuals) attestation(ctx context.Context, id string) (dpsservice.Attestation, error) {
	return s.AttestationMechanism(ctx, id)
}

type groups struct {
	dpsservice.Collection[dpsservice.EnrollmentGroup]
}

func (s groups) get(ctx context.Context, id string) (dpsservice.IndividualEnrollment, error) {
	group, err := s.Get(ctx, id)
	return fromGroup(group), err
}

func (s groups) put(ctx context.Context, id string, entry dpsservice.IndividualEnrollment, etag string) (dpsservice.IndividualEnrollment, error) {
	group, err := s.Put(ctx, id, dpsservice.EnrollmentGroup{EnrollmentGroupID: entry.RegistrationID, Entry: entry.Entry}, etag)
	return fromGroup(group), err
}

func (s groups) remove(ctx context.Context, id, etag string) error { return s.Delete(ctx, id, etag) }

func (s groups) attestation(ctx context.Context, id string) (dpsservice.Attestation, error) {
	return s.AttestationMechanism(ctx, id)
}

func fromGroup(group dpsservice.EnrollmentGroup) dpsservice.IndividualEnrollment {
	return dpsservice.IndividualEnrollment{RegistrationID: group.EnrollmentGroupID, Entry: group.Entry}
}
