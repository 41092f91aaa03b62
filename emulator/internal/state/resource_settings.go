package state

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// HubSettings are the settings of a hub that affect how its devices are served.
type HubSettings struct {
	// DisableLocalAuth refuses signatures of shared access policies.
	DisableLocalAuth bool
	// DisableDeviceSAS refuses signatures with a device's own key.
	DisableDeviceSAS bool
	// MaxDeliveries is how often a cloud-to-device message is delivered before it is dropped.
	MaxDeliveries int64
	// MessageLife is the default lifetime of a cloud-to-device message.
	MessageLife time.Duration
	// FeedbackLock and FeedbackLife apply to the feedback on these messages.
	FeedbackLock, FeedbackLife time.Duration
}

// defaultHubSettings are the defaults of cloudToDevice in IotHubProperties, 2023-06-30. The lock duration is the
// default of Azure's CLI.
var defaultHubSettings = HubSettings{
	MaxDeliveries: 10, MessageLife: time.Hour, FeedbackLock: 5 * time.Second, FeedbackLife: time.Hour,
}

// ServiceSettings are the settings of a provisioning service that affect how its clients are served.
type ServiceSettings struct {
	// DisableLocalAuth refuses signatures of shared access policies.
	DisableLocalAuth bool
}

// readServiceSettings sets the service's settings from its properties.
func (s *State) readServiceSettings(v *Service) (err error) {
	v.Settings = ServiceSettings{}
	if s.serviceSettings == nil {
		return nil
	}
	if v.Settings, err = s.serviceSettings(v.Properties); err != nil {
		return fmt.Errorf("read the settings of %s: %w", serviceObject(v.ID.Name), err)
	}
	return nil
}

// readSettings sets the hub's settings from its properties. Zero means the default.
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

// Tiers of hubs, in Azure's terms.
const (
	Free     Tier = "Free"
	Basic    Tier = "Basic"
	Standard Tier = "Standard"
)

// Tier returns the tier of a hub's SKU, which its first letter determines.
func (k SKU) Tier() Tier {
	switch strings.ToUpper(k.Name[:min(1, len(k.Name))]) {
	case "F":
		return Free
	case "B":
		return Basic
	}
	return Standard
}
