package state

import "time"

// RegistrationStatus is where a registration stands.
type RegistrationStatus string

// Registration statuses, in Azure's words.
const (
	Unassigned RegistrationStatus = "unassigned"
	Assigning  RegistrationStatus = "assigning"
	Assigned   RegistrationStatus = "assigned"
	Failed     RegistrationStatus = "failed"
	Disabled   RegistrationStatus = "disabled"
)

// Registration is the record of a device at a provisioning service.
type Registration struct {
	RegistrationID string
	// GroupID is empty for an individual enrollment.
	GroupID     string
	DeviceID    string
	AssignedHub string
	Status      RegistrationStatus
	// Substatus: initialAssignment, deviceDataMigrated, deviceDataReset or reprovisionedToInitialAssignment; only with Assigned.
	Substatus string
	// ErrorCode and ErrorMessage are set with Failed: an Azure code as 400208.
	ErrorCode    int
	ErrorMessage string
	// Payload is what a webhook gave the device; JSON or nil.
	Payload          []byte
	ETag             string
	Created, Updated time.Time
}

// Operation is one run of a registration, found by its id until it is forgotten (a day after its end, unsure on Azure).
type Operation struct {
	ID string
	Registration
}
