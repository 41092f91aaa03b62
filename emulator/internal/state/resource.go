package state

import "time"

// ResourceID identifies an ARM resource. Names are case-insensitive and keep their original spelling.
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
	// Rights are single rights, for example "RegistryWrite" or "EnrollmentRead".
	Rights       []string
	PrimaryKey   string
	SecondaryKey string
}

// Phase is the phase in the life of a hub or service. It follows from the clock: a resource in transition becomes
// Active, or is deleted, once the transition is due, without any further action.
type Phase string

// Phases, in Azure's terms.
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
	// Policies are never empty: the surface supplies Azure's default ones if a creation names none.
	Policies []Policy
	// Properties are the settings in the format of the ARM surface, which is the only reader, see
	// Options.HubSettings and Options.ServiceSettings.
	Properties []byte
	Created    time.Time
	// Phase and Due: the current transition ends at Due. Reads return the phase as of now.
	Phase Phase
	Due   time.Time
	// Version increases with each change. ETag is derived from it.
	Version uint64
}

// SKU is a price tier: its name, for example "S1", and its units.
type SKU struct {
	Name     string
	Capacity int64
}

// Hub is an IoT hub. Its host name is {name}.azure-devices.net.
type Hub struct {
	Resource
	// Settings are derived from Properties. PutHub ignores the given ones.
	Settings HubSettings
}

// Host returns the hub's host name, in lower case.
func (h Hub) Host() string { return HubHost(h.ID.Name) }

// AllocationPolicy decides to which linked hub a device is assigned.
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
	// IDScope is generated at creation and never changes.
	IDScope string
	// Allocation is the default policy: Hashed, GeoLatency or Static.
	Allocation AllocationPolicy
	Links      []Link
	// Settings and Principals are derived from Properties. PutService ignores the given ones.
	Settings   ServiceSettings
	Principals Principals
}

// Host returns the host name of the service API, in lower case.
func (s Service) Host() string { return ServiceHost(s.ID.Name) }

// Link is a hub linked to a provisioning service.
type Link struct {
	// HubHost is the host name in the connection string, in lower case.
	HubHost string
	// KeyName and Key are the hub's policy that the provisioning service uses. With an outdated key, registrations to
	// that hub fail. PutService interprets an empty Key as the stored key for this hub and key name.
	KeyName, Key string
	// Identity is set if the service uses the hub by a managed identity instead of a key; then KeyName and Key are
	// empty. User is the resource id of a user-assigned one.
	Identity LinkIdentity
	User     string
	Location string
	// Apply nil means true; false excludes the hub from allocation by policy.
	Apply *bool
	// Weight nil means 1; 1 to 1000.
	Weight *int
}
