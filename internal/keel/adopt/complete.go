package adopt

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
)

// completer adds to an entry what the service does not return.
type completer struct {
	// certificates are texts by SHA-256 thumbprint.
	certificates map[string]string
	// webhooks are whole addresses by the address without its query.
	webhooks map[string]string
	now      time.Time
}

func newCompleter(o Options) completer {
	c := completer{certificates: map[string]string{}, webhooks: map[string]string{}, now: o.Now()}
	for _, certificate := range o.Certificates {
		c.certificates[enrollment.Thumbprint(certificate)] = textOf(certificate)
	}
	for _, address := range o.Webhooks {
		plain, _, _ := strings.Cut(address, "?")
		c.webhooks[plain] = address
	}
	return c
}

func textOf(certificate *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}

// complete replaces thumbprints by texts and masked webhooks by whole addresses. Its error says what is missing.
func (c completer) complete(entry *dpsservice.Enrollment, isGroup bool) error {
	if entry.Attestation == nil {
		entry.Attestation = &dpsservice.Attestation{Type: dpsservice.SymmetricKeyAttestation}
	}
	if x := entry.Attestation.X509; x != nil {
		if err := c.pair(x.ClientCertificates, entry.ID, enrollment.Client); err != nil {
			return err
		}
		if err := c.pair(x.SigningCertificates, entry.ID, enrollment.Signing); err != nil {
			return err
		}
	}
	if hook := entry.CustomAllocationDefinition; hook != nil && enrollment.IsMasked(hook.WebhookURL) {
		plain, _, _ := strings.Cut(hook.WebhookURL, "?")
		whole := c.webhooks[plain]
		if whole == "" {
			return fmt.Errorf("the service masks the query of its webhook %s?…: give the whole address with --webhooks",
				plain)
		}
		hook.WebhookURL = whole
	}
	for name, value := range map[string]map[string]any{"its device information": entry.OptionalDeviceInformation,
		"its tags": tagsOf(*entry), "its desired properties": desiredOf(*entry)} {
		for member, part := range value {
			if err := undeclarable(map[string]any{member: part}); err != nil {
				return fmt.Errorf("%s %w", name, err)
			}
		}
	}
	return errors.Join(refusals(*entry, isGroup)...)
}

// pair gives both certificates their texts. A secondary certificate that equals the primary one was filled in by the
// service.
func (c completer) pair(pair *dpsservice.X509Certificates, id string, use enrollment.Use) error {
	if pair == nil {
		return nil
	}
	if pair.Primary == nil || pair.Primary.Info == nil {
		return errors.New("the service returned no thumbprint of its certificate")
	}
	if s := pair.Secondary; s != nil && (s.Info == nil ||
		strings.EqualFold(s.Info.SHA256Thumbprint, pair.Primary.Info.SHA256Thumbprint)) {
		pair.Secondary = nil
	}
	for _, one := range []*dpsservice.X509Certificate{pair.Primary, pair.Secondary} {
		if one == nil {
			continue
		}
		thumbprint := strings.ToLower(one.Info.SHA256Thumbprint)
		text := c.certificates[thumbprint]
		if text == "" {
			return fmt.Errorf("the service returns only the thumbprint of its certificate, sha256:%s (%s): put the "+
				"certificate into the folder of --certificates", thumbprint, one.Info.SubjectName)
		}
		faults := enrollment.CheckCertificate("certificate", text, use, c.now)
		if use == enrollment.Client {
			faults = append(faults, enrollment.CheckClientName("certificate", text, id)...)
		}
		if len(faults) > 0 {
			return faults[0]
		}
		one.Certificate = text
	}
	return nil
}

// refusals are the errors that the provider would report for an entry that the service accepted.
func refusals(entry dpsservice.Enrollment, isGroup bool) []error {
	check := enrollment.CheckRegistrationID
	if isGroup {
		check = enrollment.CheckGroupID
	}
	faults := check("id", entry.ID)
	faults = append(faults, enrollment.CheckTags("tags", tagsOf(entry))...)
	faults = append(faults, enrollment.CheckDesired("desiredProperties", desiredOf(entry))...)
	if entry.DeviceID != nil {
		faults = append(faults, enrollment.CheckDeviceID("deviceId", *entry.DeviceID)...)
	}
	errs := make([]error, len(faults))
	for i, fault := range faults {
		errs[i] = fault
	}
	return errs
}

// tagsOf and desiredOf return parts of the initial twin without what the service adds to them; nil for empty ones.
func tagsOf(entry dpsservice.Enrollment) map[string]any {
	if entry.InitialTwin == nil {
		return nil
	}
	return plainJSON(entry.InitialTwin.Tags)
}

func desiredOf(entry dpsservice.Enrollment) map[string]any {
	if entry.InitialTwin == nil || entry.InitialTwin.Properties == nil {
		return nil
	}
	return plainJSON(entry.InitialTwin.Properties.Desired)
}

func plainJSON(object map[string]any) map[string]any {
	plain := map[string]any{}
	for name, value := range object {
		if name != "$version" && name != "$metadata" {
			plain[name] = value
		}
	}
	if len(plain) == 0 {
		return nil
	}
	return plain
}
