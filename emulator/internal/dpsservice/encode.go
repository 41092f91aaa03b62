package dpsservice

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// entryReply is an enrollment or a group in replies: members in the order of recorded replies, without absent ones
// except provisioningStatus.
type entryReply struct {
	RegistrationID     string                `json:"registrationId,omitempty"`
	GroupID            string                `json:"enrollmentGroupId,omitempty"`
	DeviceID           string                `json:"deviceId,omitempty"`
	RegistrationState  *dpswire.Registration `json:"registrationState,omitempty"`
	DeviceInformation  json.RawMessage       `json:"optionalDeviceInformation,omitempty"`
	Attestation        *wireAttestation      `json:"attestation"`
	Capabilities       *capabilities         `json:"capabilities,omitempty"`
	IotHubHostName     string                `json:"iotHubHostName,omitempty"`
	InitialTwin        json.RawMessage       `json:"initialTwin,omitempty"`
	ETag               string                `json:"etag"`
	ProvisioningStatus *string               `json:"provisioningStatus"`
	ReprovisionPolicy  *reprovisionReply     `json:"reprovisionPolicy,omitempty"`
	Created            string                `json:"createdDateTimeUtc"`
	Updated            string                `json:"lastUpdatedDateTimeUtc"`
	AllocationPolicy   string                `json:"allocationPolicy,omitempty"`
	IotHubs            []string              `json:"iotHubs,omitempty"`
	Custom             *customReply          `json:"customAllocationDefinition,omitempty"`
	issuanceReply
}

type reprovisionReply struct {
	UpdateHubAssignment bool `json:"updateHubAssignment"`
	MigrateDeviceData   bool `json:"migrateDeviceData"`
}

type customReply struct {
	WebhookURL string `json:"webhookUrl"`
	APIVersion string `json:"apiVersion"`
}

// reply returns an entry in the shape of an api-version.
func (k kind) reply(e state.Entry, version string, showKeys bool) entryReply {
	w := entryReply{
		DeviceID:          e.DeviceID,
		DeviceInformation: e.DeviceInformation,
		Attestation:       attestationReply(e.Attestation, showKeys),
		IotHubHostName:    e.IotHubHost,
		InitialTwin:       e.InitialTwin,
		ETag:              e.ETag,
		Created:           dpswire.Time(e.Created),
		Updated:           dpswire.Time(e.Updated),
		AllocationPolicy:  string(e.Allocation),
		IotHubs:           e.Hubs,
		issuanceReply:     issuanceOf(e, version),
	}
	if k.individual() {
		w.RegistrationID = e.ID
	} else {
		w.GroupID = e.ID
	}
	if e.Capabilities {
		w.Capabilities = &capabilities{IotEdge: e.Edge}
	}
	if !e.ProvisioningStatusNull {
		status := "enabled"
		if e.Disabled {
			status = "disabled"
		}
		w.ProvisioningStatus = &status
	}
	if r := e.Reprovision; r != nil {
		w.ReprovisionPolicy = &reprovisionReply{r.UpdateHubAssignment, r.MigrateDeviceData}
	}
	if e.Webhook != nil {
		w.Custom = &customReply{WebhookURL: maskQuery(e.Webhook.URL), APIVersion: e.Webhook.APIVersion}
	}
	return w
}

// mask replaces the query of an address.
const mask = "?****"

// maskQuery hides the query of a webhook's address, which usually is its key.
func maskQuery(address string) string {
	if before, _, found := strings.Cut(address, "?"); found {
		return before + mask
	}
	return address
}

// EntryJSON returns an individual enrollment or, if that is nil, a group in the format of webhook calls: like a reply
// to GET with the api-version that its webhook names, but with its etag decoded, as in the documentation's sample of an
// allocation request.
func EntryJSON(e *state.Enrollment, g *state.EnrollmentGroup) (json.RawMessage, error) {
	k, entry := individuals, state.Entry{}
	if e != nil {
		entry = e.Entry()
	} else {
		k, entry = groups, g.Entry()
	}
	version := ""
	if entry.Webhook != nil {
		version = entry.Webhook.APIVersion
	}
	w := k.reply(entry, version, false)
	if etag, err := base64.StdEncoding.DecodeString(w.ETag); err == nil {
		w.ETag = string(etag)
	}
	return json.Marshal(w)
}

// CertificateJSON returns the description of a certificate in DER, as X509CertificateWithInfo.
func CertificateJSON(der []byte) (json.RawMessage, error) { return json.Marshal(certificateReply(der)) }
