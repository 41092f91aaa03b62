package iothub

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/strictjson"
	"evenkeel/internal/azure/sas"
)

// maxBody is the size in bytes of the largest body of the service API: a bulk request for 100 devices with the
// largest permitted twins.
const maxBody = 4 << 20

// deviceIDForm is the form of device ids, of the description of 2021-04-12. Fidelity: later documentation says that +
// and # are not supported.
var deviceIDForm = regexp.MustCompile(`^[A-Za-z0-9\-.+%_#*?!(),:;=@$']{1,128}$`)

// maxReason is the largest number of characters of statusReason, in UTF-8. Source: the description of 2021-04-12.
const maxReason = 128

// deviceInput is a device as sent by a client. Members that only the service sets are ignored.
type deviceInput struct {
	DeviceID *string `json:"deviceId"`
	identityInput
}

// identityInput holds the members that a client can set, one by one or in bulk.
type identityInput struct {
	Status         *string              `json:"status"`
	StatusReason   *string              `json:"statusReason"`
	Authentication *authenticationInput `json:"authentication"`
	Capabilities   *capabilities        `json:"capabilities"`
	DeviceScope    *string              `json:"deviceScope"`
	ParentScopes   []string             `json:"parentScopes"`
}

type authenticationInput struct {
	SymmetricKey   *symmetricKey   `json:"symmetricKey"`
	X509Thumbprint *x509Thumbprint `json:"x509Thumbprint"`
	Type           *string         `json:"type"`
}

// apply applies the client's values to the current device, or to a new one.
func (in deviceInput) apply(d state.Device) (state.Device, error) {
	if in.DeviceID != nil && *in.DeviceID != d.ID {
		return d, invalid("deviceId %q differs from %q in the path", *in.DeviceID, d.ID)
	}
	if in.Status != nil {
		if d.Disabled = strings.EqualFold(*in.Status, "disabled"); !d.Disabled &&
			!strings.EqualFold(*in.Status, "enabled") {
			return d, invalid("status must be enabled or disabled")
		}
	}
	// Fidelity: that an omitted reason is removed, as with null, is unsure. Clients that omit nulls have no other way
	// to remove it.
	d.StatusReason = ""
	if in.StatusReason != nil {
		if utf8.RuneCountInString(*in.StatusReason) > maxReason {
			return d, invalid("statusReason is longer than %d characters", maxReason)
		}
		d.StatusReason = *in.StatusReason
	}
	if in.Capabilities != nil {
		d.Edge = bool(in.Capabilities.IoTEdge)
	}
	if in.Authentication == nil {
		return d, nil
	}
	return in.Authentication.apply(d)
}

// apply sets the credential. Fidelity: an update that names no keys keeps the present ones, and an empty one is
// replaced by a new key (Azure/azure-iot-cli-extension, test_iothub_devices_int.py, of both; of one alone that is
// unsure).
func (in authenticationInput) apply(d state.Device) (state.Device, error) {
	primary, secondary := value(in.SymmetricKey, func(k symmetricKey) *string { return k.PrimaryKey }),
		value(in.SymmetricKey, func(k symmetricKey) *string { return k.SecondaryKey })
	print1, print2 := value(in.X509Thumbprint, func(x x509Thumbprint) *string { return x.PrimaryThumbprint }),
		value(in.X509Thumbprint, func(x x509Thumbprint) *string { return x.SecondaryThumbprint })
	switch {
	case in.Type != nil:
		d.Auth = authType(*in.Type)
	case primary != "" || secondary != "":
		d.Auth = state.AuthSAS
	case print1 != "" || print2 != "":
		d.Auth = state.AuthSelfSigned
	}
	switch d.Auth {
	case state.AuthSAS, "":
		d.PrimaryThumbprint, d.SecondaryThumbprint = "", ""
		for key, sent := range map[*string]*string{&primary: in.SymmetricKey.primary(),
			&secondary: in.SymmetricKey.secondary()} {
			if sent == nil || *sent != "" {
				continue
			}
			var err error
			if *key, err = sas.NewKey(nil); err != nil {
				return d, err
			}
		}
		return withKeys(d, primary, secondary)
	case state.AuthSelfSigned:
		d.Key = state.SymmetricKey{}
		return withThumbprints(d, print1, print2)
	case state.AuthCA, state.AuthNone:
		d.Key, d.PrimaryThumbprint, d.SecondaryThumbprint = state.SymmetricKey{}, "", ""
		return d, nil
	}
	return d, invalid("authentication.type must be sas, selfSigned, certificateAuthority or none")
}

// primary is the primary key as sent, or nil if it was omitted.
func (k *symmetricKey) primary() *string {
	if k == nil {
		return nil
	}
	return k.PrimaryKey
}

