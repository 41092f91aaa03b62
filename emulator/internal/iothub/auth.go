package iothub

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
	"evenkeel/internal/sas"
)

// Rights of a hub's shared access policies.
const (
	registryRead   = "RegistryRead"
	registryWrite  = "RegistryWrite"
	serviceConnect = "ServiceConnect"
	deviceConnect  = "DeviceConnect"
)

// authorizeService checks the SAS of a call of the service API: signed by a policy of the hub, not expired, for this path, with one of
// the rights.
func (h *Hubs) authorizeService(hub state.Hub, r *http.Request, rights ...string) error {
	token, err := sas.Parse(r.Header.Get("Authorization"))
	if err != nil {
		return errUnauthorized
	}
	return h.checkPolicy(hub, token, hub.Host()+r.URL.Path, rights...)
}

func (h *Hubs) checkPolicy(hub state.Hub, token sas.Token, path string, rights ...string) error {
	for _, p := range hub.Policies {
		if !strings.EqualFold(p.Name, token.KeyName) {
			continue
		}
		allowed := slices.ContainsFunc(rights, func(right string) bool { return slices.Contains(p.Rights, right) })
		if !allowed || !token.Covers(path) || token.Verify(h.state.Now(), p.PrimaryKey, p.SecondaryKey) != nil {
			return errUnauthorized
		}
		return nil
	}
	return errUnauthorized
}

// grant is what a device has proven: which device it is, and until when.
type grant struct {
	device state.Device
	// expiry is zero for a certificate.
	expiry time.Time
}

// authenticateDevice checks what a device presents: a SAS signed with one of its keys or by a policy with DeviceConnect, or a
// certificate with one of its thumbprints. A wrong credential and an unknown device are the same to the device.
func (h *Hubs) authenticateDevice(hub state.Hub, id, token string, chain []*x509.Certificate) (grant, error) {
	device, err := h.state.Device(hub.Host(), id)
	if err != nil {
		return grant{}, fmt.Errorf("find device %q: %w", id, err)
	}
	if device.Disabled {
		return grant{}, fmt.Errorf("device %q is disabled", id)
	}
	if token == "" {
		return grant{device: device}, checkCertificate(device, chain, h.state.Now())
	}
	parsed, err := sas.Parse(token)
	if err != nil {
		return grant{}, fmt.Errorf("device %q: %w", id, err)
	}
	return grant{device, parsed.Expiry}, h.checkDeviceToken(hub, device, parsed)
}

func (h *Hubs) checkDeviceToken(hub state.Hub, device state.Device, token sas.Token) error {
	path := hub.Host() + "/devices/" + device.ID
	if token.KeyName != "" {
		return h.checkPolicy(hub, token, path, deviceConnect)
	}
	if device.Auth != state.AuthSAS {
		return fmt.Errorf("device %q authenticates with %s, not with a key", device.ID, device.Auth)
	}
	if !token.Covers(path) {
		return fmt.Errorf("device %q: the signature is for another resource", device.ID)
	}
	if err := token.Verify(h.state.Now(), device.Key.Primary, device.Key.Secondary); err != nil {
		return fmt.Errorf("device %q: %w", device.ID, err)
	}
	return nil
}

// checkCertificate compares thumbprints. TLS has proven that the device has the key of the leaf; who issued it does not matter to
// this kind of authentication. Fidelity: devices of type certificateAuthority are refused.
func checkCertificate(device state.Device, chain []*x509.Certificate, now time.Time) error {
	if device.Auth != state.AuthSelfSigned || len(chain) == 0 {
		return fmt.Errorf("device %q presented no credential that it can use", device.ID)
	}
	leaf := chain[0]
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("device %q: its certificate is not valid now", device.ID)
	}
	short, long := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw)
	for _, known := range []string{device.PrimaryThumbprint, device.SecondaryThumbprint} {
		if strings.EqualFold(known, hex.EncodeToString(short[:])) || strings.EqualFold(known, hex.EncodeToString(long[:])) {
			return nil
		}
	}
	return fmt.Errorf("device %q: its certificate has another thumbprint", device.ID)
}
