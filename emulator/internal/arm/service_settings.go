package arm

import (
	"encoding/json"
	"fmt"

	"evenkeel/emulator/internal/state"
)

// ServiceSettings returns the settings that affect how the clients of a provisioning service are served, from its
// stored properties.
func ServiceSettings(properties []byte) (state.ServiceSettings, error) {
	var record serviceRecord
	if len(properties) > 0 {
		if err := json.Unmarshal(properties, &record); err != nil {
			return state.ServiceSettings{}, fmt.Errorf("read stored properties: %w", err)
		}
	}
	disabled := record.Settings.DisableLocalAuth
	return state.ServiceSettings{DisableLocalAuth: disabled != nil && *disabled}, nil
}
