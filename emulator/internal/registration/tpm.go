package registration

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
	"evenkeel/emulator/internal/tpmseal"
	"evenkeel/internal/azure/sas"
)

// TPM attestation over HTTPS ("TPM attestation" in the documentation of IoT DPS, and the HTTP transports of the Node
// and C# SDKs): a registration without a signature gets a 401 with a challenge, a key sealed to the device's
// endorsement key. The device signs with it and registers again. It gets its hub key in the same way.
//
// Fidelity: challenges are kept in memory: after a restart a device gets a new one. Each registration generates a new
// hub key; Azure's behaviour is not documented.

const (
	// challengeLife is how long a device may sign with the key of a challenge.
	challengeLife = time.Hour
	// keyBytes is the size of the sealed keys: that of SHA-256.
	keyBytes = 32
)

// tpmBody is TpmAttestation.
type tpmBody struct {
	EndorsementKey string `json:"endorsementKey"`
	StorageRootKey string `json:"storageRootKey,omitempty"`
}

// challengeReply is the body of a 401 with a challenge.
type challengeReply struct {
	Message           string `json:"message"`
	AuthenticationKey string `json:"authenticationKey"`
	KeyName           string `json:"keyName"`
}

// challenge is the key that a device must sign with.
type challenge struct {
	tpm  tpmBody
	key  string // base64
	made time.Time
	// before is the key of the previous challenge, which is still valid: if a request is sent twice, the answer to
	// the first challenge must be accepted.
	before string
}

// challenges are those of all devices, by lower-case scope and registration id.
type challenges struct {
	mu    sync.Mutex
	made  map[string]challenge
	swept time.Time
}

func challengeName(c caller) string { return strings.ToLower(c.scope + "/" + c.id) }

func (s *challenges) of(c caller, now time.Time) (challenge, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.made[challengeName(c)]
	return found, ok && now.Sub(found.made) < challengeLife
}

func (s *challenges) keep(c caller, next challenge) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil {
		s.made = map[string]challenge{}
	}
	if next.made.Sub(s.swept) >= challengeLife {
		maps.DeleteFunc(s.made, func(_ string, old challenge) bool { return next.made.Sub(old.made) >= challengeLife })
		s.swept = next.made
	}
	next.before = s.made[challengeName(c)].key
	s.made[challengeName(c)] = next
}

// newKey returns a new key to seal.
func newKey() string {
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // documented never to fail
	return base64.StdEncoding.EncodeToString(key[:])
}

// challenge responds to the first request of a device with a TPM. An unknown id gets 404201, as seen on Azure; a
// wrong endorsement key is refused like any bad credential.
func (a *API) challenge(c caller, text []byte) (*challengeReply, error) {
	if _, err := a.st.ServiceByScope(c.scope); isNotFound(err) {
		return nil, dpswire.ErrUnauthorized
	} else if err != nil {
		return nil, err
	}
	body, err := c.readBody(text)
	if err != nil {
		return nil, err
	}
	if body.TPM == nil {
		return nil, dpswire.ErrUnauthorized
	}
	e, err := a.st.Enrollment(c.scope, c.id)
	if isNotFound(err) {
		return nil, dpswire.Refuse(http.StatusNotFound, dpswire.CodeNotFound, "Enrollment not found.")
	}
	if err != nil {
		return nil, err
	}
	if held := e.Attestation.TPM; held == nil || !sameKey(held.EndorsementKey, body.TPM.EndorsementKey) {
		return nil, dpswire.ErrUnauthorized
	}
	next := challenge{tpm: *body.TPM, key: newKey(), made: a.st.Now()}
	sealed, err := next.seal(c, next.key)
	if err != nil {
		return nil, err
	}
	a.challenges.keep(c, next)
	return &challengeReply{Message: dpswire.TextUnauthorized, AuthenticationKey: sealed, KeyName: sas.Policy}, nil
}

// individualTPM accepts a device that signed with the key of its challenge. TPM attestation is not available over
// MQTT.
func (a *API) individualTPM(c caller, e state.Enrollment, token sas.Token) (match, error) {
	made, ok := a.challenges.of(c, a.st.Now())
	if !ok || !c.https || !sameKey(made.tpm.EndorsementKey, e.Attestation.TPM.EndorsementKey) {
		return match{}, dpswire.ErrUnauthorized
	}
	if token.Verify(a.st.Now(), made.key, made.before) != nil {
		return match{}, dpswire.ErrUnauthorized
	}
	hubKey := state.SymmetricKey{Primary: newKey(), Secondary: newKey()}
	return match{enrollment: &e, keys: hubKey, challenge: &made}, nil
}

// hubKey returns the device's key at its hub, sealed for its TPM.
func (a *API) hubKey(c caller, made challenge, r state.Registration) (*tpmReply, error) {
	if r.Status != state.Assigned {
		return nil, nil
	}
	device, err := a.st.Device(state.ClassicHost(r.AssignedHub), r.DeviceID)
	if isNotFound(err) {
		return nil, nil // deleted from the hub: there is no key to return
	}
	if err != nil {
		return nil, err
	}
	if device.Auth != state.AuthSAS {
		return nil, nil // it has a certificate, issued or from an operator
	}
	sealed, err := made.seal(c, device.Key.Primary)
	if err != nil {
		return nil, err
	}
	return &tpmReply{sealed}, nil
}

// seal encrypts a base64 key for the device's TPM.
func (m challenge) seal(c caller, key string) (string, error) {
	endorsement, err := tpmseal.ParsePublic(m.tpm.EndorsementKey)
	if err != nil {
		return "", dpswire.Invalid("tpm.endorsementKey is %s.", err)
	}
	storageRoot, err := tpmseal.ParsePublic(m.tpm.StorageRootKey)
	if err != nil {
		return "", dpswire.Invalid("tpm.storageRootKey is %s.", err)
	}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return "", err
	}
	sealed, err := tpmseal.Seal(endorsement, storageRoot, raw, c.scope+"/registrations/"+c.id)
	if err != nil {
		return "", dpswire.Invalid("The keys of the TPM cannot be encrypted to: %s.", err)
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// sameKey compares the decoded content of two public keys.
func sameKey(a, b string) bool {
	x, errX := base64.StdEncoding.DecodeString(a)
	y, errY := base64.StdEncoding.DecodeString(b)
	return errX == nil && errY == nil && subtle.ConstantTimeCompare(x, y) == 1
}
