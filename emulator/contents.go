package emulator

import (
	"errors"
	"fmt"

	"evenkeel/emulator/internal/state"
)

// The functions below read the emulated cloud directly, for tests: without authentication and without an entry in the
// request log.

// Counts is the number of objects of each kind. It is the zero value after everything was deleted.
type Counts struct {
	Groups           int `json:"groups"`
	Hubs             int `json:"hubs"`
	Services         int `json:"services"`
	Enrollments      int `json:"enrollments"`
	EnrollmentGroups int `json:"enrollmentGroups"`
	Registrations    int `json:"registrations"`
	Operations       int `json:"operations"`
	Devices          int `json:"devices"`
}

// Hub is an IoT hub.
type Hub struct {
	Name, ResourceGroup, Host, Location, SKU string
	Capacity                                 int64
	Tags                                     map[string]string
}

// Service is a Device Provisioning Service.
type Service struct {
	Name, ResourceGroup, Host, Location, IDScope string
	// Allocation is "hashed", "geoLatency" or "static".
	Allocation string
	Links      []Link
	Tags       map[string]string
}

// Link is a hub linked to a provisioning service, with Azure's defaults filled in.
type Link struct {
	HubHost string
	Weight  int
	Apply   bool
}

// Enrollment is an individual enrollment, or an enrollment group.
type Enrollment struct {
	// ID is the registration id, or the id of the group.
	ID       string
	DeviceID string
	Disabled bool
	ETag     string
}

// Registration is the registration record of a device at a provisioning service.
type Registration struct {
	ID, Group, DeviceID, Hub, Status string
}

// Counts counts all objects.
func (e *Emulator) Counts() (Counts, error) {
	c, err := e.state.Counts()
	if err != nil {
		return Counts{}, fmt.Errorf("emulator: count: %w", err)
	}
	return Counts(c), nil
}

// Hubs returns all hubs, sorted by name.
func (e *Emulator) Hubs() ([]Hub, error) {
	found, err := e.state.Hubs("", "")
	if err != nil {
		return nil, fmt.Errorf("emulator: list hubs: %w", err)
	}
	hubs := make([]Hub, len(found))
	for i, h := range found {
		hubs[i] = Hub{
			Name: h.ID.Name, ResourceGroup: h.ID.Group, Host: h.Host(), Location: h.Location,
			SKU: h.SKU.Name, Capacity: h.SKU.Capacity, Tags: h.Tags,
		}
	}
	return hubs, nil
}

// HubDevices returns the number of devices of each hub, by host name. It scans all devices.
func (e *Emulator) HubDevices() (map[string]int, error) {
	hubs, err := e.state.Hubs("", "")
	if err != nil {
		return nil, fmt.Errorf("emulator: list hubs: %w", err)
	}
	devices := map[string]int{}
	for _, h := range hubs {
		n, err := e.state.Statistics(h.Host())
		if refusal := (*state.Error)(nil); errors.As(err, &refusal) && refusal.Kind == state.ParentNotFound {
			continue // deleted meanwhile, or not active yet
		}
		if err != nil {
			return nil, fmt.Errorf("emulator: count the devices of %s: %w", h.Host(), err)
		}
		devices[h.Host()] = n.Total
	}
	return devices, nil
}

// Services returns all provisioning services, sorted by name.
func (e *Emulator) Services() ([]Service, error) {
	found, err := e.state.Services("", "")
	if err != nil {
		return nil, fmt.Errorf("emulator: list provisioning services: %w", err)
	}
	services := make([]Service, len(found))
	for i, s := range found {
		services[i] = Service{
			Name: s.ID.Name, ResourceGroup: s.ID.Group, Host: s.Host(), Location: s.Location, IDScope: s.IDScope,
			Allocation: string(s.Allocation), Links: links(s.Links), Tags: s.Tags,
		}
	}
	return services, nil
}

func links(found []state.Link) []Link {
	links := make([]Link, len(found))
	for i, l := range found {
		links[i] = Link{HubHost: l.HubHost, Weight: 1, Apply: true}
		if l.Weight != nil {
			links[i].Weight = *l.Weight
		}
		if l.Apply != nil {
			links[i].Apply = *l.Apply
		}
	}
	return links
}

// Enrollments returns the individual enrollments of the service with that ID scope.
func (e *Emulator) Enrollments(idScope string) ([]Enrollment, error) {
	return e.entries(state.Individuals, idScope)
}

// EnrollmentGroups returns the enrollment groups of the service with that ID scope.
func (e *Emulator) EnrollmentGroups(idScope string) ([]Enrollment, error) {
	return e.entries(state.Groups, idScope)
}

func (e *Emulator) entries(kind state.EntryKind, idScope string) ([]Enrollment, error) {
	return collect(func(after string) ([]Enrollment, string, error) {
		page, next, err := e.state.Entries(kind, idScope, after, pageSize)
		found := make([]Enrollment, len(page))
		for i, en := range page {
			found[i] = Enrollment{ID: en.ID, DeviceID: en.DeviceID, Disabled: en.Disabled, ETag: en.ETag}
		}
		return found, next, err
	})
}

// Registration returns the record of one device at the service with that ID scope.
func (e *Emulator) Registration(idScope, id string) (Registration, error) {
	r, err := e.state.Registration(idScope, id)
	if err != nil {
		return Registration{}, fmt.Errorf("emulator: %w", err)
	}
	return showRegistration(r), nil
}

// Registrations returns the records of devices that registered through an enrollment group, whether or not the group
// still exists.
func (e *Emulator) Registrations(idScope, group string) ([]Registration, error) {
	return collect(func(after string) ([]Registration, string, error) {
		page, next, err := e.state.Registrations(idScope, group, after, pageSize)
		found := make([]Registration, len(page))
		for i, r := range page {
			found[i] = showRegistration(r)
		}
		return found, next, err
	})
}

func showRegistration(r state.Registration) Registration {
	return Registration{ID: r.RegistrationID, Group: r.GroupID, DeviceID: r.DeviceID, Hub: r.AssignedHub,
		Status: string(r.Status)}
}

// Devices returns the device ids in the registry of the hub with that host name.
func (e *Emulator) Devices(hubHost string) ([]string, error) {
	return collect(func(after string) ([]string, string, error) {
		page, next, err := e.state.Devices(state.ClassicHost(hubHost), after, pageSize)
		ids := make([]string, len(page))
		for i, d := range page {
			ids[i] = d.ID
		}
		return ids, next, err
	})
}

const pageSize = 1000

// collect reads all pages of a list. The last page has an empty next.
func collect[V any](page func(after string) ([]V, string, error)) ([]V, error) {
	all := []V{}
	after := ""
	for {
		found, next, err := page(after)
		if err != nil {
			return nil, fmt.Errorf("emulator: list: %w", err)
		}
		all = append(all, found...)
		if next == "" {
			return all, nil
		}
		after = next
	}
}
