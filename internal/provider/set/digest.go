package set

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"strings"
	"sync"
	"sync/atomic"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/provider/entry"
)

// record is the entry of an enrollment in a set's state: its etag and keyed digests of what the service holds. They
// show whether the enrollment is the declared one, but do not contain it, and reveal no key.
type record struct {
	// etag is empty if the enrollment was created but its etag is not known yet, unanswered if it is unknown whether it
	// was created, and gone if it was deleted.
	etag string
	// kind is the type of the attestation, as the service names it.
	kind, settings, primary, secondary, webhook string
	// created and updated are digests of the service's times of creation and last update; empty if these are not known,
	// as in states of older versions.
	created, updated string
}

// olderParts is the number of parts in records of older versions: all but the times.
const olderParts = 6

const (
	// absent represents a part that a record does not have.
	absent = "-"
	// gone is the etag of an enrollment that was deleted while its device may still have a registration record.
	gone = "!"
	// made precedes the digest of a key that the program does not give: a change of it is not drift.
	made = "~"
	// unread represents the digest of a key that an import did not read, since the program does not give it.
	unread = made
	// named precedes the digest of settings that name a certificate policy: only a later version of the service API
	// reads and removes them.
	named = "^"
	// unseen represents the digest of a webhook whose query the service masked before a program declared it.
	unseen = "*"
	// doubted represents the digest of such a webhook after the manifest that was assumed to contain its query changed.
	doubted = "?"
	// digestBytes is the kept length of a MAC, and timeBytes that of the MAC of a time.
	digestBytes, timeBytes = 15, 3
)

func (r *record) parts() [olderParts + 2]*string {
	return [...]*string{&r.etag, &r.kind, &r.settings, &r.primary, &r.secondary, &r.webhook, &r.created, &r.updated}
}

func (r record) String() string {
	var parts [olderParts + 2]string
	for i, part := range r.parts() {
		if parts[i] = *part; *part == "" {
			parts[i] = absent
		}
	}
	return strings.Join(parts[:], " ")
}

func parseRecord(s string) record {
	var r record
	parts, into := strings.Split(s, " "), r.parts()
	if len(parts) != len(into) && len(parts) != olderParts {
		return record{} // equal to nothing, so it is read again
	}
	for i, part := range parts {
		if part != absent {
			*into[i] = part
		}
	}
	return r
}

// isSettled reports whether the record is of an enrollment that exists in a known version.
func (r record) isSettled() bool { return r.etag != "" && r.isCreated() }

// isCreated reports whether the record is of an enrollment that certainly existed when it was last read or written.
func (r record) isCreated() bool { return r.etag != entry.Unanswered && r.etag != gone }

// same reports whether both records are of the same enrollment, in whatever versions. Keys that an import did not read
// are not compared.
func (r record) same(other record) bool {
	if other.primary == unread {
		other.primary = r.primary
	}
	if other.secondary == unread {
		other.secondary = r.secondary
	}
	other.etag, other.created, other.updated = r.etag, r.created, r.updated
	return r == other && r.settings != ""
}

// differences names what differs from the record of another version.
func (r record) differences(other record) string {
	if r.kind != other.kind {
		return "the kind of its attestation"
	}
	var names []string
	for _, part := range []struct{ name, a, b string }{
		{"its settings", r.settings, other.settings}, {"its primary key", r.primary, other.primary},
		{"its secondary key", r.secondary, other.secondary}, {"its webhook", r.webhook, other.webhook},
	} {
		if part.a != part.b && part.b != unread {
			names = append(names, part.name)
		}
	}
	return strings.Join(names, " and ")
}

// isNamed reports whether the record is of an enrollment that names a certificate policy.
func (r record) isNamed() bool { return strings.HasPrefix(r.settings, named) }

// differs reports whether an enrollment differs from its declaration, keys that the program does not give excluded.
func (r record) differs(declared record) bool {
	if strings.HasPrefix(declared.primary, made) {
		r.primary = declared.primary
	}
	if strings.HasPrefix(declared.secondary, made) {
		r.secondary = declared.secondary
	}
	return !r.same(declared)
}

