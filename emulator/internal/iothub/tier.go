package iothub

import (
	"net/http"

	"evenkeel/emulator/internal/state"
)

// errTier refuses calls that hubs of the basic tier do not have. The name and number are Azure's ("Troubleshoot Azure
// IoT Hub error codes").
var errTier = &wireError{403010, "OperationNotAvailableInCurrentTier",
	"The operation is not available in the basic tier"}

// isBasic reports whether a hub is of the basic tier, which accepts telemetry and has a registry, but no twins,
// methods, cloud-to-device messages or edge devices. Source: the table of calls in "Choose the right IoT Hub tier for
// your solution".
func isBasic(hub state.Hub) bool { return hub.SKU.Tier() == state.Basic }

// standard refuses a call to a hub of the basic tier.
func standard(serve hubCall) hubCall {
	return func(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
		if isBasic(hub) {
			return errTier
		}
		return serve(w, r, hub)
	}
}
