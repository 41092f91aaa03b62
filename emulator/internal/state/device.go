package state

import "time"

// AuthType is how a hub device proves itself, in Azure's words.
type AuthType string

// Authentication types of hub devices.
const (
	AuthSAS        AuthType = "sas"
	AuthSelfSigned AuthType = "selfSigned"
	AuthCA         AuthType = "certificateAuthority"
	AuthNone       AuthType = "none"
)

// Device is an entry of a hub's identity registry. Ids are case-sensitive.
type Device struct {
	ID           string
	GenerationID string
	ETag         string
	Disabled     bool
	StatusReason string
	StatusTime   time.Time
	Auth         AuthType
	Key          SymmetricKey
	// Thumbprints: SHA-1 or SHA-256, upper-case hex; of AuthSelfSigned.
	PrimaryThumbprint, SecondaryThumbprint string
	Edge                                   bool
	Created                                time.Time
	// Connected, LastActivity and ConnectionTime are of this process: a restart starts with everything disconnected.
	Connected      bool
	ConnectionTime time.Time
	LastActivity   time.Time
}

// Twin is a device's twin. Documents are JSON objects without the $-members; versions begin at 1.
type Twin struct {
	DeviceID                        string
	ETag                            string
	Version                         int64
	Tags, Desired, Reported         []byte
	DesiredVersion, ReportedVersion int64
	// DesiredMeta, ReportedMeta: the $metadata objects, JSON.
	DesiredMeta, ReportedMeta []byte
}
