package arm

import (
	"net/http"
	"regexp"
	"strings"

	"evenkeel/emulator/internal/state"
)

// Certificates of hubs (Certificates_*) and provisioning services (DpsCertificate_*), and their proof of possession.
// Both share the handlers; ofHub marks the differences.

var certificateName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (s *surface) routeCertificates() {
	for item, ofHub := range map[string]bool{hubItem: true, serviceItem: false} {
		with := func(h func(*call, parent) error) handler { return ofParent(ofHub, h) }
		settled := func(h func(*call, parent) error) handler { return ofParent(ofHub, whenActive(h)) }
		s.route("GET "+item+"/certificates", with((*call).listCertificates))
		s.route("GET "+item+"/certificates/{child}", with((*call).getCertificate))
		s.change("PUT "+item+"/certificates/{child}", settled((*call).putCertificate))
		s.change("DELETE "+item+"/certificates/{child}", settled((*call).deleteCertificate))
		s.change("POST "+item+"/certificates/{child}/generateverificationcode", settled((*call).generateCode))
		s.change("POST "+item+"/certificates/{child}/verify", settled((*call).verifyCertificate))
	}
}

// parent is the hub or provisioning service that certificates belong to.
type parent struct {
	ofHub bool
	host  string
	path  string
	kind  string
	name  string
	phase state.Phase
}

func parentHub(h state.Hub) parent {
	return parent{true, h.Host(), resourcePath(hubKind, h.ID), hubKind, h.ID.Name, h.Phase}
}

func parentService(v state.Service) parent {
	return parent{false, v.Host(), resourcePath(serviceKind, v.ID), serviceKind, v.ID.Name, v.Phase}
}

// whenActive refuses to change the children of a hub or a provisioning service in transition
// (microsoft/vscode#68251).
func whenActive(h func(*call, parent) error) func(*call, parent) error {
	return func(c *call, p parent) error {
		if p.phase != state.Active {
			return notActive(p.kind, p.name)
		}
		return h(c, p)
	}
}

func (c *call) parent(ofHub bool) (parent, error) {
	if ofHub {
		hub, err := hubs.read(c)
		return parentHub(hub), err
	}
	service, err := services.read(c)
	return parentService(service), err
}

// ofParent handles a call about a child of the hub or provisioning service in the path.
func ofParent(ofHub bool, h func(*call, parent) error) handler {
	return func(c *call) error {
		p, err := c.parent(ofHub)
		if err != nil {
			return err
		}
		return h(c, p)
	}
}

// certificateBody is CertificateDescription of hubs and CertificateResponse of provisioning services.
type certificateBody struct {
	ID         string                `json:"id"`
	Name       string                `json:"name"`
	Type       string                `json:"type"`
	ETag       string                `json:"etag"`
	Properties certificateProperties `json:"properties"`
}

// certificateProperties: dates are RFC 1123. A provisioning service never returns the certificate or its creation
// time.
type certificateProperties struct {
	Subject          string  `json:"subject"`
	Expiry           string  `json:"expiry"`
	Thumbprint       string  `json:"thumbprint"`
	IsVerified       bool    `json:"isVerified"`
	Created          string  `json:"created"`
	Updated          string  `json:"updated"`
	Certificate      *string `json:"certificate"`
	VerificationCode string  `json:"verificationCode,omitempty"`
}

// etag of a certificate: 8 bytes for hubs, a quoted GUID for provisioning services, both in base64.
func (p parent) etag(child state.Child) string {
	if p.ofHub {
		return child.ETag()
	}
	return guidETag(child.Version)
}

// certificate reads the certificate in the path.
func (c *call) certificate(p parent) (state.Child, state.Certificate, error) {
	child, err := c.State.Child(p.host, state.CertificateKind, c.values["child"])
	if isKind(err, state.NotFound) {
		return child, state.Certificate{}, providerError(numberChildNotFound, "The certificate '%s' was not found.",
			c.values["child"])
	}
	if err != nil {
		return child, state.Certificate{}, err
	}
	record, err := child.Certificate()
	return child, record, err
}

// matched is certificate for a call that needs an If-Match.
func (c *call) matched(p parent) (state.Child, state.Certificate, error) {
	child, record, err := c.certificate(p)
	if given := etagOf(c.r.Header.Get("If-Match")); err == nil && given != state.MustExist && given != p.etag(child) {
		// The code and text are from crossplane-contrib/provider-upjet-azure#299.
		err = providerError(numberPrecondition,
			"Invalid ETag supplied. ETag supplied must match the ETag of the certificate.")
	}
	return child, record, err
}

// keep stores a certificate and responds with it.
func (c *call) keep(p parent, child state.Child, record state.Certificate,
	show func(parent, state.Child, state.Certificate) (certificateBody, error)) error {
	record.Updated = c.State.Now()
	if err := child.SetCertificate(record); err != nil {
		return err
	}
	child, created, err := c.State.PutChild(child, state.Unconditional)
	if err != nil {
		return err
	}
	body, err := show(p, child, record)
	if err != nil {
		return err
	}
	if created && p.ofHub {
		return c.json(http.StatusCreated, body)
	}
	return c.json(http.StatusOK, body)
}

