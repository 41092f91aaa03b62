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
	"evenkeel/internal/azure/sas"
)

// Rights of a hub's shared access policies.
const (
	registryRead   = "RegistryRead"
	registryWrite  = "RegistryWrite"
	serviceConnect = "ServiceConnect"
	deviceConnect  = "DeviceConnect"
)

// authorizeService checks the token of a call of the service API: an Entra ID token, or a SAS that is signed by a
// policy of the hub with one of the rights, covers this path and has not expired.
func (h *Hubs) authorizeService(hub state.Hub, r *http.Request, rights ...string) error {
	header := r.Header.Get("Authorization")
	// Fidelity: an Entra ID token grants every right; Azure checks roles.
	if scheme, bearer, _ := strings.Cut(header, " "); strings.EqualFold(scheme, "Bearer") {
		if h.bearer == nil || h.bearer(bearer) != nil {
			return errUnauthorized
		}
		return nil
	}
	token, err := sas.Parse(header)
	if err != nil {
		return errUnauthorized
	}
	return h.checkPolicy(hub, token, r.URL.Path, rights...)
}

// covers reports whether a token is for that path of the hub, under any of the hub's names. Azure's tools append an
// api-version to a device's resource ("Communicate with your IoT hub using the MQTT protocol").
func (h *Hubs) covers(token sas.Token, hub state.Hub, path string) bool {
	token.Resource, _, _ = strings.Cut(token.Resource, "/api-version=")
	// Clients sign the name that they were given, and some sign the classic one beside it.
	name, below, _ := strings.Cut(token.Resource, "/")
	token.Resource = state.ClassicHost(name) + "/" + below
	other := h.names.Other(hub.Host())
	return token.Covers(hub.Host()+path) || other != "" && token.Covers(other+path)
}

func (h *Hubs) checkPolicy(hub state.Hub, token sas.Token, path string, rights ...string) error {
	if hub.Settings.DisableLocalAuth {
		return errUnauthorized
	}
	for _, p := range hub.Policies {
		if !strings.EqualFold(p.Name, token.KeyName) {
			continue
		}
		allowed := slices.ContainsFunc(rights, func(right string) bool {
			return slices.Contains(p.Rights, right) || right == registryRead && slices.Contains(p.Rights, registryWrite)
		})
		if !allowed || !h.covers(token, hub, path) || token.Verify(h.state.Now(), p.PrimaryKey, p.SecondaryKey) != nil {
			return errUnauthorized
		}
		return nil
	}
	return errUnauthorized
}

// grant is the result of authentication: the device, and the time at which the connection ends.
type grant struct {
	device state.Device
	// expiry is zero for a certificate.
	expiry time.Time
}

// authenticateDevice checks a device's credential: a SAS that is signed with one of its keys or by a policy with
// DeviceConnect, or a certificate with one of its thumbprints or issued by one of the hub's CAs. The error does not
// show whether the credential is wrong or the device unknown.
func (h *Hubs) authenticateDevice(hub state.Hub, id, token string, chain []*x509.Certificate) (grant, error) {
	device, err := h.state.Device(hub.Host(), id)
	if err != nil {
		return grant{}, fmt.Errorf("find device %q: %w", id, err)
	}
	if device.Disabled {
		return grant{}, fmt.Errorf("device %q is disabled", id)
	}
	if token == "" {
		return grant{device: device}, h.checkCertificate(hub, device, chain)
	}
	parsed, err := sas.Parse(token)
	if err != nil {
		return grant{}, fmt.Errorf("device %q: %w", id, err)
	}
	return grant{device, parsed.Expiry}, h.checkDeviceToken(hub, device, parsed)
}

func (h *Hubs) checkDeviceToken(hub state.Hub, device state.Device, token sas.Token) error {
	path := "/devices/" + device.ID
	if token.KeyName != "" {
		return h.checkPolicy(hub, token, path, deviceConnect)
	}
	if hub.Settings.DisableDeviceSAS {
		return fmt.Errorf("device %q: the hub does not accept shared access signatures of devices", device.ID)
	}
	if device.Auth != state.AuthSAS {
		return fmt.Errorf("device %q authenticates with %s, not with a key", device.ID, device.Auth)
	}
	if !h.covers(token, hub, path) {
		return fmt.Errorf("device %q: the signature is for another resource", device.ID)
	}
	if err := token.Verify(h.state.Now(), device.Key.Primary, device.Key.Secondary); err != nil {
		return fmt.Errorf("device %q: %w", device.ID, err)
	}
	return nil
}

// checkCertificate checks the certificate of a device. TLS has proved that the device holds the key of the leaf.
func (h *Hubs) checkCertificate(hub state.Hub, device state.Device, chain []*x509.Certificate) error {
	if len(chain) == 0 {
		return fmt.Errorf("device %q sent no credentials", device.ID)
	}
	switch leaf, now := chain[0], h.state.Now(); {
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return fmt.Errorf("device %q: its certificate is not valid now", device.ID)
	case device.Auth == state.AuthSelfSigned:
		return checkThumbprint(device, leaf)
	case device.Auth == state.AuthCA:
		return h.checkChain(hub, device, chain)
	}
	return fmt.Errorf("device %q authenticates with %s, not with a certificate", device.ID, device.Auth)
}

// checkThumbprint compares thumbprints; the issuer of the certificate does not matter.
func checkThumbprint(device state.Device, leaf *x509.Certificate) error {
	short, long := sha1.Sum(leaf.Raw), sha256.Sum256(leaf.Raw)
	for _, known := range []string{device.PrimaryThumbprint, device.SecondaryThumbprint} {
		if strings.EqualFold(known, hex.EncodeToString(short[:])) ||
			strings.EqualFold(known, hex.EncodeToString(long[:])) {
			return nil
		}
	}
	return fmt.Errorf("device %q: its certificate has another thumbprint", device.ID)
}

// checkChain looks for a chain from the leaf, whose common name is the device's id, to a certificate of the hub that
// is verified, or to the authority that issues certificates at registration, which a linked hub of Azure gets from the
// namespace. The device presents the intermediates. Sources: "Authenticate identities with X.509 certificates", "Device
// certificate issuance in Azure Device Registry". Like Azure, it does not check revocation.
//
// Fidelity: every hub trusts that authority, and its certificate need not be presented.
func (h *Hubs) checkChain(hub state.Hub, device state.Device, chain []*x509.Certificate) error {
	leaf := chain[0]
	if leaf.Subject.CommonName != device.ID {
		return fmt.Errorf("device %q: its certificate has the common name %q", device.ID, leaf.Subject.CommonName)
	}
	verified, err := h.state.VerifiedCertificates(hub.Host())
	if err != nil {
		return err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, authority := range verified {
		parsed, err := x509.ParseCertificate(authority.DER)
		if err != nil {
			return fmt.Errorf("read certificate %q of the hub: %w", authority.Name, err)
		}
		roots.AddCert(parsed)
	}
	if h.issuing != nil {
		roots.AddCert(h.issuing)
	}
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: h.state.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("device %q: %w", device.ID, err)
	}
	return nil
}
