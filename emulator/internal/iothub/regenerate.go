package iothub

import (
	"errors"
	"net/http"
	"strings"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/azure/sas"
)

// Policy keys of regenerateKeys. Source: Azure/azure-iot-cli-extension, sdk/iothub/service, of 2024-03-31.
const (
	primaryKeyOnly   = "primaryKey"
	secondaryKeyOnly = "secondaryKey"
	bothKeys         = "both"
)

// keyHolder identifies a device or a module.
type keyHolder struct {
	ID       string `json:"id"`
	ModuleID string `json:"moduleId,omitempty"`
}

type rotatedKey struct {
	keyHolder
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

type rotationError struct {
	keyHolder
	ErrorCode    string `json:"errorCode"`
	ErrorMessage string `json:"errorMessage"`
}

// regenerateKeys: POST /devices/keys/regenerate, 2024-03-31. Devices are processed in order: 200 if all got new keys,
// 207 if some did, 400 if none did. Fidelity: the limit of 100 and the name of the error's text are unsure.
func (h *Hubs) regenerateKeys(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var in struct {
		PolicyKey string      `json:"policyKey"`
		Devices   []keyHolder `json:"devices"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	policy := ""
	for _, known := range []string{primaryKeyOnly, secondaryKeyOnly, bothKeys} {
		if strings.EqualFold(in.PolicyKey, known) {
			policy = known
		}
	}
	if policy == "" {
		return &wireError{400000, "InvalidPolicyKey", "policyKey must be primaryKey, secondaryKey or both"}
	}
	if len(in.Devices) == 0 || len(in.Devices) > maxBulk {
		return invalid("A request for new keys has 1 to %d devices, not %d", maxBulk, len(in.Devices))
	}
	rotated, failed := []rotatedKey{}, []rotationError{}
	for _, holder := range in.Devices {
		key, err := h.regenerate(hub.Host(), holder, policy)
		if err != nil {
			refusal, fault := wire(err)
			if fault {
				h.log.Error("regenerate keys failed", "hub", hub.Host(), "device", holder.ID, "error", err)
			}
			failed = append(failed, rotationError{holder, refusal.code, refusal.text})
			continue
		}
		rotated = append(rotated, rotatedKey{holder, key.Primary, key.Secondary})
	}
	status := http.StatusOK
	switch {
	case len(rotated) == 0:
		status = http.StatusBadRequest
	case len(failed) > 0:
		status = http.StatusMultiStatus
	}
	writeJSON(w, status, struct {
		PolicyKey   string          `json:"policyKey"`
		RotatedKeys []rotatedKey    `json:"rotatedKeys"`
		Errors      []rotationError `json:"errors"`
	}{policy, rotated, failed})
	return nil
}

// regenerate gives a device new keys. If the device is changed at the same time, it retries.
func (h *Hubs) regenerate(host string, holder keyHolder, policy string) (state.SymmetricKey, error) {
	if holder.ModuleID != "" {
		return state.SymmetricKey{}, errNoModule
	}
	for {
		device, err := h.state.Device(host, holder.ID)
		if err != nil {
			return state.SymmetricKey{}, err
		}
		if device.Auth != state.AuthSAS {
			return state.SymmetricKey{}, invalid("The device authenticates with %s, not with a key", device.Auth)
		}
		for key, other := range map[*string]string{&device.Key.Primary: secondaryKeyOnly,
			&device.Key.Secondary: primaryKeyOnly} {
			if policy == other {
				continue
			}
			if *key, err = sas.NewKey(nil); err != nil {
				return state.SymmetricKey{}, err
			}
		}
		device, err = h.state.PutDevice(host, device, device.ETag, false)
		if refused := (*state.Error)(nil); errors.As(err, &refused) && refused.Kind == state.Precondition {
			continue
		}
		return device.Key, err
	}
}