// putCertificate uploads a certificate. To replace one, it needs If-Match.
func (c *call) putCertificate(p parent) error {
	name := c.values["child"]
	if !certificateName.MatchString(name) {
		return invalid("The certificate name '%s' is invalid: it has 1 to 64 letters, digits, '.', '-' or '_'.", name)
	}
	sent, err := c.uploadOf(p)
	if err != nil {
		return err
	}
	if err := c.checkCertificateMembers(p); err != nil {
		return err
	}
	parsed, err := parseCertificate(sent.Certificate)
	if err != nil {
		return invalid("The certificate '%s' is invalid: %s.", name, err)
	}
	record := state.Certificate{DER: parsed.Raw, Verified: sent.IsVerified, Created: c.State.Now()}
	if p.ofHub {
		record.Sent = sentAsBase64(sent.Certificate, parsed.Raw)
	}
	child := state.Child{Parent: p.host, Kind: state.CertificateKind, Name: name}
	switch _, err := c.State.Child(p.host, state.CertificateKind, name); {
	case err == nil:
		old, before, err := c.matched(p)
		if err != nil {
			return err
		}
		child, record.Created = old, before.Created
	case !isKind(err, state.NotFound):
		return err
	case c.r.Header.Get("If-Match") != "":
		return etagRefused(p.kind)
	default:
		if err := c.checkCertificateQuota(p); err != nil {
			return err
		}
	}
	return c.keep(p, child, record, showSent(sent.Certificate))
}

// uploaded is the body of a PUT.
type uploaded struct {
	Certificate string `json:"certificate"`
	IsVerified  bool   `json:"isVerified"`
}

// lastFlat is the newest api-version of provisioning services whose certificate bodies are flat. Later ones have
// properties.
const lastFlat = "2021-10-15"

func (c *call) uploadOf(p parent) (uploaded, error) {
	if !p.ofHub && c.version <= lastFlat {
		var flat uploaded
		err := c.body(&flat)
		return flat, err
	}
	var nested struct {
		Properties uploaded `json:"properties"`
	}
	err := c.body(&nested)
	return nested.Properties, err
}

func (c *call) getCertificate(p parent) error {
	child, record, err := c.certificate(p)
	if err != nil {
		return err
	}
	body, err := showCertificate(p, child, record)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, body)
}

func (c *call) listCertificates(p parent) error {
	children, err := c.State.Children(p.host, state.CertificateKind)
	if err != nil {
		return err
	}
	bodies := make([]certificateBody, len(children))
	for i, child := range children {
		record, err := child.Certificate()
		if err != nil {
			return err
		}
		if bodies[i], err = showCertificate(p, child, record); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, list{bodies})
}

// deleteCertificate responds with 200, or 204 if the certificate does not exist. Fidelity: the specification requires
// If-Match; here it is optional.
func (c *call) deleteCertificate(p parent) error {
	if _, err := c.State.Child(p.host, state.CertificateKind, c.values["child"]); isKind(err, state.NotFound) {
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	} else if err != nil {
		return err
	}
	if c.r.Header.Get("If-Match") != "" {
		if _, _, err := c.matched(p); err != nil {
			return err
		}
	}
	if err := c.State.DeleteChild(p.host, state.CertificateKind, c.values["child"], state.Unconditional); err != nil {
		return err
	}
	c.w.WriteHeader(http.StatusOK)
	return nil
}

// generateCode generates the code that a certificate signed by this one must contain.
func (c *call) generateCode(p parent) error {
	child, record, err := c.matched(p)
	if err != nil {
		return err
	}
	if record.Code, err = newCode(); err != nil {
		return err
	}
	record.Verified = false
	return c.keep(p, child, record, showWithCode)
}

// verifyCertificate checks the proof: a certificate whose common name is the code, signed with the key of this one.
func (c *call) verifyCertificate(p parent) error {
	child, record, err := c.matched(p)
	if err != nil {
		return err
	}
	var sent uploaded
	if err := c.body(&sent); err != nil {
		return err
	}
	if err := prove(record, sent.Certificate); err != nil {
		return invalid("The verification of the certificate '%s' failed: %s.", strings.TrimSpace(child.Name), err)
	}
	record.Verified, record.Code = true, ""
	return c.keep(p, child, record, showCertificate)
}

// maxCertificates is the largest number of certificates of a hub or a provisioning service. Source: "IoT Hub quotas
// and throttling", "Azure IoT Hub Device Provisioning Service limits"; the number of the error is unsure.
const maxCertificates = 25

func (c *call) checkCertificateQuota(p parent) error {
	children, err := c.State.Children(p.host, state.CertificateKind)
	if err == nil && len(children) >= maxCertificates {
		err = invalid("The maximum of %d certificates is reached.", maxCertificates)
	}
	return err
}
