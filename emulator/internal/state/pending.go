package state

import (
	"context"
	"errors"
	"time"
)

// Signatures under construction: each moves to the file of its noun.

var errPending = errors.New("not written yet")

// State is the emulated cloud.
type State struct{}

// Open opens the store of o.Dir, or makes it.
func Open(o Options) (*State, error) { return &State{}, nil }

// Close ends the state; calls under way finish first.
func (s *State) Close() error { return nil }

// Now is the state's clock, in UTC.
func (s *State) Now() time.Time { return time.Now().UTC() }

// Reset removes everything.
func (s *State) Reset() error { return errPending }

// Counts is how much of everything there is.
type Counts struct {
	Groups, Hubs, Services, Enrollments, EnrollmentGroups, Registrations, Operations, Devices int
}

// Counts counts by scanning: for tests and the control port.
func (s *State) Counts() (Counts, error) { return Counts{}, errPending }

// Group returns the resource group of that name.
func (s *State) Group(subscription, name string) (Group, error) { return Group{}, errPending }

// Groups returns the subscription's resource groups by name.
func (s *State) Groups(subscription string) ([]Group, error) { return nil, errPending }

// PutGroup makes a resource group, or replaces its tags. A changed location is Invalid.
func (s *State) PutGroup(g Group) (Group, bool, error) { return g, false, errPending }

// DeleteGroup deletes a resource group and every resource in it; took from now it is gone.
func (s *State) DeleteGroup(subscription, name string, took time.Duration) error { return errPending }

// Hub returns the hub of that id.
func (s *State) Hub(id ResourceID) (Hub, error) { return Hub{}, errPending }

// HubByHost returns the hub of that host name.
func (s *State) HubByHost(host string) (Hub, error) { return Hub{}, errPending }

// Hubs returns the hubs of a group, or of the subscription when group is empty, or all when both are, by name.
func (s *State) Hubs(subscription, group string) ([]Hub, error) { return nil, errPending }

// PutHub makes or replaces a hub.
func (s *State) PutHub(h Hub, etag string, took time.Duration) (Hub, bool, error) {
	return h, false, errPending
}

// SetHubTags replaces a hub's tags.
func (s *State) SetHubTags(id ResourceID, tags map[string]string, took time.Duration) (Hub, error) {
	return Hub{}, errPending
}

// DeleteHub deletes a hub, its devices and twins.
func (s *State) DeleteHub(id ResourceID, took time.Duration) (Hub, error) { return Hub{}, errPending }

// Service returns the provisioning service of that id.
func (s *State) Service(id ResourceID) (Service, error) { return Service{}, errPending }

// ServiceByHost returns the provisioning service of that host name.
func (s *State) ServiceByHost(host string) (Service, error) { return Service{}, errPending }

// ServiceByScope returns the provisioning service of that ID scope.
func (s *State) ServiceByScope(idScope string) (Service, error) { return Service{}, errPending }

// Services lists as Hubs does.
func (s *State) Services(subscription, group string) ([]Service, error) { return nil, errPending }

// PutService makes or replaces a provisioning service.
func (s *State) PutService(v Service, etag string, took time.Duration) (Service, bool, error) {
	return v, false, errPending
}

// SetServiceTags replaces a service's tags.
func (s *State) SetServiceTags(id ResourceID, tags map[string]string, took time.Duration) (Service, error) {
	return Service{}, errPending
}

// DeleteService deletes a provisioning service, its enrollments and registrations.
func (s *State) DeleteService(id ResourceID, took time.Duration) (Service, error) {
	return Service{}, errPending
}

// SetGroupTags replaces a resource group's tags.
func (s *State) SetGroupTags(subscription, name string, tags map[string]string) (Group, error) {
	return Group{}, errPending
}

// Async is the record of a long-running ARM operation: running until Due, then succeeded, or failed when Code is set.
type Async struct {
	ID            string
	Resource      ResourceID
	Due           time.Time
	Code, Message string
}

// PutAsync keeps the record of an operation, for a day after Due.
func (s *State) PutAsync(a Async) error { return errPending }

// Async returns the record of an operation.
func (s *State) Async(id string) (Async, error) { return Async{}, errPending }

// Child is a document under a hub or a provisioning service that only the ARM surface understands (certificate, consumer group).
type Child struct {
	// Parent is the host name of the hub or service: it tells both kinds apart.
	Parent string
	// Kind is a word of the surface's choosing, as "certificates". Names compare without regard to letter case.
	Kind, Name string
	Body       []byte
	Version    uint64
}

// ETag is the child's etag in the 8-byte form.
func (c Child) ETag() string { return versionETag(c.Version) }

// Child returns one child document.
func (s *State) Child(parent, kind, name string) (Child, error) { return Child{}, errPending }

// Children returns the children of a kind by name.
func (s *State) Children(parent, kind string) ([]Child, error) { return nil, errPending }

// PutChild makes or replaces a child document.
func (s *State) PutChild(c Child, etag string) (Child, bool, error) { return c, false, errPending }

// DeleteChild deletes a child document.
func (s *State) DeleteChild(parent, kind, name, etag string) error { return errPending }

// Enrollment returns an individual enrollment; svc is the ID scope of its service.
func (s *State) Enrollment(svc, id string) (Enrollment, error) { return Enrollment{}, errPending }

// PutEnrollment makes or replaces an individual enrollment; empty symmetric keys are made.
func (s *State) PutEnrollment(svc string, e Enrollment, etag string) (Enrollment, bool, error) {
	return e, false, errPending
}

// DeleteEnrollment deletes an individual enrollment and its registration.
func (s *State) DeleteEnrollment(svc, id, etag string) error { return errPending }

