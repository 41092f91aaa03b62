package arm

import (
	"encoding/json"
	"fmt"

	"evenkeel/emulator/internal/state"
)

// LocalAuthDisabled reports whether a provisioning service refuses the signatures of its shared access policies.
func LocalAuthDisabled(service state.Service) (bool, error) {
	if len(service.Properties) == 0 {
		return false, nil
	}
	var record serviceRecord
	if err := json.Unmarshal(service.Properties, &record); err != nil {
		return false, fmt.Errorf("read the settings of provisioning service %q: %w", service.ID.Name, err)
	}
	disabled := record.Settings.DisableLocalAuth
	return disabled != nil && *disabled, nil
}
