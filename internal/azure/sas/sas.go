// Package sas creates and verifies the shared access signatures (SAS tokens) of IoT Hub and the Device Provisioning
// Service, and derives the device keys of a symmetric-key enrollment group.
//
// It has no HTTP, MQTT or clock: the caller passes times. The emulator and the clients both use it. It is the only wire
// code that they share, because its tests check it against published vectors.
//
// Sources: "Control access to IoT Hub using SAS" and "Symmetric key attestation" in the Azure documentation.
package sas

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Key lengths in bytes, before base64: the limits for a supplied key, and the length of a generated key.
const (
	MinKeyBytes       = 16
	MaxKeyBytes       = 64
	GeneratedKeyBytes = 64
)

// Policy is the key name (skn) of the token with which a device registers at the provisioning service.
const Policy = "registration"

const scheme = "SharedAccessSignature "

// maxToken is the maximum length of a token that Parse accepts. Real tokens are much shorter.
const maxToken = 8 << 10

// Reasons to reject a token. Callers choose the wire error by them. No error contains a key.
var (
	ErrMalformed = errors.New("malformed shared access signature")
	ErrExpired   = errors.New("shared access signature has expired")
	ErrSignature = errors.New("shared access signature does not match the key")
)

// Token is a parsed shared access signature. Do not trust it before Verify returns nil.
type Token struct {
	// Resource is the decoded sr field: a host, or host and path, without scheme.
	Resource string
	// KeyName is the decoded skn field: a policy name, "registration" for a device at the provisioning service, or
	// empty.
	KeyName string
	// Expiry is the se field, in whole seconds.
	Expiry time.Time

	signed    string // the signed text: sr as received, a line feed, se as received
	signature []byte
}

// New returns a token for resource that is valid until expiry (rounded down to seconds), signed with key (base64). It
// leaves out skn if keyName is empty, and URL-encodes the resource.
func New(resource, keyName, key string, expiry time.Time) (string, error) {
	raw, err := DecodeKey(key)
	if err != nil {
		return "", err
	}
	sr := url.QueryEscape(resource)
	se := strconv.FormatInt(expiry.Unix(), 10)
	sig := base64.StdEncoding.EncodeToString(sum(raw, sr+"\n"+se))
	token := scheme + "sr=" + sr + "&sig=" + url.QueryEscape(sig) + "&se=" + se
	if keyName != "" {
		token += "&skn=" + url.QueryEscape(keyName)
	}
	return token, nil
}

// Parse reads a token from an Authorization header or an MQTT password. Clients differ, so fields may have any order,
// and sr may be URL-encoded in either letter case or not at all. Parse returns ErrMalformed (wrapped) for any other
// text.
func Parse(text string) (Token, error) {
	if len(text) > maxToken {
		return Token{}, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, maxToken)
	}
	rest, ok := cutPrefixFold(text, scheme)
	if !ok {
		return Token{}, fmt.Errorf("%w: does not begin with SharedAccessSignature", ErrMalformed)
	}
	fields := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSpace(rest), "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return Token{}, fmt.Errorf("%w: a field without a value", ErrMalformed)
		}
		if _, twice := fields[name]; twice {
			return Token{}, fmt.Errorf("%w: duplicate field", ErrMalformed)
		}
		fields[name] = value
	}
	return fromFields(fields)
}

func fromFields(fields map[string]string) (Token, error) {
	for _, name := range []string{"sr", "sig", "se"} {
		if fields[name] == "" {
			return Token{}, fmt.Errorf("%w: no %s field", ErrMalformed, name)
		}
	}
	resource, err := url.QueryUnescape(fields["sr"])
	if err != nil {
		return Token{}, fmt.Errorf("%w: sr is not URL-encoded", ErrMalformed)
	}
	keyName, err := url.QueryUnescape(fields["skn"])
	if err != nil {
		return Token{}, fmt.Errorf("%w: skn is not URL-encoded", ErrMalformed)
	}
	// A raw "+" in sig is base64, not a space: PathUnescape keeps it.
	sigText, err := url.PathUnescape(fields["sig"])
	if err != nil {
		return Token{}, fmt.Errorf("%w: sig is not URL-encoded", ErrMalformed)
	}
	signature, err := base64.StdEncoding.DecodeString(sigText)
	if err != nil {
		return Token{}, fmt.Errorf("%w: sig is not base64", ErrMalformed)
	}
	seconds, err := strconv.ParseInt(fields["se"], 10, 64)
	if err != nil || seconds < 0 {
		return Token{}, fmt.Errorf("%w: se is not a number of seconds", ErrMalformed)
	}
	return Token{
		Resource: resource, KeyName: keyName, Expiry: time.Unix(seconds, 0).UTC(),
		signed: fields["sr"] + "\n" + fields["se"], signature: signature,
	}, nil
}

// Verify checks that the token is valid at now and signed with one of the keys (base64; empty keys are skipped). It
// returns nil, ErrSignature or ErrExpired. The signature covers sr exactly as the client sent it.
func (t Token) Verify(now time.Time, keys ...string) error {
	for _, key := range keys {
		raw, err := DecodeKey(key)
		if err != nil {
			continue
		}
		if hmac.Equal(t.signature, sum(raw, t.signed)) {
			if !now.Before(t.Expiry) {
				return ErrExpired
			}
			return nil
		}
	}
	return ErrSignature
}

// Covers reports whether the token's resource is path or an ancestor of it, by whole path segments. Letter case counts
// in the ids of devices and modules at a hub, where dev and DEV are two devices, and nowhere else.
func (t Token) Covers(path string) bool {
	have, want := fold(t.Resource), fold(path)
	return have != "" && (want == have || strings.HasPrefix(want, have+"/"))
}

// fold puts a path into lower case, but for ids whose letter case counts.
func fold(path string) string {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	before := ""
	for i, segment := range segments {
		lower := strings.ToLower(segment)
		isID := i > 1 && (before == "devices" || before == "twins" || before == "digitaltwins" || before == "modules")
		if before = lower; isID {
			before = "" // an id may be the word devices
		} else {
			segments[i] = lower
		}
	}
	return strings.Join(segments, "/")
}

// DeriveDeviceKey returns the key (base64) that a device of a symmetric-key enrollment group signs with:
// HMAC-SHA256 of the registration id, as spelled, under the group's key.
func DeriveDeviceKey(groupKey, registrationID string) (string, error) {
	raw, err := DecodeKey(groupKey)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(sum(raw, registrationID)), nil
}

// NewKey generates a key like the service: GeneratedKeyBytes random bytes in base64, read from random (crypto/rand if
// nil).
func NewKey(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	raw := make([]byte, GeneratedKeyBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("generate a key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// DecodeKey returns the bytes of a symmetric key. Like the service, it rejects text that is not base64 and lengths
// outside MinKeyBytes to MaxKeyBytes. The error never contains the key.
func DecodeKey(key string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, errors.New("symmetric key is not valid base64")
	}
	if len(raw) < MinKeyBytes || len(raw) > MaxKeyBytes {
		return nil, fmt.Errorf("symmetric key has %d bytes, want %d to %d", len(raw), MinKeyBytes, MaxKeyBytes)
	}
	return raw, nil
}

func sum(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func cutPrefixFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return "", false
	}
	return text[len(prefix):], true
}