// Enrollments returns up to limit enrollments after the id given, and the id to go on from ("" at the end).
func (s *State) Enrollments(svc, after string, limit int) ([]Enrollment, string, error) {
	return nil, "", errPending
}

// EnrollmentGroup returns an enrollment group.
func (s *State) EnrollmentGroup(svc, id string) (EnrollmentGroup, error) {
	return EnrollmentGroup{}, errPending
}

// PutEnrollmentGroup makes or replaces an enrollment group; empty symmetric keys are made.
func (s *State) PutEnrollmentGroup(svc string, g EnrollmentGroup, etag string) (EnrollmentGroup, bool, error) {
	return g, false, errPending
}

// DeleteEnrollmentGroup deletes an enrollment group; its registrations stay.
func (s *State) DeleteEnrollmentGroup(svc, id, etag string) error { return errPending }

// EnrollmentGroups pages as Enrollments does.
func (s *State) EnrollmentGroups(svc, after string, limit int) ([]EnrollmentGroup, string, error) {
	return nil, "", errPending
}

// Registration returns the registration of that id.
func (s *State) Registration(svc, id string) (Registration, error) { return Registration{}, errPending }

// Registrations pages through the registrations of an enrollment group by id.
func (s *State) Registrations(svc, group, after string, limit int) ([]Registration, string, error) {
	return nil, "", errPending
}

// DeleteRegistration deletes a registration; the hub device stays.
func (s *State) DeleteRegistration(svc, id, etag string) error { return errPending }

// RegisterRequest is a registration by a device that has proven itself.
type RegisterRequest struct {
	Scope, RegistrationID, APIVersion string
	// Enrollment or Group: the entry that let the device in.
	Enrollment *Enrollment
	Group      *EnrollmentGroup
	// Keys or the thumbprints become the hub device's credential.
	Keys                                   SymmetricKey
	PrimaryThumbprint, SecondaryThumbprint string
	// Payload is what the device sent, for Decide.
	Payload []byte
	// Decide asks the webhook of a custom allocation; it is called without any lock held. Nil: custom allocation fails.
	Decide func(ctx context.Context, in AllocationInput) (AllocationAnswer, error)
}

// AllocationInput is what a webhook is told beside the entry itself.
type AllocationInput struct {
	RegistrationID string
	// CurrentHub and CurrentDeviceID are set when the device is assigned already.
	CurrentHub, CurrentDeviceID string
	// LinkedHubs are the hubs to choose from.
	LinkedHubs []string
	Payload    []byte
}

// AllocationAnswer is what a webhook decided.
type AllocationAnswer struct {
	HubHost string
	// InitialTwin and Payload may be nil.
	InitialTwin, Payload []byte
}

// Register assigns the device to a hub.
func (s *State) Register(ctx context.Context, r RegisterRequest) (Operation, error) {
	return Operation{}, errPending
}

// RegistrationOperation returns a run of a registration.
func (s *State) RegistrationOperation(scope, id string) (Operation, error) {
	return Operation{}, errPending
}

// Device returns a device of the hub of that host name.
func (s *State) Device(hub, id string) (Device, error) { return Device{}, errPending }

// Devices pages through a hub's devices by id.
func (s *State) Devices(hub, after string, limit int) ([]Device, string, error) {
	return nil, "", errPending
}

// PutDevice makes (create: Exists when it is there) or updates (ifMatch as for enrollments) a device.
func (s *State) PutDevice(hub string, d Device, ifMatch string, create bool) (Device, error) {
	return d, errPending
}

// DeleteDevice deletes a device and its twin.
func (s *State) DeleteDevice(hub, id, ifMatch string) error { return errPending }

// Twin returns a device's twin.
func (s *State) Twin(hub, id string) (Twin, error) { return Twin{}, errPending }

// TwinPatch changes a twin. Members are JSON objects; nil leaves that part alone.
type TwinPatch struct {
	Tags, Desired, Reported []byte
	// Replace puts the objects in the place of the present ones; otherwise they are merged and nulls delete.
	Replace bool
}

// PatchTwin changes a twin.
func (s *State) PatchTwin(hub, id string, p TwinPatch, ifMatch string) (Twin, error) {
	return Twin{}, errPending
}

// DesiredChange is a change of a twin's desired properties.
type DesiredChange struct {
	Hub, DeviceID string
	// Patch is the JSON object as it was sent; Version is the desired properties' version after it.
	Patch   []byte
	Version int64
}

// OnDesired calls f after each synced change of desired properties, one at a time, in the order of the versions of each twin, until
// stop is called. f may call the state; while it runs others wait for their turn.
func (s *State) OnDesired(f func(DesiredChange)) (stop func()) { return func() {} }

// Statistics counts a hub's devices.
type Statistics struct {
	Total, Enabled, Disabled, Connected int
}

// Statistics counts by scanning.
func (s *State) Statistics(hub string) (Statistics, error) { return Statistics{}, errPending }

// SetConnected notes that a device connected or disconnected; kept in memory only.
func (s *State) SetConnected(hub, id string, connected bool) {}

// Touch notes that a device was heard of; kept in memory only.
func (s *State) Touch(hub, id string) {}

// Candidate is a hub that may get a device.
type Candidate struct {
	Host string
	// Weight below 1 counts as 1.
	Weight int
	// Latency is how far the hub is from the device; nil when unknown. Only for GeoLatency.
	Latency *time.Duration
}

// Allocate picks the hub of a registration.
func Allocate(policy AllocationPolicy, registrationID string, candidates []Candidate) (string, error) {
	return "", errPending
}
