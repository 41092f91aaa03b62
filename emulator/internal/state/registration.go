package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// RegistrationStatus is the status of a registration.
type RegistrationStatus string

// Registration statuses, in Azure's terms.
const (
	Unassigned RegistrationStatus = "unassigned"
	Assigning  RegistrationStatus = "assigning"
	Assigned   RegistrationStatus = "assigned"
	Failed     RegistrationStatus = "failed"
	Disabled   RegistrationStatus = "disabled"
)

// Substatuses of an assigned registration, in Azure's terms.
const (
	InitialAssignment = "initialAssignment"
	DataMigrated      = "deviceDataMigrated"
	DataReset         = "deviceDataReset"
	SameAssignment    = "reprovisionedToInitialAssignment"
)

// Registration is the record of a device at a provisioning service.
type Registration struct {
	RegistrationID string
	// GroupID is empty for an individual enrollment.
	GroupID     string
	DeviceID    string
	AssignedHub string
	Status      RegistrationStatus
	// Substatus: InitialAssignment, DataMigrated, DataReset or SameAssignment; only with Assigned.
	Substatus string
	// ErrorCode and ErrorMessage are set with Failed. The code is Azure's, for example 400208.
	ErrorCode    int
	ErrorMessage string
	// Payload is what a webhook returned for the device: JSON or nil.
	Payload          []byte
	ETag             string
	Created, Updated time.Time
}

// Operation is one run of a registration. It can be read by its id for at least ten minutes, while devices poll for
// it, and until its device has begun eight more, or the first one a day later. Fidelity: how long Azure keeps
// operations is not documented.
type Operation struct {
	ID string
	Registration
	// IssuedChain are the certificates that the registration issued to the device, in DER, its own first; nil without
	// any. Only the operation has them, not the registration.
	IssuedChain [][]byte
}

// Limits of the operations that are kept per registration. An operation younger than operationYouth is kept even if
// many follow, up to a number that only a device in an endless loop reaches.
const (
	operationsKept    = 8
	operationYouth    = 10 * time.Minute
	operationsMost    = 1024
	operationLifetime = 24 * time.Hour
)

func (r *Registration) fields(c *codec) {
	text(c, "registrationId", &r.RegistrationID)
	text(c, "groupId", &r.GroupID)
	text(c, "deviceId", &r.DeviceID)
	text(c, "assignedHub", &r.AssignedHub)
	text(c, "status", &r.Status)
	text(c, "substatus", &r.Substatus)
	code := int64(r.ErrorCode)
	c.int("errorCode", &code)
	r.ErrorCode = int(code)
	text(c, "errorMessage", &r.ErrorMessage)
	c.bytes("payload", &r.Payload)
	text(c, "etag", &r.ETag)
	c.time("created", &r.Created)
	c.time("updated", &r.Updated)
}

func (o *Operation) fields(c *codec) {
	chain := func() {
		list(c, "issuedCertificateChain", &o.IssuedChain, func(der *[]byte) { c.bytes("", der) })
	}
	if c.doc != nil {
		text(c, "id", &o.ID)
		o.Registration.fields(c)
		chain()
		return
	}
	// An empty text before the id, which no operation has, precedes the chain. Rows of earlier versions have neither.
	mark := ""
	if o.IssuedChain == nil {
		mark = o.ID
	}
	text(c, "", &mark)
	if mark == "" {
		chain()
		text(c, "", &o.ID)
	} else {
		o.ID = mark
	}
	o.Registration.fields(c)
}

// record is a stored registration, including fields that its device does not see.
type record struct {
	Registration
	// hub and device are the current assignment. A failed registration does not change them.
	hub, device string
	operations  []operationRef
}

type operationRef struct {
	id    string
	begun time.Time
}

func (r *record) fields(c *codec) {
	r.Registration.fields(c)
	text(c, "hub", &r.hub)
	text(c, "device", &r.device)
	list(c, "operations", &r.operations, func(o *operationRef) {
		text(c, "id", &o.id)
		c.time("begun", &o.begun)
	})
}

func recordKey(svc, id string) []byte {
	return keyOf(tableRegistration, strings.ToLower(svc), strings.ToLower(id))
}

