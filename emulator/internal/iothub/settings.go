package iothub

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"evenkeel/emulator/internal/state"
)

// settings are the properties of a hub that change how devices are served: IotHubProperties, 2023-06-30.
type settings struct {
	// noPolicies: shared access signatures of policies are refused (disableLocalAuth). noDeviceKeys: those with a device's own key are
	// (disableDeviceSAS).
	noPolicies, noDeviceKeys bool
	// basic: the hub is of the basic tier.
	basic bool
	// maxDeliveries and lifetime are of cloud-to-device messages.
	maxDeliveries int64
	lifetime      time.Duration
	// feedbackLock and feedbackLife are of the feedback on them.
	feedbackLock, feedbackLife time.Duration
}

// Defaults of cloudToDevice.
const (
	defaultDeliveries = 10
	defaultLifetime   = time.Hour
	// defaultFeedbackLock is the one that Azure's CLI declares: PT5S.
	defaultFeedbackLock = 5 * time.Second
	defaultFeedbackLife = time.Hour
)

func settingsOf(hub state.Hub) (settings, error) {
	var record struct {
		Properties struct {
			DisableLocalAuth bool `json:"disableLocalAuth"`
			DisableDeviceSAS bool `json:"disableDeviceSAS"`
			CloudToDevice    struct {
				MaxDeliveryCount int64  `json:"maxDeliveryCount"`
				DefaultTTL       string `json:"defaultTtlAsIso8601"`
				Feedback         struct {
					Lock string `json:"lockDurationAsIso8601"`
					TTL  string `json:"ttlAsIso8601"`
				} `json:"feedback"`
			} `json:"cloudToDevice"`
		} `json:"properties"`
	}
	if len(hub.Properties) > 0 {
		if err := json.Unmarshal(hub.Properties, &record); err != nil {
			return settings{}, fmt.Errorf("read properties of hub %q: %w", hub.ID.Name, err)
		}
	}
	p := record.Properties
	s := settings{
		noPolicies: p.DisableLocalAuth, noDeviceKeys: p.DisableDeviceSAS, basic: basic(hub),
		maxDeliveries: defaultDeliveries, lifetime: defaultLifetime, feedbackLock: defaultFeedbackLock, feedbackLife: defaultFeedbackLife,
	}
	if p.CloudToDevice.MaxDeliveryCount > 0 {
		s.maxDeliveries = p.CloudToDevice.MaxDeliveryCount
	}
	for _, period := range []struct {
		text string
		into *time.Duration
	}{
		{p.CloudToDevice.DefaultTTL, &s.lifetime}, {p.CloudToDevice.Feedback.Lock, &s.feedbackLock}, {p.CloudToDevice.Feedback.TTL, &s.feedbackLife},
	} {
		if given := parsePeriod(period.text); given > 0 {
			*period.into = given
		}
	}
	return s, nil
}

var periodForm = regexp.MustCompile(`^P(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?$`)

// parsePeriod reads a period of ISO 8601 in days, hours, minutes and whole seconds, as "PT1H"; anything else is zero.
func parsePeriod(text string) time.Duration {
	parts := periodForm.FindStringSubmatch(text)
	if parts == nil {
		return 0
	}
	var total time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		n, _ := strconv.Atoi(parts[i+1]) // absent is zero
		total += time.Duration(n) * unit
	}
	return total
}
