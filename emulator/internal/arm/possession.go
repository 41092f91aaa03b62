package arm

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"evenkeel/emulator/internal/state"
)

// codeBytes gives 48 upper-case hex characters.
const codeBytes = 24

func newCode() (string, error) {
	raw := make([]byte, codeBytes)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("generate verification code: %w", err)
	}
	return strings.ToUpper(hex.EncodeToString(raw)), nil
}

// guidETag is the form of provisioning services' etags: base64 of a quoted GUID.
func guidETag(version uint64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `"%08x-0000-0300-0000-%012x"`, version>>48,
		version&0xffff_ffff_ffff))
}

// parseCertificate parses PEM, base64 of PEM, or base64 of DER: clients send all three.
func parseCertificate(text string) (*x509.Certificate, error) {
	const begin = "-----BEGIN "
	data := []byte(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "\ufeff")))
	if len(data) == 0 {
		return nil, errors.New("it is empty")
	}
	if !strings.HasPrefix(string(data), begin) {
		decoded, err := base64.StdEncoding.DecodeString(string(data))
		if err != nil {
			return nil, errors.New("it is neither PEM nor base64")
		}
		data = decoded
	}
	if _, body, is := strings.Cut(string(data), begin); is {
		if end := strings.Index(body, begin); end >= 0 {
			body = body[:end] // pem.Decode would skip a damaged block and return the next one
		}
		block, _ := pem.Decode([]byte(begin + body))
		if block == nil {
			return nil, errors.New("its first PEM block cannot be decoded")
		}
		data = block.Bytes
	}
	parsed, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, errors.New("it is not an X.509 certificate")
	}
	return parsed, nil
}

// sentAsBase64 returns the uploaded text if it is base64 of anything but the certificate's DER. A hub returns it as
// sent (azurerm's tests upload base64 of PEM, and want no change in the next plan). PEM itself is returned as base64
// of DER (recorded in Azure/azure-cli, test_certificate_lifecycle). A private key in the text is not stored.
func sentAsBase64(sent string, der []byte) string {
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(sent))
	if err != nil || bytes.Contains(decoded, []byte(privateKeyMark)) || sent == base64.StdEncoding.EncodeToString(der) {
		return ""
	}
	return sent
}

// privateKeyMark is in the first line of every private key in PEM.
const privateKeyMark = "PRIVATE KEY-----"

// showSent is showCertificate for the response to an upload, which repeats the text that was sent (recorded there
// too).
func showSent(sent string) func(parent, state.Child, state.Certificate) (certificateBody, error) {
	return func(p parent, child state.Child, record state.Certificate) (certificateBody, error) {
		body, err := showCertificate(p, child, record)
		if p.ofHub && strings.Contains(sent, "-----BEGIN ") && !strings.Contains(sent, privateKeyMark) {
			body.Properties.Certificate = &sent
		}
		return body, err
	}
}

// prove checks a proof of possession.
func prove(record state.Certificate, proof string) error {
	if record.Code == "" {
		return errors.New("no verification code was generated")
	}
	leaf, err := parseCertificate(proof)
	if err != nil {
		return fmt.Errorf("the proof: %w", err)
	}
	ca, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return err
	}
	if leaf.Subject.CommonName != record.Code {
		return errors.New("the common name of the proof is not the verification code")
	}
	if ca.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
		return errors.New("the proof is not signed with the key of the certificate")
	}
	return nil
}

// showCertificate returns a certificate as GET shows it (recorded in Azure/azure-cli, test_certificate_lifecycle and
// test_dps_certificate_lifecycle).
func showCertificate(p parent, child state.Child, record state.Certificate) (certificateBody, error) {
	parsed, err := x509.ParseCertificate(record.DER)
	if err != nil {
		return certificateBody{}, fmt.Errorf("read certificate %q: %w", child.Name, err)
	}
	sum := sha1.Sum(record.DER)
	date := func(t time.Time) string { return t.UTC().Format(http.TimeFormat) }
	body := certificateBody{
		ID: p.path + "/certificates/" + child.Name, Name: child.Name, Type: provider + "/" + p.kind + "/Certificates",
		ETag: p.etag(child),
		Properties: certificateProperties{
			Subject: parsed.Subject.CommonName, Expiry: date(parsed.NotAfter),
			Thumbprint: strings.ToUpper(hex.EncodeToString(sum[:])),
			IsVerified: record.Verified, Created: date(time.Time{}), Updated: date(record.Updated),
		},
	}
	if p.ofHub {
		shown := cmp.Or(record.Sent, base64.StdEncoding.EncodeToString(record.DER))
		body.Properties.Created, body.Properties.Certificate = date(record.Created), &shown
	}
	return body, nil
}

// showWithCode is showCertificate with the verification code.
func showWithCode(p parent, child state.Child, record state.Certificate) (certificateBody, error) {
	body, err := showCertificate(p, child, record)
	body.Properties.VerificationCode = record.Code
	return body, err
}
