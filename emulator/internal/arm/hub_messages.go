package arm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"evenkeel/emulator/internal/state"
)

// Limits of cloudToDevice. Source: the specification for the counts, "Cloud-to-device configuration options" in "Send
// cloud-to-device messages from an IoT hub" for the periods.
const (
	maxDeliveries              = 100
	minLife, maxLife           = time.Minute, 48 * time.Hour
	minLockPeriod, maxLockTime = 5 * time.Second, 300 * time.Second
)

// cloudToDevice is CloudToDeviceProperties.
type cloudToDevice struct {
	MaxDeliveryCount *int64  `json:"maxDeliveryCount"`
	DefaultTTL       *string `json:"defaultTtlAsIso8601"`
	Feedback         struct {
		MaxDeliveryCount *int64  `json:"maxDeliveryCount"`
		TTL              *string `json:"ttlAsIso8601"`
		Lock             *string `json:"lockDurationAsIso8601"`
	} `json:"feedback"`
}

// HubSettings returns the settings that affect how devices are served, from the stored properties of a hub.
func HubSettings(properties []byte) (state.HubSettings, error) {
	var record struct {
		Properties struct {
			DisableLocalAuth bool          `json:"disableLocalAuth"`
			DisableDeviceSAS bool          `json:"disableDeviceSAS"`
			CloudToDevice    cloudToDevice `json:"cloudToDevice"`
		} `json:"properties"`
	}
	if len(properties) > 0 {
		if err := json.Unmarshal(properties, &record); err != nil {
			return state.HubSettings{}, fmt.Errorf("read stored properties: %w", err)
		}
	}
	p := record.Properties
	settings := state.HubSettings{DisableLocalAuth: p.DisableLocalAuth, DisableDeviceSAS: p.DisableDeviceSAS}
	if count := p.CloudToDevice.MaxDeliveryCount; count != nil {
		settings.MaxDeliveries = *count
	}
	for text, into := range map[*string]*time.Duration{
		p.CloudToDevice.DefaultTTL: &settings.MessageLife, p.CloudToDevice.Feedback.Lock: &settings.FeedbackLock,
		p.CloudToDevice.Feedback.TTL: &settings.FeedbackLife,
	} {
		if text != nil {
			*into, _ = parsePeriod(*text) // it was checked when it was stored
		}
	}
	return settings, nil
}

// checkCloudToDevice checks the settings of cloud-to-device messages and their feedback in a request.
func checkCloudToDevice(raw json.RawMessage) error {
	if raw == nil {
		return nil
	}
	var body cloudToDevice
	if err := json.Unmarshal(raw, &body); err != nil {
		return invalid("The property cloudToDevice does not have the form of the specification.")
	}
	for _, count := range []*int64{body.MaxDeliveryCount, body.Feedback.MaxDeliveryCount} {
		if count != nil && (*count < 1 || *count > maxDeliveries) {
			return invalid("maxDeliveryCount is 1 to %d, not %d.", maxDeliveries, *count)
		}
	}
	for _, period := range []struct {
		name     string
		text     *string
		min, max time.Duration
	}{
		{"defaultTtlAsIso8601", body.DefaultTTL, minLife, maxLife},
		{"feedback.ttlAsIso8601", body.Feedback.TTL, minLife, maxLife},
		{"feedback.lockDurationAsIso8601", body.Feedback.Lock, minLockPeriod, maxLockTime},
	} {
		if period.text == nil {
			continue
		}
		if length, ok := parsePeriod(*period.text); !ok || length < period.min || length > period.max {
			return invalid("cloudToDevice.%s is a period of ISO 8601 from %v to %v, not '%s'.", period.name, period.min,
				period.max, *period.text)
		}
	}
	return nil
}

var periodForm = regexp.MustCompile(`^P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$`)

// parsePeriod parses a period in days, hours, minutes and whole seconds, for example "PT1H".
func parsePeriod(text string) (total time.Duration, ok bool) {
	parts := periodForm.FindStringSubmatch(text)
	if parts == nil {
		return 0, false
	}
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(parts[i+1]) // absent is zero
		total += time.Duration(n) * unit
	}
	return total, true
}
