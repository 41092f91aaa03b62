package registration

import (
	"context"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// disabled reports whether the enrollment that authenticated the device is disabled.
func (m match) disabled() bool {
	if m.enrollment != nil {
		return m.enrollment.Disabled
	}
	return m.group.Disabled
}

// register starts a registration of an authenticated device. The outcome is decided and stored when register returns,
// unless a webhook is slow. The reply is "assigning" even so, and the device gets the outcome by polling, as on
// Azure.
func (a *API) register(ctx context.Context, c caller, m match, text []byte) (operationReply, error) {
	body, err := c.readBody(text)
	if err != nil {
		return operationReply{}, err
	}
	issue, err := a.issue(c, m, body)
	if err != nil {
		return operationReply{}, err
	}
	request := state.RegisterRequest{
		Scope: c.scope, RegistrationID: c.id, APIVersion: c.apiVersion,
		Enrollment: m.enrollment, Group: m.group,
		Keys: m.keys, PrimaryThumbprint: m.thumbprint, Issue: issue,
		Payload: body.Payload, Decide: a.decide(m),
	}
	var id string
	if request.Decide != nil {
		id, err = a.begin(ctx, c, request)
	} else {
		var operation state.Operation
		operation, err = a.st.Register(ctx, request)
		id = operation.ID
	}
	if err != nil {
		return operationReply{}, err
	}
	return operationReply{OperationID: id, Status: string(state.Assigning)}, nil
}

// operation returns the status of a registration. The operation must belong to the device that asks.
//
// A device learns by polling that its entry is disabled, as over MQTT on Azure (azure-iot-cli-extension matches the
// text of the SDK for Python for it). Fidelity: an entry that was disabled meanwhile also changes the status of
// earlier operations.
func (a *API) operation(c caller, m match, id string) (operationReply, error) {
	if a.pending.waits(c, id) {
		return operationReply{OperationID: id, Status: string(state.Assigning),
			RegistrationState: stateOf(c.id, state.Assigning)}, nil
	}
	operation, err := a.st.RegistrationOperation(c.scope, id)
	if err != nil && !isNotFound(err) {
		return operationReply{}, err
	}
	if err != nil || !strings.EqualFold(operation.RegistrationID, c.id) {
		return operationReply{}, dpswire.Refuse(http.StatusNotFound, dpswire.CodeNoOperation, "Operation not found.")
	}
	if m.disabled() && operation.Status != state.Disabled {
		return operationReply{OperationID: id, Status: string(state.Disabled),
			RegistrationState: stateOf(c.id, state.Disabled)}, nil
	}
	w := operationReply{OperationID: operation.ID, Status: string(operation.Status)}
	if w.running() {
		w.RegistrationState = stateOf(operation.RegistrationID, operation.Status)
		return w, nil
	}
	w.RegistrationState, err = a.result(c, m, operation.Registration)
	if err == nil && c.apiVersion >= csrVersion {
		w.RegistrationState.IssuedChain = chainOf(operation.IssuedChain)
	}
	return w, err
}

// stateOf returns a registration state with only the status.
func stateOf(id string, status state.RegistrationStatus) *resultReply {
	return &resultReply{Registration: dpswire.Registration{RegistrationID: id, Status: string(status)}}
}

// lookup returns the current registration of the device.
func (a *API) lookup(c caller, m match) (*resultReply, error) {
	record, err := a.st.Registration(c.scope, c.id)
	if isNotFound(err) {
		return nil, dpswire.Refuse(http.StatusNotFound, dpswire.CodeNotFound, "Registration not found.")
	}
	if err != nil {
		return nil, err
	}
	return a.result(c, m, record)
}

// running reports whether the device must poll again.
func (w operationReply) running() bool {
	return w.Status == string(state.Assigning) || w.Status == string(state.Unassigned)
}