// digester computes the digests of one set. It is safe for concurrent use.
type digester struct {
	// macs are hash.Hash values under the set's key, which are slow to set up.
	macs *sync.Pool
	// last are the plain settings that were digested last: most devices of a set have the same ones.
	last *atomic.Pointer[plainDigest]
}

// plainSettings are the normalized settings of an enrollment except lists and objects.
type plainSettings struct {
	kind, deviceID, status, policy, address, apiVersion, hub string
	// namespace, authority and issuance name a certificate policy, in lower case.
	namespace, authority, issuance string
	isEdge                         bool
	reprovision                    entry.ReprovisionPolicy
}

type plainDigest struct {
	settings plainSettings
	digest   string
}

func newDigester(key string) (digester, error) {
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) == 0 {
		return digester{}, fmt.Errorf("the set's state has no digest key")
	}
	macs := &sync.Pool{New: func() any { return hmac.New(sha256.New, raw) }}
	return digester{macs, new(atomic.Pointer[plainDigest])}, nil
}

func (d digester) sum(kind, value string) string {
	if value == "" {
		return ""
	}
	mac := d.macs.Get().(hash.Hash)
	defer d.macs.Put(mac)
	mac.Reset()
	mac.Write([]byte(kind + "\n" + value))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:digestBytes])
}

// stamped returns the record with the etag and the times of the service's answer.
func (d digester) stamped(r record, etag, created, updated string) record {
	r.etag, r.created, r.updated = etag, d.timeDigest(created), d.timeDigest(updated)
	return r
}

func (d digester) timeDigest(text string) string {
	digest := d.sum("time", text)
	return digest[:min(len(digest), base64.RawURLEncoding.EncodedLen(timeBytes))]
}

// record returns the record of an enrollment that the service holds with these keys.
func (d digester) record(e entry.Declared, keys dpsservice.SymmetricKey, etag string) record {
	r := record{etag: etag, kind: entry.AttestationType(e.Attestation), settings: d.settings(e),
		webhook: d.sum("webhook", entry.WebhookOf(e.Settings).WebhookURL)}
	if r.kind == dpsservice.SymmetricKeyAttestation {
		given := entry.GivenKeys(e.Attestation)
		r.primary, r.secondary = d.keyDigest(keys.PrimaryKey, given.PrimaryKey != ""),
			d.keyDigest(keys.SecondaryKey, given.SecondaryKey != "")
	}
	return r
}

func (d digester) keyDigest(key string, given bool) string {
	digest := d.sum("key", key)
	if given || digest == "" {
		return digest
	}
	return made + digest
}

// agreesKey reports whether a key that the program gives is the one of the digest. A key that it does not give is kept,
// so it agrees.
func (d digester) agreesKey(given, digest string) bool {
	return given == "" || d.sum("key", given) == strings.TrimPrefix(digest, made)
}

// settings digests all but keys and the webhook's query.
func (d digester) settings(e entry.Declared) string {
	plain, isAll := plainOf(e)
	if !isAll {
		return d.digest(plain, e)
	}
	last := d.last.Load()
	if last == nil || last.settings != plain {
		last = &plainDigest{plain, d.digest(plain, e)}
		d.last.Store(last)
	}
	return last.digest
}

// plainOf normalizes the plain settings, and reports whether there are no others.
func plainOf(e entry.Declared) (plain plainSettings, isAll bool) {
	s := e.Settings
	address, _, hasQuery := strings.Cut(entry.WebhookOf(s).WebhookURL, "?")
	if hasQuery {
		address += "?"
	}
	plain = plainSettings{
		kind: entry.AttestationType(s.Attestation), deviceID: entry.Text(e.DeviceID), status: entry.StatusOf(s),
		policy:  entry.PolicyOf(s),
		address: address, apiVersion: entry.WebhookOf(s).APIVersion, hub: strings.ToLower(entry.Text(s.IotHubHostName)),
		namespace: strings.ToLower(entry.Text(s.NamespaceName)),
		authority: strings.ToLower(entry.Text(s.CertificateAuthorityName)),
		issuance:  strings.ToLower(entry.Text(s.CertificatePolicyName)),
		isEdge:    entry.IsEdge(s), reprovision: entry.ReprovisionOf(s),
	}
	twin := entry.TwinOf(s)
	return plain, plain.kind == dpsservice.SymmetricKeyAttestation &&
		len(e.DeviceInformation)+len(twin.Tags)+len(twin.DesiredProperties)+len(s.IotHubs) == 0
}

