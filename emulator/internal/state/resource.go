package state

import "time"

// ResourceID names an ARM resource. Names compare without regard to letter case and keep the spelling of their creation.
type ResourceID struct {
	Subscription, Group, Name string
}

// Group is a resource group.
type Group struct {
	Subscription, Name, Location string
	Tags                         map[string]string
	Created                      time.Time
	// Phase is Active, or Deleting until Due.
	Phase Phase
	Due   time.Time
}

// Policy is a shared access policy of a hub or a provisioning service.
type Policy struct {
	Name string
	// Rights are single rights, as "RegistryWrite" or "EnrollmentRead".
	Rights       []string
	PrimaryKey   string
	SecondaryKey string
}

// Phase is where a hub or service stands in its life. It follows from the clock: a resource under way becomes Active, or is gone,
// when its transition is due, with nobody having to act.
type Phase string

// Phases, in Azure's words.
const (
	Activating    Phase = "Activating"
	Active        Phase = "Active"
	Transitioning Phase = "Transitioning"
	Deleting      Phase = "Deleting"
)

// Resource is what hubs and provisioning services share.
type Resource struct {
	ID       ResourceID
	Location string
	Tags     map[string]string
	SKU      SKU
	// Policies are never empty: the surface supplies Azure's default ones when a creation names none.
	Policies []Policy
	// Properties are the settings in the form of the ARM surface, which alone reads them, see Options.HubSettings.
	Properties []byte
	Created    time.Time
	// Phase and Due: the transition under way ends at Due. Reads give the phase as of now.
	Phase Phase
	Due   time.Time
	// Version rises with each change; ETag is made of it.
	Version uint64
}

// SKU is a price tier: name as "S1", and its units.
type SKU struct {
	Name     string
	Capacity int64
}

// Hub is an IoT hub. Its host name is {name}.azure-devices.net.
type Hub struct {
	Resource
	// Settings are read from Properties; PutHub does not look at those it is given.
	Settings HubSettings
}

// Host is the hub's host name, lower case.
func (h Hub) Host() string { return HubHost(h.ID.Name) }

// AllocationPolicy decides which linked hub a device gets.
type AllocationPolicy string

// Allocation policies, in the spelling of the data plane.
const (
	Hashed     AllocationPolicy = "hashed"
	GeoLatency AllocationPolicy = "geoLatency"
	Static     AllocationPolicy = "static"
	Custom     AllocationPolicy = "custom"
)

// Service is a Device Provisioning Service.
type Service struct {
	Resource
	// IDScope is made at creation and never changes.
	IDScope string
	// Allocation is the default policy: Hashed, GeoLatency or Static.
	Allocation AllocationPolicy
	Links      []Link
}

// Host is the host name of the service API, lower case.
func (s Service) Host() string { return ServiceHost(s.ID.Name) }

// Link is a hub linked to a provisioning service.
type Link struct {
	// HubHost as the connection string spells it, lower case.
	HubHost string
	// KeyName and Key are the hub policy that the provisioning service uses; a stale key makes registrations to that hub fail.
	// PutService takes an empty Key as: keep the one stored for this hub and key name.
	KeyName, Key string
	Location     string
	// Apply nil means true; false takes the hub out of allocation by policy.
	Apply *bool
	// Weight nil means 1; 1 to 1000.
	Weight *int
}
