package state

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RegisterRequest is a registration by an authenticated device.
type RegisterRequest struct {
	Scope, RegistrationID string
	// OperationID is the id of this operation. If empty, one is generated.
	OperationID string
	// APIVersion is the device's api-version. It matters for entries without a reprovision policy.
	APIVersion string
	// Enrollment or Group is the entry that authenticated the device, as it was then.
	Enrollment *Enrollment
	Group      *EnrollmentGroup
	// Keys or, with a PrimaryThumbprint, the thumbprints become the hub device's credential.
	Keys                                   SymmetricKey
	PrimaryThumbprint, SecondaryThumbprint string
	// Issue signs a certificate for the device with that id at its hub and returns the chain, leaf first. The device
	// then authenticates with it at the hub, instead of with the keys or thumbprints. Nil issues none.
	Issue func(deviceID string) ([][]byte, error)
	// Payload is what the device sent, for Decide.
	Payload []byte
	// Decide calls the webhook of a custom allocation. No lock is held meanwhile. Its error becomes the message of a
	// failed registration. If nil, custom allocation fails.
	Decide func(ctx context.Context, in AllocationInput) (AllocationAnswer, error)
}

// AllocationInput is what a webhook gets in addition to the entry.
type AllocationInput struct {
	RegistrationID string
	// CurrentHub and CurrentDeviceID are set if the device is assigned already.
	CurrentHub, CurrentDeviceID string
	// LinkedHubs are the hubs to choose from: those that the entry names, or else all linked hubs.
	LinkedHubs []string
	Payload    []byte
}

// AllocationAnswer is the decision of a webhook.
type AllocationAnswer struct {
	HubHost string
	// InitialTwin and Payload may be nil.
	InitialTwin, Payload []byte
}

// lastStickyVersion is the last device api-version for which devices of an entry without a reprovision policy stay on
// their hub ("IoT Hub Device reprovisioning concepts" in the Azure documentation).
const lastStickyVersion = "2018-04-01"

// registering is a call of Register in progress.
type registering struct {
	s       *State
	request RegisterRequest
	Settings
	groupID, deviceID string
	// answer and refusal come from the webhook, if it was called.
	answer  AllocationAnswer
	refusal error
	asked   bool

	service *Service
	prior   record
	known   bool
	now     time.Time
	batch   *batch
	// issued is the chain of the certificate that was issued.
	issued [][]byte
	// settled is called when the batch is synced, before the locks are released.
	settled []func()
}

// failure ends a registration with an Azure code in its result, not with an error of the call.
type failure struct {
	code    int
	message string
}

// Register assigns the device to a hub, creates or updates its hub device, and stores the registration, all in one
// change. Failures on the hub's side return a Registration with Status Failed; a disabled entry returns one with
// Status Disabled and assigns nothing. Errors are for requests that cannot be registrations: ParentNotFound for the
// scope, NotFound for an enrollment that was deleted meanwhile, Invalid.
func (s *State) Register(ctx context.Context, request RegisterRequest) (Operation, error) {
	r := &registering{s: s, request: request}
	switch {
	case request.Enrollment != nil && request.Group == nil:
		r.Settings = request.Enrollment.Settings
		if r.deviceID = request.Enrollment.DeviceID; r.deviceID == "" {
			r.deviceID = request.Enrollment.RegistrationID
		}
	case request.Group != nil && request.Enrollment == nil:
		r.Settings, r.groupID, r.deviceID = request.Group.Settings, request.Group.ID, request.RegistrationID
	default:
		return Operation{}, &Error{Kind: Invalid, Object: registrationObject(request.RegistrationID),
			Reason: "needs one entry"}
	}
	if err := r.ask(ctx); err != nil {
		return Operation{}, err
	}
	leave, err := s.enter()
	if err != nil {
		return Operation{}, err
	}
	defer leave()
	if r.service, err = s.scope(request.Scope); err != nil {
		return Operation{}, err
	}
	defer s.dps.lock(s.recordLock(request.Scope, request.RegistrationID))()
	if err := r.read(); err != nil {
		return Operation{}, err
	}
	r.now, r.batch = s.Now(), s.store.batch()
	if r.Disabled {
		// Azure keeps a record of it (azure-iot-cli-extension, test_dps_device_registration_disabled_enrollment).
		return r.keep(Registration{Status: Disabled})
	}
	hub, failed := r.choose()
	if failed != nil {
		return r.keep(Registration{Status: Failed, ErrorCode: failed.code, ErrorMessage: failed.message})
	}
	unlock := s.devices.lock(r.deviceKeys(ClassicHost(hub))...)
	defer unlock()
	result, err := r.place(hub)
	if err != nil {
		return Operation{}, err
	}
	return r.keep(r.certify(result))
}

// read reads the current registration and checks that an individual enrollment still exists: deleting it deletes the
// registration.
func (r *registering) read() error {
	scope, id := r.request.Scope, r.request.RegistrationID
	r.prior = record{}
	if r.request.Enrollment != nil {
		var e Enrollment
		if found, err := r.s.store.get(r.s.recordLock(scope, id), &e); err != nil {
			return err
		} else if !found {
			return &Error{Kind: NotFound, Object: Individuals.object(id), Reason: "does not exist"}
		}
	}
	var err error
	if r.known, err = r.s.store.get(recordKey(scope, id), &r.prior); err != nil {
		return err
	}
	if strings.EqualFold(r.prior.device, r.deviceID) && r.groupID != "" {
		// Registration ids are case-insensitive. The hub device keeps the spelling of its first registration.
		r.deviceID = r.prior.device
	}
	return nil
}

