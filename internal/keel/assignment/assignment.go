// Package assignment reads from a provisioning service which devices are assigned to which hub, and what their
// enrollments decide about it. Azure has no query by hub: the package reads the registration records of the groups,
// page by page, and one record for each individual enrollment.
//
// It changes nothing, and asks no hub.
package assignment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/enrollment"
)

// parallel is how many records of individual enrollments are requested at a time.
const parallel = 16

// Device is a device that is assigned to a hub.
type Device struct {
	// ID is the registration id, DeviceID the id at the hub.
	ID         string `json:"id"`
	DeviceID   string `json:"deviceId"`
	Enrollment Key    `json:"enrollment"`
	// Hub is the host name of the hub, as domain.ClassicHost returns it.
	Hub string `json:"hub"`
	// Version differs after each registration.
	Version string `json:"version"`
}

// Key names an enrollment.
type Key struct {
	// ID is the id of the group, or the registration id of an individual enrollment.
	ID string `json:"id"`
	// Individual is false for a group.
	Individual bool `json:"individual"`
}

// String returns the key for people.
func (k Key) String() string {
	if k.Individual {
		return "individual enrollment " + k.ID
	}
	return "group " + k.ID
}

// Enrollment is an entry of the service, with what it decides about hubs.
type Enrollment struct {
	Key
	// Policy is the allocation policy in the spelling of the service API; "" for that of the service.
	Policy string
	// Hubs are the host names of the hubs that the entry names, as domain.ClassicHost returns them; nil for every
	// linked hub.
	Hubs []string
	// Never is true if its devices keep their hub when they register again.
	Never bool
	// Disabled is true if its devices cannot register.
	Disabled bool
	// Devices are the numbers of assigned devices by hub.
	Devices map[string]int
}

// Names reports whether the entry names the hub.
func (e Enrollment) Names(host string) bool { return slices.Contains(e.Hubs, domain.ClassicHost(host)) }

// Select limits what Read reads and returns.
type Select struct {
	// Group is the id of the only group to read, without individual enrollments; "" for everything.
	Group string
	// Device selects the devices to return; nil for none. They are counted in any case.
	Device func(Device) bool
	// Progress is called now and then with the number of devices read so far; nil is allowed.
	Progress func(devices int)
}

// Census is what Read returns, in the order of the service: groups, then individual enrollments.
type Census struct {
	Enrollments []Enrollment
	Devices     []Device
}

// On returns the number of devices that are assigned to the hub.
func (c Census) On(host string) int {
	n := 0
	for _, e := range c.Enrollments {
		n += e.Devices[domain.ClassicHost(host)]
	}
	return n
}

// ErrNoGroup is the cause if the selected group does not exist.
var ErrNoGroup = errors.New("no such enrollment group")

// reader collects a census.
type reader struct {
	client *dpsservice.Client
	only   Select

	mu    sync.Mutex // guards census and seen
	all   Census
	seen  int
	index map[Key]int
}

// Read reads all enrollments and registrations of a service, or those of one group.
func Read(ctx context.Context, client *dpsservice.Client, only Select) (Census, error) {
	r := &reader{client: client, only: only, index: map[Key]int{}}
	if only.Group != "" {
		entry, err := client.Groups().Get(ctx, only.Group)
		if errors.Is(err, dpsservice.ErrNotFound) {
			return Census{}, fmt.Errorf("read group %q: %w", only.Group, ErrNoGroup)
		}
		if err != nil {
			return Census{}, fmt.Errorf("read group %q: %w", only.Group, err)
		}
		err = r.group(ctx, entry)
		return r.all, err
	}
	for entry, err := range client.Groups().Query(ctx, "SELECT *", 0) {
		if err != nil {
			return Census{}, fmt.Errorf("list enrollment groups: %w", err)
		}
		if err := r.group(ctx, entry); err != nil {
			return Census{}, err
		}
	}
	err := r.individuals(ctx)
	return r.all, err
}

func (r *reader) group(ctx context.Context, entry dpsservice.Enrollment) error {
	key := r.add(entry, false)
	for record, err := range r.client.Registrations(ctx, entry.ID, 0) {
		if err != nil {
			return fmt.Errorf("list the registrations of %q: %w", entry.ID, err)
		}
		r.count(key, record)
	}
	return nil
}

// individuals reads the individual enrollments, and the record of each whose entry came without one.
func (r *reader) individuals(ctx context.Context) error {
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(parallel)
	for entry, err := range r.client.Individuals().Query(ctx, "SELECT *", 0) {
		if err != nil {
			return errors.Join(fmt.Errorf("list individual enrollments: %w", err), work.Wait())
		}
		key := r.add(entry, true)
		if state := entry.RegistrationState; state != nil && state.AssignedHub != "" {
			r.count(key, *state)
			continue
		}
		work.Go(func() error {
			record, err := r.client.Registration(ctx, entry.ID)
			if errors.Is(err, dpsservice.ErrNotFound) { // it has never registered
				return nil
			}
			if err != nil {
				return fmt.Errorf("read the registration of %q: %w", entry.ID, err)
			}
			r.count(key, record)
			return nil
		})
	}
	return work.Wait()
}

func (r *reader) add(entry dpsservice.Enrollment, individual bool) Key {
	e := Enrollment{Key: Key{entry.ID, individual}, Devices: map[string]int{}}
	if entry.AllocationPolicy != nil {
		e.Policy, _ = enrollment.CanonicalPolicy(*entry.AllocationPolicy)
	}
	for _, host := range entry.IotHubs {
		e.Hubs = append(e.Hubs, domain.ClassicHost(host))
	}
	if pin := entry.IotHubHostName; len(e.Hubs) == 0 && pin != nil && *pin != "" {
		e.Hubs = []string{domain.ClassicHost(*pin)}
		if e.Policy == "" {
			e.Policy = enrollment.Static
		}
	}
	e.Never = entry.ReprovisionPolicy != nil && !entry.ReprovisionPolicy.UpdateHubAssignment
	e.Disabled = entry.ProvisioningStatus != nil && strings.EqualFold(*entry.ProvisioningStatus, "disabled")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.index[e.Key] = len(r.all.Enrollments)
	r.all.Enrollments = append(r.all.Enrollments, e)
	return e.Key
}

// count counts a record, if it names a hub: a registration that failed later still does.
func (r *reader) count(key Key, record dpsservice.Registration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen++
	if r.only.Progress != nil {
		r.only.Progress(r.seen)
	}
	if record.AssignedHub == "" {
		return
	}
	d := NewDevice(key, record)
	r.all.Enrollments[r.index[key]].Devices[d.Hub]++
	if r.only.Device != nil && r.only.Device(d) {
		r.all.Devices = append(r.all.Devices, d)
	}
}

// NewDevice returns the device of a registration record.
func NewDevice(key Key, record dpsservice.Registration) Device {
	return Device{
		ID: record.RegistrationID, DeviceID: record.DeviceID, Enrollment: key,
		Hub: domain.ClassicHost(record.AssignedHub), Version: record.LastUpdatedDateTimeUtc + " " + record.Etag,
	}
}
