package registration

import (
	"bytes"
	"encoding/json"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
)

// registerBody is DeviceRegistration.
type registerBody struct {
	RegistrationID *string  `json:"registrationId"`
	TPM            *tpmBody `json:"tpm"`
	// CSR is of versions from csrVersion on. It is read only under them, so that earlier ones ignore whatever it is.
	CSR     json.RawMessage `json:"csr"`
	Payload json.RawMessage `json:"payload"`
}

// operationReply is RegistrationOperationStatus.
type operationReply struct {
	OperationID       string       `json:"operationId"`
	Status            string       `json:"status"`
	RegistrationState *resultReply `json:"registrationState,omitempty"`
}

// resultReply is DeviceRegistrationResult.
type resultReply struct {
	TPM          *tpmReply   `json:"tpm,omitempty"`
	X509         *groupReply `json:"x509,omitempty"`
	SymmetricKey *groupReply `json:"symmetricKey,omitempty"`
	// ConnectionProfile is of versions from profileVersion on.
	ConnectionProfile string `json:"connectionProfile,omitempty"`
	// IssuedChain is of versions from csrVersion on, and only in the result of an operation.
	IssuedChain []string `json:"issuedCertificateChain,omitempty"`
	dpswire.Registration
}

// groupReply is X509RegistrationResult and SymmetricKeyRegistrationResult; empty for an individual enrollment.
type groupReply struct {
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
}

// tpmReply is TpmRegistrationResult: the key of the hub identity, sealed for the device's TPM.
type tpmReply struct {
	AuthenticationKey string `json:"authenticationKey"`
}

// substatusVersion is the first api-version whose responses show how a device was assigned. Devices of earlier
// versions read initialAssignment, however often they register. The record that the service API returns is the same
// for all. Source: the live tests of azure-iot-cli-extension (tests/dps/device_registration), which register with the
// SDK for Python and its 2019-03-31.
const substatusVersion = "2019-04-15"

// profileVersion is the first api-version that shows how a device talks to its hub. Hubs here are all classic: none has
// the profile mqttV5.
const (
	profileVersion = "2026-11-02-preview"
	classicProfile = "classic"
)

// result returns a registration as its device receives it.
func (a *API) result(c caller, m match, r state.Registration) (*resultReply, error) {
	w := &resultReply{Registration: dpswire.RegistrationOf(r)}
	if w.Substatus != "" && c.apiVersion < substatusVersion {
		w.Substatus = state.InitialAssignment
	}
	if r.AssignedHub != "" {
		w.AssignedHub = a.opts.Names(r.AssignedHub)
		if c.apiVersion >= profileVersion {
			w.ConnectionProfile = classicProfile
		}
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

// check refuses requests that are invalid regardless of the credentials.
func (c caller) check() error {
	if err := dpswire.CheckVersion(c.apiVersion); err != nil {
		return err
	}
	return dpswire.CheckID("The registration id", c.id)
}

// readBody reads the body of a registration. It may be empty; an id in it must match that of the request.
func (c caller) readBody(text []byte) (registerBody, error) {
	var body registerBody
	if len(bytes.TrimSpace(text)) == 0 {
		return body, nil
	}
	if err := strictjson.Check(text); err != nil {
		return body, dpswire.Invalid("The request body is not a valid device registration: %v.", err)
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return body, dpswire.Invalid("The request body is not a valid device registration.")
	}
	if body.RegistrationID != nil && !strings.EqualFold(*body.RegistrationID, c.id) {
		return body, dpswire.Invalid("registrationId is %q, but the request is for %q.", *body.RegistrationID, c.id)
	}
	if bytes.Equal(body.Payload, []byte("null")) {
		body.Payload = nil
	}
	return body, nil
}
