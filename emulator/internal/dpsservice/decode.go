package dpsservice

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// wireEntry is IndividualEnrollment and EnrollmentGroup in requests. Null and absent are equal, except for
// provisioningStatus: the service repeats a null.
type wireEntry struct {
	RegistrationID     *string          `json:"registrationId"`
	GroupID            *string          `json:"enrollmentGroupId"`
	DeviceID           *string          `json:"deviceId"`
	DeviceInformation  json.RawMessage  `json:"optionalDeviceInformation"`
	Attestation        *wireAttestation `json:"attestation"`
	Capabilities       *capabilities    `json:"capabilities"`
	IotHubHostName     *string          `json:"iotHubHostName"`
	InitialTwin        *initialTwin     `json:"initialTwin"`
	ETag               *string          `json:"etag"`
	ProvisioningStatus json.RawMessage  `json:"provisioningStatus"`
	ReprovisionPolicy  *struct {
		UpdateHubAssignment *bool `json:"updateHubAssignment"`
		MigrateDeviceData   *bool `json:"migrateDeviceData"`
	} `json:"reprovisionPolicy"`
	AllocationPolicy *string  `json:"allocationPolicy"`
	IotHubs          []string `json:"iotHubs"`
	Custom           *struct {
		WebhookURL *string `json:"webhookUrl"`
		APIVersion *string `json:"apiVersion"`
	} `json:"customAllocationDefinition"`
	wireIssuance
}

type capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// initialTwin keeps the collections as sent, because their numbers must not change.
type initialTwin struct {
	Tags       json.RawMessage `json:"tags,omitempty"`
	Properties *struct {
		Desired json.RawMessage `json:"desired,omitempty"`
	} `json:"properties,omitempty"`
}

// deviceIDForm is the documented form of a hub's device ids.
var deviceIDForm = regexp.MustCompile(`^[A-Za-z0-9\-:.+%_#*?!(),=@$']{1,128}$`)

// entryOf checks a request's entry and converts it to the state's form. stored is the entry that it replaces, or nil.
func (k kind) entryOf(w wireEntry, service state.Service, stored *state.Entry) (state.Entry, error) {
	id, err := k.idOf(w)
	if err != nil {
		return state.Entry{}, err
	}
	e := state.Entry{Kind: k.EntryKind, ID: id}
	if k.individual() && w.DeviceID != nil && *w.DeviceID != "" {
		if !deviceIDForm.MatchString(*w.DeviceID) {
			return state.Entry{},
				dpswire.Invalid("deviceId is not a device id: 1 to 128 characters of A-Z, a-z, 0-9 and - : . + %% _ " +
					"# * ? ! ( ) , = @ $ '.")
		}
		e.DeviceID = *w.DeviceID
	}
	if w.Attestation == nil {
		return state.Entry{}, dpswire.Invalid("attestation is required.")
	}
	if e.Attestation, err = k.attestationOf(*w.Attestation, stored); err != nil {
		return state.Entry{}, err
	}
	if err := w.status(&e.Settings); err != nil {
		return state.Entry{}, err
	}
	if err := w.allocation(&e.Settings, service, stored); err != nil {
		return state.Entry{}, err
	}
	if err := w.documents(&e.Settings, k.individual()); err != nil {
		return state.Entry{}, err
	}
	if w.ReprovisionPolicy != nil {
		update, migrate := w.ReprovisionPolicy.UpdateHubAssignment, w.ReprovisionPolicy.MigrateDeviceData
		if update == nil || migrate == nil {
			return state.Entry{}, dpswire.Invalid(
				"reprovisionPolicy needs both updateHubAssignment and migrateDeviceData.")
		}
		e.Reprovision = &state.Reprovision{UpdateHubAssignment: *update, MigrateDeviceData: *migrate}
	}
	return e, nil
}

func (k kind) idOf(w wireEntry) (string, error) {
	id := w.RegistrationID
	if !k.individual() {
		id = w.GroupID
	}
	if id == nil {
		return "", dpswire.Invalid("%s is required.", k.idField)
	}
	return *id, dpswire.CheckID(k.idField, *id)
}

func (w wireEntry) status(s *state.Settings) error {
	if w.Capabilities != nil {
		s.Capabilities, s.Edge = true, w.Capabilities.IotEdge
	}
	var status *string
	if len(w.ProvisioningStatus) > 0 {
		if err := json.Unmarshal(w.ProvisioningStatus, &status); err != nil {
			return dpswire.Invalid("provisioningStatus must be a string.")
		}
		s.ProvisioningStatusNull = status == nil
	}
	switch {
	case status == nil || strings.EqualFold(*status, "enabled"):
	case strings.EqualFold(*status, "disabled"):
		s.Disabled = true
	default:
		return dpswire.Invalid("provisioningStatus must be enabled or disabled.")
	}
	return nil
}

