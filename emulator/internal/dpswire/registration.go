package dpswire

import (
	"encoding/json"

	"evenkeel/emulator/internal/state"
)

// Registration is what DeviceRegistrationState and DeviceRegistrationResult have in common. Empty members are left out.
type Registration struct {
	RegistrationID string          `json:"registrationId"`
	Created        string          `json:"createdDateTimeUtc,omitempty"`
	AssignedHub    string          `json:"assignedHub,omitempty"`
	DeviceID       string          `json:"deviceId,omitempty"`
	Status         string          `json:"status"`
	Substatus      string          `json:"substatus,omitempty"`
	ErrorCode      int             `json:"errorCode,omitempty"`
	ErrorMessage   string          `json:"errorMessage,omitempty"`
	Updated        string          `json:"lastUpdatedDateTimeUtc,omitempty"`
	ETag           string          `json:"etag,omitempty"`
	Payload        json.RawMessage `json:"payload,omitempty"`
}

// RegistrationOf writes a registration with the host name that its hub has on Azure.
func RegistrationOf(r state.Registration) Registration {
	return Registration{
		RegistrationID: r.RegistrationID,
		Created:        Time(r.Created),
		AssignedHub:    r.AssignedHub,
		DeviceID:       r.DeviceID,
		Status:         string(r.Status),
		Substatus:      r.Substatus,
		ErrorCode:      r.ErrorCode,
		ErrorMessage:   r.ErrorMessage,
		Updated:        Time(r.Updated),
		ETag:           r.ETag,
		Payload:        r.Payload,
	}
}
