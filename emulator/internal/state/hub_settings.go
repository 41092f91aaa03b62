package state

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// HubSettings are the settings of a hub that change how its devices are served.
type HubSettings struct {
	// DisableLocalAuth: signatures of shared access policies are refused.
	DisableLocalAuth bool
	// DisableDeviceSAS: signatures with a device's own key are refused.
	DisableDeviceSAS bool
	// MaxDeliveries is how often a cloud-to-device message is delivered before it is dropped.
	MaxDeliveries int64
	// MessageLife is how long a cloud-to-device message waits that names no expiry.
	MessageLife time.Duration
	// FeedbackLock and FeedbackLife are of the feedback on these messages.
	FeedbackLock, FeedbackLife time.Duration
}

// defaultHubSettings are those of cloudToDevice in IotHubProperties, 2023-06-30; the lock is the one that Azure's CLI declares.
var defaultHubSettings = HubSettings{
	MaxDeliveries: 10, MessageLife: time.Hour, FeedbackLock: 5 * time.Second, FeedbackLife: time.Hour,
}

// readSettings fills the hub's settings from its properties; zero means the default.
func (s *State) readSettings(h *Hub) error {
	h.Settings = defaultHubSettings
	if s.hubSettings == nil {
		return nil
	}
	given, err := s.hubSettings(h.Properties)
	if err != nil {
		return fmt.Errorf("read the settings of %s: %w", hubObject(h.ID.Name), err)
	}
	h.Settings = HubSettings{
		DisableLocalAuth: given.DisableLocalAuth, DisableDeviceSAS: given.DisableDeviceSAS,
		MaxDeliveries: cmp.Or(given.MaxDeliveries, defaultHubSettings.MaxDeliveries),
		MessageLife:   cmp.Or(given.MessageLife, defaultHubSettings.MessageLife),
		FeedbackLock:  cmp.Or(given.FeedbackLock, defaultHubSettings.FeedbackLock),
		FeedbackLife:  cmp.Or(given.FeedbackLife, defaultHubSettings.FeedbackLife),
	}
	return nil
}

// Tier is the kind of a hub's price tier.
type Tier string

// Tiers of hubs, in Azure's words.
const (
	Free     Tier = "Free"
	Basic    Tier = "Basic"
	Standard Tier = "Standard"
)

// Tier returns the tier of a hub's SKU: that of its first letter.
func (k SKU) Tier() Tier {
	switch strings.ToUpper(k.Name[:min(1, len(k.Name))]) {
	case "F":
		return Free
	case "B":
		return Basic
	}
	return Standard
}