// textNoPolicy is Azure's response to hubs without a policy (Azure/azure-sdk-for-python issue 35368). Fidelity: no
// source says what iotHubHostName alone does, so it is accepted.
const textNoPolicy = "Enrollment allocationPolicy must be specified when iotHubs are specified."

// allocation reads the policy, the hubs and the webhook. A static policy without a hub is accepted, as on Azure: the
// registration fails.
func (w wireEntry) allocation(s *state.Settings, service state.Service, stored *state.Entry) error {
	if w.AllocationPolicy != nil {
		policy, known := policyOf(*w.AllocationPolicy)
		if !known {
			return dpswire.Invalid("allocationPolicy must be hashed, geoLatency, static or custom.")
		}
		s.Allocation = policy
	}
	if len(w.IotHubs) > 0 && text(w.AllocationPolicy) == "" {
		return dpswire.Invalid("%s", textNoPolicy)
	}
	if w.IotHubHostName != nil && *w.IotHubHostName != "" {
		host, err := linked(service, "iotHubHostName", *w.IotHubHostName)
		if err != nil {
			return err
		}
		s.IotHubHost = host
	}
	for _, name := range w.IotHubs {
		host, err := linked(service, "iotHubs", name)
		if err != nil {
			return err
		}
		s.Hubs = append(s.Hubs, host)
	}
	return w.webhook(s, stored)
}

// oldestWebhook is the oldest apiVersion of a customAllocationDefinition, a preview. Source: service.json, 2021-10-01.
const oldestWebhook = "2018-09-01"

// webhook reads the customAllocationDefinition. Fidelity: that an address in the masked form of replies keeps the
// stored one is unsure.
func (w wireEntry) webhook(s *state.Settings, stored *state.Entry) error {
	if w.Custom == nil {
		if s.Allocation == state.Custom {
			return dpswire.Invalid("The allocation policy custom needs a customAllocationDefinition.")
		}
		return nil
	}
	address, version := text(w.Custom.WebhookURL), text(w.Custom.APIVersion)
	if address == "" || version == "" {
		return dpswire.Invalid("customAllocationDefinition needs both webhookUrl and apiVersion.")
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return dpswire.Invalid("customAllocationDefinition.webhookUrl must be an http or https address.")
	}
	if dpswire.CheckVersion(version) != nil || version < oldestWebhook {
		return dpswire.Invalid("customAllocationDefinition.apiVersion must be an api-version, %s-preview or later.",
			oldestWebhook)
	}
	if stored != nil && stored.Webhook != nil && address == maskQuery(stored.Webhook.URL) {
		address = stored.Webhook.URL
	}
	s.Webhook = &state.Webhook{URL: address, APIVersion: version}
	return nil
}

// refers reports whether an entry may refer to data of the stored entry that replies do not show.
func (w wireEntry) refers() bool {
	if a := w.Attestation; a != nil {
		if a.X509 != nil || strings.EqualFold(a.Type, symmetricKey) && a.SymmetricKey == nil {
			return true
		}
	}
	return w.Custom != nil && strings.HasSuffix(text(w.Custom.WebhookURL), mask)
}

func policyOf(name string) (state.AllocationPolicy, bool) {
	for _, policy := range []state.AllocationPolicy{state.Hashed, state.GeoLatency, state.Static, state.Custom} {
		if strings.EqualFold(name, string(policy)) {
			return policy, true
		}
	}
	return "", false
}

func linked(service state.Service, member, name string) (string, error) {
	if _, ok := state.FindLink(service.Links, name); ok {
		return strings.ToLower(name), nil
	}
	return "", dpswire.Invalid("%s names a hub that is not linked to this provisioning service: %q.", member, name)
}

// documents returns the JSON documents, without null collections.
func (w wireEntry) documents(s *state.Settings, individual bool) error {
	if individual && !isNull(w.DeviceInformation) {
		if !isObject(w.DeviceInformation) {
			return dpswire.Invalid("optionalDeviceInformation must be an object.")
		}
		s.DeviceInformation = compact(w.DeviceInformation)
	}
	if w.InitialTwin == nil {
		return nil
	}
	twin := *w.InitialTwin
	if isNull(twin.Tags) {
		twin.Tags = nil
	} else if !isObject(twin.Tags) {
		return dpswire.Invalid("initialTwin.tags must be an object.")
	}
	if p := twin.Properties; p != nil {
		if isNull(p.Desired) {
			p.Desired = nil
		} else if !isObject(p.Desired) {
			return dpswire.Invalid("initialTwin.properties.desired must be an object.")
		}
	}
	text, err := json.Marshal(twin)
	if err != nil {
		return dpswire.Invalid("initialTwin is not valid JSON.")
	}
	s.InitialTwin = text
	return nil
}

func isNull(text json.RawMessage) bool {
	return len(text) == 0 || bytes.Equal(bytes.TrimSpace(text), []byte("null"))
}

func isObject(text json.RawMessage) bool { return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) }

func compact(text json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, text) != nil {
		return text
	}
	return b.Bytes()
}
