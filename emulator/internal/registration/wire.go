package registration

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

// registerBody is DeviceRegistration.
type registerBody struct {
	RegistrationID *string         `json:"registrationId"`
	TPM            *tpmBody        `json:"tpm"`
	Payload        json.RawMessage `json:"payload"`
}

// operationReply is RegistrationOperationStatus.
type operationReply struct {
	OperationID       string       `json:"operationId"`
	Status            string       `json:"status"`
	RegistrationState *resultReply `json:"registrationState,omitempty"`
}

// resultReply is DeviceRegistrationResult.
type resultReply struct {
	TPM            *tpmReply       `json:"tpm,omitempty"`
	X509           *groupReply     `json:"x509,omitempty"`
	SymmetricKey   *groupReply     `json:"symmetricKey,omitempty"`
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

// groupReply is X509RegistrationResult and SymmetricKeyRegistrationResult; empty for an individual enrollment.
type groupReply struct {
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
}

// tpmReply is TpmRegistrationResult: the key of the hub identity, sealed for the device's TPM.
type tpmReply struct {
	AuthenticationKey string `json:"authenticationKey"`
}

// result writes a registration for the device that m let in.
func (a *API) result(c caller, m match, r state.Registration) (*resultReply, error) {
	w := &resultReply{
		RegistrationID: r.RegistrationID,
		Created:        wireTime(r.Created),
		DeviceID:       r.DeviceID,
		Status:         string(r.Status),
		Substatus:      r.Substatus,
		ErrorCode:      r.ErrorCode,
		ErrorMessage:   r.ErrorMessage,
		Updated:        wireTime(r.Updated),
		ETag:           r.ETag,
		Payload:        r.Payload,
	}
	if r.AssignedHub != "" {
		w.AssignedHub = a.opts.Names(r.AssignedHub)
	}
	var err error
	switch {
	case m.challenge != nil:
		w.TPM, err = a.hubKey(c, *m.challenge, r)
	case m.thumbprint != "":
		w.X509 = &groupReply{r.GroupID}
	case r.GroupID != "":
		w.SymmetricKey = &groupReply{r.GroupID}
	}
	return w, err
}

// idForm is the documented form of registration ids; the rule for the first character is unsure, so only the last one is checked.
var idForm = regexp.MustCompile(`^[A-Za-z0-9\-._:]{0,127}[A-Za-z0-9\-]$`)

// versionForm accepts every date: devices of all ages are in the field.
var versionForm = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}(-preview)?$`)

// check refuses what no attestation could mend.
func (c caller) check() error {
	if !versionForm.MatchString(c.apiVersion) {
		return invalid("The api-version is missing or not a date.")
	}
	if !idForm.MatchString(c.id) {
		return invalid("The registration id must have 1 to 128 characters of A-Z, a-z, 0-9, '-', '.', '_' and ':', the last one alphanumeric or '-'.")
	}
	return nil
}

// readBody reads the body of a registration. It may be empty; an id in it must be the one that the device said before.
func (c caller) readBody(text []byte) (registerBody, error) {
	var body registerBody
	if len(bytes.TrimSpace(text)) == 0 {
		return body, nil
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return body, invalid("The request body is not a valid device registration.")
	}
	if body.RegistrationID != nil && !strings.EqualFold(*body.RegistrationID, c.id) {
		return body, invalid("registrationId is %q, but the request is for %q.", *body.RegistrationID, c.id)
	}
	if bytes.Equal(body.Payload, []byte("null")) {
		body.Payload = nil
	}
	return body, nil
}

func wireTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000000Z") }
