package arm

import "evenkeel/emulator/internal/state"

// LocalAuthDisabled reports whether a provisioning service refuses the signatures of its shared access policies.
func LocalAuthDisabled(service state.Service) (bool, error) {
	record, err := serviceRecordOf(&service)
	disabled := record.Settings.DisableLocalAuth
	return disabled != nil && *disabled, err
}