// ask calls the webhook of a custom allocation if the registration needs its answer.
func (r *registering) ask(ctx context.Context) error {
	if r.Allocation != Custom || r.request.Decide == nil || r.Disabled {
		return nil
	}
	in, wanted, err := r.question()
	if err != nil || !wanted {
		return err
	}
	r.asked = true
	r.answer, r.refusal = r.request.Decide(ctx, in)
	return nil
}

func (r *registering) question() (AllocationInput, bool, error) {
	leave, err := r.s.enter()
	if err != nil {
		return AllocationInput{}, false, err
	}
	defer leave()
	if r.service, err = r.s.scope(r.request.Scope); err != nil {
		return AllocationInput{}, false, err
	}
	defer r.s.dps.read(r.s.recordLock(r.request.Scope, r.request.RegistrationID))()
	if err := r.read(); err != nil {
		return AllocationInput{}, false, err
	}
	in := AllocationInput{
		RegistrationID: r.request.RegistrationID, CurrentHub: r.keptHub(), CurrentDeviceID: r.prior.device,
		Payload: slices.Clone(r.request.Payload),
	}
	for _, l := range r.offered() {
		in.LinkedHubs = append(in.LinkedHubs, l.HubHost)
	}
	return in, !r.stays(), nil
}

// stays reports whether the device never leaves its hub.
func (r *registering) stays() bool {
	if r.prior.hub == "" {
		return false
	}
	if r.Reprovision != nil {
		return !r.Reprovision.UpdateHubAssignment
	}
	return r.request.APIVersion != "" && r.request.APIVersion <= lastStickyVersion
}

// resets reports whether a device that is assigned again gets its initial twin.
func (r *registering) resets() bool { return r.Reprovision != nil && !r.Reprovision.MigrateDeviceData }

// keep commits the registration and its operation together with the changes in the batch.
func (r *registering) keep(result Registration) (Operation, error) {
	scope := r.request.Scope
	result.RegistrationID, result.GroupID = r.request.RegistrationID, r.groupID
	result.Created, result.Updated = r.now, r.now
	if r.known {
		result.RegistrationID, result.Created = r.prior.RegistrationID, r.prior.Created
	}
	var err error
	if result.ETag, err = r.s.newETag(r.now); err != nil {
		return Operation{}, err
	}
	operation := Operation{ID: r.request.OperationID, Registration: result, IssuedChain: r.issued}
	if operation.ID == "" {
		if operation.ID, err = r.s.NewOperationID(scope); err != nil {
			return Operation{}, err
		}
	}
	next := record{Registration: result, hub: r.prior.hub, device: r.prior.device, operations: r.remember(operation.ID)}
	if result.Status == Assigned {
		next.hub, next.device = ClassicHost(result.AssignedHub), result.DeviceID
	}
	if r.known && r.prior.GroupID != "" && !strings.EqualFold(r.prior.GroupID, r.groupID) {
		r.batch.delete(memberKey(scope, r.prior.GroupID, result.RegistrationID))
	}
	if r.groupID != "" && (!r.known || !strings.EqualFold(r.prior.GroupID, r.groupID)) {
		r.batch.put(memberKey(scope, r.groupID, result.RegistrationID), &member{strings.ToLower(result.RegistrationID)})
	}
	r.batch.put(recordKey(scope, result.RegistrationID), &next)
	r.batch.put(operationKey(scope, operation.ID), &operation)
	if err := r.s.store.commitDevices(r.batch); err != nil {
		return Operation{}, fmt.Errorf("register %q: %w", r.request.RegistrationID, err)
	}
	for _, settle := range r.settled {
		settle()
	}
	operation.Payload = slices.Clone(operation.Payload)
	return operation, nil
}

// certify issues the certificate of an assigned device. If that fails, so does the registration, which then changes
// nothing at the hubs.
func (r *registering) certify(result Registration) Registration {
	if r.request.Issue == nil || result.Status != Assigned {
		return result
	}
	var err error
	if r.issued, err = r.request.Issue(result.DeviceID); err != nil {
		return r.undone(codeIssuance, "The certificate was not issued: "+err.Error())
	}
	return result
}

// undone drops the changes that the registration has prepared and returns its failure.
func (r *registering) undone(code int, message string) Registration {
	r.batch.Reset()
	r.settled = nil
	return Registration{Status: Failed, ErrorCode: code, ErrorMessage: message}
}

// remember returns the operations to keep, the new one last, and drops the others.
func (r *registering) remember(id string) []operationRef {
	all := append(slices.Clone(r.prior.operations), operationRef{id, r.now})
	drop := max(0, len(all)-operationsMost)
	for drop < len(all)-1 {
		age := r.now.Sub(all[drop].begun)
		if age <= operationYouth || age <= operationLifetime && len(all)-drop <= operationsKept {
			break
		}
		drop++
	}
	for _, o := range all[:drop] {
		r.batch.delete(operationKey(r.request.Scope, o.id))
	}
	return all[drop:]
}
