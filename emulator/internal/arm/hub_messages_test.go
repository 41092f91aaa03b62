package arm_test

import (
	"fmt"
	"testing"
	"time"

	"evenkeel/emulator/internal/arm"
	"evenkeel/emulator/internal/state"
)

func TestHubSettings(t *testing.T) {
	t.Parallel()
	for properties, want := range map[string]state.HubSettings{
		"":                  {},
		`{"properties":{}}`: {},
		`{"properties":{"disableLocalAuth":true}}`: {DisableLocalAuth: true},
		`{"properties":{"disableDeviceSAS":true}}`: {DisableDeviceSAS: true},
		`{"properties":{"cloudToDevice":{"maxDeliveryCount":2,"defaultTtlAsIso8601":"PT1M","feedback":` +
			`{"lockDurationAsIso8601":"PT7S","ttlAsIso8601":"P1DT2H"}}}}`: {
			MaxDeliveries: 2, MessageLife: time.Minute, FeedbackLock: 7 * time.Second, FeedbackLife: 26 * time.Hour,
		},
	} {
		t.Run(fmt.Sprintf("%.60q", properties), func(t *testing.T) {
			if got, err := arm.HubSettings([]byte(properties)); err != nil || got != want {
				t.Errorf("%s: got %+v and %v, want %+v", properties, got, err, want)
			}
		})
	}
	if got, err := arm.HubSettings([]byte(`{"properties":{"disableLocalAuth":"yes"}}`)); err == nil {
		t.Errorf("got %+v of properties that are damaged, want an error", got)
	}
}
