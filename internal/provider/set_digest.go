package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"evenkeel/internal/dpsapi"
)

// A set's state holds, for each enrollment, its etag and keyed digests of what the service holds: they tell whether the enrollment
// is the declared one without holding it, and tell nobody a key.
type record struct {
	etag, settings, primary, secondary, webhook string
}

const (
	// absent stands for a part that a record does not have.
	absent = "-"
	// digestBytes is how much of a MAC is kept.
	digestBytes = 15
	recordParts = 5
)

func (r record) String() string {
	parts := []string{r.etag, r.settings, r.primary, r.secondary, r.webhook}
	for i, part := range parts {
		if part == "" {
			parts[i] = absent
		}
	}
	return strings.Join(parts, " ")
}

func parseRecord(s string) record {
	parts := strings.Split(s, " ")
	if len(parts) != recordParts {
		return record{} // equal to nothing, so it is read anew
	}
	for i, part := range parts {
		if part == absent {
			parts[i] = ""
		}
	}
	return record{parts[0], parts[1], parts[2], parts[3], parts[4]}
}

// digester makes the digests of one set.
type digester struct{ key []byte }

func newDigester(key string) (digester, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 {
		return digester{}, fmt.Errorf("the set's state holds no digest key")
	}
	return digester{raw}, nil
}

func (d digester) sum(kind, value string) string {
	if value == "" {
		return ""
	}
	mac := hmac.New(sha256.New, d.key)
	fmt.Fprintf(mac, "%s\n%s", kind, value)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:digestBytes])
}

// record returns the record of an enrollment that the service holds with these keys.
func (d digester) record(e declared, keys dpsapi.SymmetricKey, etag string) record {
	r := record{etag: etag, settings: d.settings(e), webhook: d.sum("webhook", webhookOf(e.Settings).WebhookURL)}
	if kindOf(e.Attestation) == dpsapi.SymmetricKeyAttestation {
		r.primary, r.secondary = d.sum("key", keys.PrimaryKey), d.sum("key", keys.SecondaryKey)
	}
	return r
}

// settings digests all but keys and the webhook's query, in one spelling of what means the same.
func (d digester) settings(e declared) string {
	s := e.Settings
	address, _, hasQuery := strings.Cut(webhookOf(s).WebhookURL, "?")
	if hasQuery {
		address += "?"
	}
	var certificates []string
	for _, pair := range []*CertificatePair{clientPair(s.Attestation), signingPair(s.Attestation)} {
		if pair != nil {
			certificates = append(certificates, pair.primary(), pair.secondary())
		} else {
			certificates = append(certificates, "", "")
		}
	}
	tpm, references := tpmOf(s.Attestation), referencesOf(s.Attestation)
	canonical, err := json.Marshal([]any{
		kindOf(s.Attestation), certificates, tpm.EndorsementKey, text(tpm.StorageRootKey), references.Primary, text(references.Secondary),
		text(e.DeviceID), plainJSON(e.DeviceInformation), statusOf(s), isEdge(s), plainJSON(twinOf(s).Tags), plainJSON(twinOf(s).DesiredProperties),
		reprovisionOf(s), policyOf(s), address, webhookOf(s).APIVersion, hubsOf(s), strings.ToLower(text(s.IotHubHostName)),
	})
	if err != nil {
		return "" // equal to nothing; JSON objects of a program can always be written
	}
	return d.sum("settings", string(canonical))
}

// agrees reports whether an enrollment with this record is what is wanted. A key that is not given is kept, so it always agrees.
func (d digester) agrees(want declared, known record) bool {
	given := keysOf(want.Attestation)
	return known.settings != "" && d.settings(want) == known.settings && d.sum("webhook", webhookOf(want.Settings).WebhookURL) == known.webhook &&
		(given.PrimaryKey == "" || d.sum("key", given.PrimaryKey) == known.primary) &&
		(given.SecondaryKey == "" || d.sum("key", given.SecondaryKey) == known.secondary)
}

// reread returns the record of what the service answered. The webhook's query is never told, so it is believed to be the known one.
func (d digester) reread(found held, known record) record {
	r := d.record(found.declared, foundKeys(found), found.Etag)
	if known.webhook != "" && r.webhook != "" {
		r.webhook = known.webhook
	}
	return r
}