func memberKey(svc, group, id string) []byte {
	return keyOf(tableGroupMember, strings.ToLower(svc), strings.ToLower(group), strings.ToLower(id))
}

func operationKey(svc, id string) []byte { return keyOf(tableOperation, strings.ToLower(svc), id) }

// recordLock returns the lock of a registration: that of the individual enrollment with the same id, because the two
// are deleted together.
func (s *State) recordLock(svc, id string) []byte { return Individuals.key(svc, id) }

func registrationObject(id string) string { return fmt.Sprintf("registration %q", id) }

// Registration returns the registration with that id.
func (s *State) Registration(svc, id string) (Registration, error) {
	leave, err := s.enter()
	if err != nil {
		return Registration{}, err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return Registration{}, err
	}
	defer s.dps.read(s.recordLock(svc, id))()
	var r record
	found, err := s.store.get(recordKey(svc, id), &r)
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: registrationObject(id), Reason: "does not exist"}
	}
	return r.Registration, err
}

// Registrations pages through the registrations of an enrollment group as Enrollments does, whether or not the group
// still exists.
func (s *State) Registrations(svc, group, after string, limit int) ([]Registration, string, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return nil, "", err
	}
	members, next, err := page(s.store, tableGroupMember, []string{strings.ToLower(svc), strings.ToLower(group)},
		strings.ToLower(after),
		limit, (*member).name)
	if err != nil {
		return nil, "", err
	}
	out := make([]Registration, 0, len(members))
	for _, m := range members {
		var r record
		found, err := s.store.get(recordKey(svc, m.id), &r)
		if err != nil {
			return nil, "", err
		}
		if found {
			out = append(out, r.Registration)
		}
	}
	return out, next, s.store.settle()
}

// member is the row that lists a registration under its group.
type member struct{ id string }

func (m *member) fields(c *codec) { text(c, "id", &m.id) }
func (m *member) name() string    { return m.id }

// DeleteRegistration deletes a registration and keeps the hub device. Unconditional means MustExist.
func (s *State) DeleteRegistration(svc, id, etag string) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return err
	}
	defer s.dps.lock(s.recordLock(svc, id))()
	var r record
	found, err := s.store.get(recordKey(svc, id), &r)
	if err != nil {
		return err
	}
	if etag == Unconditional {
		etag = MustExist
	}
	if err := check(registrationObject(id), etag, r.ETag, found); err != nil {
		return err
	}
	b := s.store.batch()
	r.drop(b, svc)
	return s.store.commitDevices(b)
}

// drop adds the removal of the record to b.
func (r *record) drop(b *batch, svc string) {
	b.delete(recordKey(svc, r.RegistrationID))
	if r.GroupID != "" {
		b.delete(memberKey(svc, r.GroupID, r.RegistrationID))
	}
	for _, o := range r.operations {
		b.delete(operationKey(svc, o.id))
	}
}

// dropRecord adds the removal of an individual enrollment's record, if it exists.
func (s *State) dropRecord(b *batch, svc, id string) error {
	var r record
	found, err := s.store.get(recordKey(svc, id), &r)
	if err == nil && found && r.GroupID == "" {
		r.drop(b, svc)
	}
	return err
}

// RegistrationOperation returns an operation of a registration. The caller must check whether the client may see it.
func (s *State) RegistrationOperation(scope, id string) (Operation, error) {
	leave, err := s.enter()
	if err != nil {
		return Operation{}, err
	}
	defer leave()
	if _, err := s.scope(scope); err != nil {
		return Operation{}, err
	}
	// No client knows the id before the operation is synced.
	var o Operation
	found, err := s.store.get(operationKey(scope, id), &o)
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: fmt.Sprintf("operation %q", id), Reason: "does not exist"}
	}
	return o, err
}

// NewOperationID returns an id such as "5.316aac5bdc130deb.<guid>". Its middle part is the same for all operations of
// a service.
func (s *State) NewOperationID(scope string) (string, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return "", fmt.Errorf("generate operation id: %w", err)
	}
	sum := sha256.Sum256([]byte(strings.ToLower(scope)))
	return "5." + hex.EncodeToString(sum[:8]) + "." + id.String(), nil
}