// secondary is the secondary key as sent, or nil if it was omitted.
func (k *symmetricKey) secondary() *string {
	if k == nil {
		return nil
	}
	return k.SecondaryKey
}

// authType parses a type as .NET parses enumerations: case-insensitively.
func authType(name string) state.AuthType {
	for _, known := range []state.AuthType{state.AuthSAS, state.AuthSelfSigned, state.AuthCA, state.AuthNone} {
		if strings.EqualFold(name, string(known)) {
			return known
		}
	}
	return state.AuthType(name)
}

func withKeys(d state.Device, primary, secondary string) (state.Device, error) {
	if primary == "" && secondary == "" {
		return d, nil
	}
	for _, key := range []string{primary, secondary} {
		if _, err := sas.DecodeKey(key); err != nil {
			return d, invalid("authentication.symmetricKey needs two keys: %v", err)
		}
	}
	d.Key = state.SymmetricKey{Primary: primary, Secondary: secondary}
	return d, nil
}

func withThumbprints(d state.Device, primary, secondary string) (state.Device, error) {
	if primary == "" && secondary == "" {
		if d.PrimaryThumbprint == "" && d.SecondaryThumbprint == "" {
			return d, invalid("authentication.x509Thumbprint needs a thumbprint")
		}
		return d, nil
	}
	for _, print := range []string{primary, secondary} {
		if raw, err := hex.DecodeString(print); err != nil || len(raw) != 0 && len(raw) != 20 && len(raw) != 32 {
			return d, invalid("authentication.x509Thumbprint must be the SHA-1 or SHA-256 of a certificate in hex")
		}
	}
	d.PrimaryThumbprint, d.SecondaryThumbprint = strings.ToUpper(primary), strings.ToUpper(secondary)
	return d, nil
}

// value returns a member of something that may be nil.
func value[T any](from *T, member func(T) *string) string {
	if from == nil {
		return ""
	}
	if v := member(*from); v != nil {
		return *v
	}
	return ""
}

// twinInput is a twin as sent by a client of the service API. Members that the service or the device sets are
// ignored.
type twinInput struct {
	Tags       json.RawMessage `json:"tags"`
	Properties struct {
		Desired json.RawMessage `json:"desired"`
	} `json:"properties"`
}

func (in twinInput) patch(replace bool) (state.TwinPatch, error) {
	p := state.TwinPatch{Replace: replace}
	if present(in.Tags) {
		p.Tags = in.Tags
	}
	if present(in.Properties.Desired) {
		desired, err := propertiesPatch(in.Properties.Desired)
		if err != nil {
			return p, err
		}
		p.Desired = desired
	}
	return p, nil
}

// propertiesPatch removes the members of desired properties that the service maintains, which a client that read a
// twin sends back. The state checks the rest.
func propertiesPatch(body []byte) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return nil, invalid("properties.desired must be a JSON object")
	}
	before := len(members)
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool {
		return name == "$metadata" || name == "$version"
	})
	if len(members) == before {
		return body, nil
	}
	return json.Marshal(members)
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return &wireError{413000, "GenericRequestEntityTooLarge", "The body could not be read, or is too large"}
	}
	if text := bytes.TrimSpace(body); len(text) == 0 || string(text) == "null" {
		return invalid("The body is empty")
	}
	if err := strictjson.Check(body); err != nil {
		return invalid("The body is invalid: %v", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return invalid("The body is invalid: %s", describeJSON(err))
	}
	return nil
}

// describeJSON describes what is wrong with a body without quoting it, because it may hold keys.
func describeJSON(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		// The names of this package's structs are internal.
		members := slices.DeleteFunc(strings.Split(kind.Field, "."),
			func(name string) bool { return strings.HasSuffix(name, "Input") })
		return cmp.Or(strings.Join(members, "."), "it") + " cannot be a JSON " + kind.Value
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("invalid JSON at byte %d", syntax.Offset)
	}
	return "invalid JSON"
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	writeJSONAs(w, "application/json; charset=utf-8", status, body)
}

func writeJSONAs(w http.ResponseWriter, contentType string, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "encode the response: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// Stores of earlier versions may hold text that is not UTF-8.
	_, _ = w.Write(bytes.ToValidUTF8(text, []byte("\ufffd")))
}

// ifMatch returns the If-Match header: clients send etags bare, quoted, or weak. An empty quoted etag counts as
// absent.
func ifMatch(r *http.Request) string {
	tag := strings.TrimPrefix(strings.TrimSpace(r.Header.Get("If-Match")), "W/")
	return strings.Trim(tag, `"`)
}
