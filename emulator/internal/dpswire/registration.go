package dpswire

import (
	"encoding/json"

	"evenkeel/emulator/internal/state"
)

// Registration holds the fields that DeviceRegistrationState and DeviceRegistrationResult share. Empty fields are
// omitted.
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

// RegistrationOf converts a registration. The hub has its Azure host name.
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
