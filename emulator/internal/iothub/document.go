package iothub

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

// The documents below have their members in the order recorded from the real service.

// deviceDocument is a device of the identity registry.
type deviceDocument struct {
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId"`
	ETag                       string         `json:"etag"`
	ConnectionState            string         `json:"connectionState"`
	Status                     string         `json:"status"`
	StatusReason               *string        `json:"statusReason"`
	ConnectionStateUpdatedTime string         `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          string         `json:"statusUpdatedTime"`
	LastActivityTime           string         `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             authentication `json:"authentication"`
	Capabilities               capabilities   `json:"capabilities"`
	DeviceScope                string         `json:"deviceScope,omitempty"`
	// Empty ParentScopes are omitted, except in the reply to the creation.
	ParentScopes *[]string `json:"parentScopes,omitempty"`
}

type authentication struct {
	SymmetricKey   symmetricKey   `json:"symmetricKey"`
	X509Thumbprint x509Thumbprint `json:"x509Thumbprint"`
	Type           string         `json:"type"`
}

type symmetricKey struct {
	PrimaryKey   *string `json:"primaryKey"`
	SecondaryKey *string `json:"secondaryKey"`
}

type x509Thumbprint struct {
	PrimaryThumbprint   *string `json:"primaryThumbprint"`
	SecondaryThumbprint *string `json:"secondaryThumbprint"`
}

type capabilities struct {
	IoTEdge looseBool `json:"iotEdge"`
}

// twinDocument is a twin as the service API returns it.
type twinDocument struct {
	DeviceID                  string          `json:"deviceId"`
	ETag                      string          `json:"etag"`
	DeviceETag                string          `json:"deviceEtag"`
	Status                    string          `json:"status"`
	StatusReason              string          `json:"statusReason,omitempty"`
	StatusUpdateTime          string          `json:"statusUpdateTime"`
	ConnectionState           string          `json:"connectionState"`
	LastActivityTime          string          `json:"lastActivityTime"`
	CloudToDeviceMessageCount int             `json:"cloudToDeviceMessageCount"`
	AuthenticationType        string          `json:"authenticationType"`
	X509Thumbprint            x509Thumbprint  `json:"x509Thumbprint"`
	ModelID                   string          `json:"modelId"`
	Version                   int64           `json:"version"`
	Tags                      json.RawMessage `json:"tags,omitempty"`
	Properties                twinProperties  `json:"properties"`
	Capabilities              capabilities    `json:"capabilities"`
	DeviceScope               string          `json:"deviceScope,omitempty"`
	ParentScopes              []string        `json:"parentScopes,omitempty"`
}

type twinProperties struct {
	Desired  json.RawMessage `json:"desired"`
	Reported json.RawMessage `json:"reported"`
}

// newDeviceDocument returns the document of a device with that many queued messages. created is set for the reply to
// its creation, whose zero times have no zone.
func newDeviceDocument(d state.Device, waiting int, created bool) deviceDocument {
	doc := deviceDocument{
		DeviceID: d.ID, GenerationID: d.GenerationID, ETag: d.ETag, ConnectionState: connectionState(d),
		Status:       status(d),
		StatusReason: text(d.StatusReason), ConnectionStateUpdatedTime: stamp(d.ConnectionTime),
		StatusUpdatedTime: stamp(d.StatusTime),
		LastActivityTime:  stamp(d.LastActivity), CloudToDeviceMessageCount: waiting,
		Capabilities: capabilities{looseBool(d.Edge)},
		DeviceScope:  deviceScope(d),
		Authentication: authentication{
			SymmetricKey:   symmetricKey{text(d.Key.Primary), text(d.Key.Secondary)},
			X509Thumbprint: thumbprints(d), Type: string(d.Auth),
		},
	}
	if scopes := parentScopes(d); created || len(scopes) > 0 {
		doc.ParentScopes = &scopes
	}
	if created {
		for _, t := range []*string{&doc.ConnectionStateUpdatedTime, &doc.StatusUpdatedTime, &doc.LastActivityTime} {
			if *t == stamp(time.Time{}) {
				*t = strings.TrimSuffix(*t, "Z")
			}
		}
	}
	return doc
}

func newTwinDocument(d state.Device, t state.Twin, waiting int) twinDocument {
	doc := twinDocument{
		DeviceID: d.ID, ETag: t.ETag, DeviceETag: d.ETag, Status: status(d), StatusReason: d.StatusReason,
		StatusUpdateTime: stamp(d.StatusTime),
		ConnectionState:  connectionState(d), LastActivityTime: stamp(d.LastActivity),
		AuthenticationType: string(d.Auth),
		X509Thumbprint:     thumbprints(d), ModelID: t.ModelID, Version: t.Version, CloudToDeviceMessageCount: waiting,
		Capabilities: capabilities{looseBool(d.Edge)},
		Properties: twinProperties{
			Desired:  withMeta(t.Desired, t.DesiredMeta, t.DesiredVersion),
			Reported: withMeta(t.Reported, t.ReportedMeta, t.ReportedVersion),
		},
		DeviceScope: deviceScope(d), ParentScopes: parentScopes(d),
	}
	if !empty(t.Tags) {
		doc.Tags = t.Tags
	}
	return doc
}

// deviceTwin is the twin as its device sees it: no tags, no metadata.
func deviceTwin(t state.Twin) twinProperties {
	return twinProperties{Desired: withMeta(t.Desired, nil, t.DesiredVersion), Reported: withMeta(t.Reported, nil,
		t.ReportedVersion)}
}

// withMeta adds the $ members to a document. With nil meta it omits $metadata.
func withMeta(document, meta []byte, version int64) json.RawMessage {
	number, _ := json.Marshal(version)
	members := `"$version":` + string(number)
	if meta != nil {
		members = `"$metadata":` + string(meta) + "," + members
	}
	return splice(document, members)
}

// splice appends members to a JSON object. nil means the empty object.
func splice(object []byte, members string) []byte {
	body := bytes.TrimSpace(object)
	if empty(body) {
		return []byte("{" + members + "}")
	}
	body = bytes.TrimRight(body[:len(body)-1], " \t\r\n")
	return append(append(append([]byte{}, body...), ','), members+"}"...)
}

// empty reports whether a JSON object is absent or without members.
func empty(object []byte) bool {
	body := bytes.TrimSpace(object)
	return len(body) < 2 || len(bytes.TrimSpace(body[1:len(body)-1])) == 0
}

func status(d state.Device) string {
	if d.Disabled {
		return "disabled"
	}
	return "enabled"
}

func connectionState(d state.Device) string {
	if d.Connected {
		return "Connected"
	}
	return "Disconnected"
}

func thumbprints(d state.Device) x509Thumbprint {
	return x509Thumbprint{text(d.PrimaryThumbprint), text(d.SecondaryThumbprint)}
}

// text is null for the empty string.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// stamp writes a time as the service does: UTC, up to seven fractional digits, the zero time as year 1.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.9999999Z") }