// digest digests the plain settings and the lists and objects.
func (d digester) digest(plain plainSettings, e entry.Declared) string {
	s := e.Settings
	var certificates []string
	for _, pair := range []*entry.CertificatePair{entry.ClientPair(s.Attestation), entry.SigningPair(s.Attestation)} {
		if pair != nil {
			certificates = append(certificates, pair.PrimaryThumbprint(), pair.SecondaryThumbprint())
		} else {
			certificates = append(certificates, "", "")
		}
	}
	tpm, references := entry.TPMOf(s.Attestation), entry.ReferencesOf(s.Attestation)
	parts := []any{
		plain.kind, certificates, tpm.EndorsementKey, entry.Text(tpm.StorageRootKey), references.Primary,
		entry.Text(references.Secondary),
		plain.deviceID, entry.PlainJSON(e.DeviceInformation), plain.status, plain.isEdge,
		entry.PlainJSON(entry.TwinOf(s).Tags), entry.PlainJSON(entry.TwinOf(s).DesiredProperties),
		plain.reprovision, plain.policy, plain.address, plain.apiVersion, entry.HubsOf(s), plain.hub,
	}
	mark := ""
	if s.IsNamed() { // other digests are those of earlier versions
		parts, mark = append(parts, plain.namespace, plain.authority, plain.issuance), named
	}
	canonical, err := json.Marshal(parts)
	if err != nil {
		return "" // equal to nothing; JSON objects of a program can always be written
	}
	return mark + d.sum("settings", string(canonical))
}

// agrees reports whether an enrollment with this record is as declared. A key that is not given is kept, so it always
// agrees.
func (d digester) agrees(want entry.Declared, known record) bool {
	given := entry.GivenKeys(want.Attestation)
	return known.settings != "" && d.settings(want) == known.settings &&
		(known.webhook == unseen || d.sum("webhook", entry.WebhookOf(want.Settings).WebhookURL) == known.webhook) &&
		d.agreesKey(given.PrimaryKey, known.primary) && d.agreesKey(given.SecondaryKey, known.secondary)
}

// reread returns the record of the service's answer. The service never returns the webhook's query, so it is assumed to
// be the known one; the known record shows which keys the program gives.
func (d digester) reread(found entry.Held, known record) record {
	r := d.record(found.Declared, entry.FoundKeys(found), "")
	r = d.stamped(r, found.Etag, found.CreatedDateTimeUtc, found.LastUpdatedDateTimeUtc)
	if known.primary != "" && !strings.HasPrefix(known.primary, made) {
		r.primary = strings.TrimPrefix(r.primary, made)
	}
	if known.secondary != "" && !strings.HasPrefix(known.secondary, made) {
		r.secondary = strings.TrimPrefix(r.secondary, made)
	}
	switch {
	case r.webhook != "" && known.webhook != "":
		r.webhook = known.webhook
	case enrollment.IsMasked(entry.WebhookOf(found.Settings).WebhookURL):
		r.webhook = unseen
	}
	return r
}

// changeOf compares what the service holds with the digests of the state, as the function changeOf does with an entry
// known in full.
func (d digester) changeOf(found entry.Held, known record) entry.Change {
	differs := func(a, b string) bool { return b != "" && a != b }
	now, keys := d.reread(found, known), entry.FoundKeys(found)
	c := entry.Change{IsCreatedAgain: differs(now.created, known.created)}
	if known.primary != "" && known.primary != unread && !d.agreesKey(keys.PrimaryKey, known.primary) {
		c.PrimaryKey = keys.PrimaryKey
	}
	if known.secondary != "" && known.secondary != unread && !d.agreesKey(keys.SecondaryKey, known.secondary) {
		c.SecondaryKey = keys.SecondaryKey
	}
	c.IsWrittenAgain = differs(now.updated, known.updated) && now.same(known)
	return c
}
