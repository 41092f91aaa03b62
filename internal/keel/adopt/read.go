package adopt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"evenkeel/dpsservice"
	"evenkeel/internal/hint"
)

// allEntries is the query for every entry of a collection.
const allEntries = "SELECT *"

// keyReaders is the number of concurrent requests for keys, which share the rate limit.
const keyReaders = 8

// contents are what a service holds.
type contents struct {
	individuals, groups []dpsservice.Enrollment
	// keys are the encrypted keys by collection and id in lower case.
	keys map[string]line
}

// reader reads a service, continuing where the journal ends.
type reader struct {
	Options
	client  *dpsservice.Client
	journal *journal
	box     *box
}

// stored is an entry in the journal. An entry of the client has no JSON name for its id.
type stored struct {
	ID    string                `json:"id"`
	Entry dpsservice.Enrollment `json:"entry"`
}

func (r *reader) all(ctx context.Context) (contents, error) {
	var found contents
	var err error
	if found.individuals, err = r.collection(ctx, r.client.Individuals()); err != nil {
		return found, err
	}
	if found.groups, err = r.collection(ctx, r.client.Groups()); err != nil {
		return found, err
	}
	found.keys, err = r.keys(ctx, found)
	return found, err
}

// collection reads all entries of a collection, page by page, in the order of their ids. It asks for certificate
// policies first, and reads without them if the service does not support that version of its API.
func (r *reader) collection(ctx context.Context, of dpsservice.Collection) ([]dpsservice.Enrollment, error) {
	last, raw := r.journal.pages(of.Name())
	source := of.WithIssuance()
	if last.IsOlder {
		source = of
	}
	for !last.Last {
		page, next, err := source.Page(ctx, allEntries, r.PageSize, last.Next)
		switch refusal := (*dpsservice.Error)(nil); {
		case errors.As(err, &refusal) && refusal.Status == http.StatusBadRequest && last.Next != "":
			// The service does not know the page any more.
			r.Report("the service does not continue the query: reading everything again")
			if err := r.journal.restart(); err != nil {
				return nil, err
			}
			return r.collection(ctx, of)
		case refusal != nil && refusal.Status == http.StatusBadRequest && !last.IsOlder:
			source, last.IsOlder = of, true
			continue
		case err != nil:
			return nil, r.failure("read "+of.Name(), err)
		}
		last = line{Collection: of.Name(), Next: next, Last: next == "", IsOlder: last.IsOlder}
		if last.Entries, err = encodeEntries(page); err != nil {
			return nil, err
		}
		if err := r.journal.add(last); err != nil {
			return nil, err
		}
		raw = append(raw, last.Entries...)
		if !last.Last {
			r.Report(fmt.Sprintf("read %d %s", len(raw), of.Name()))
		}
	}
	return decodeEntries(raw)
}

func encodeEntries(page []dpsservice.Enrollment) ([]json.RawMessage, error) {
	raw := make([]json.RawMessage, len(page))
	for i, entry := range page {
		entry.RegistrationState = nil // it is not declared
		text, err := json.Marshal(stored{entry.ID, entry})
		if err != nil {
			return nil, fmt.Errorf("adopt: keep %q: %w", entry.ID, err)
		}
		raw[i] = text
	}
	return raw, nil
}

// decodeEntries returns the entries in the order of their ids. An entry that moved to a later page between two requests
// counts once, as it was read last.
func decodeEntries(raw []json.RawMessage) ([]dpsservice.Enrollment, error) {
	byID := make(map[string]dpsservice.Enrollment, len(raw))
	for _, text := range raw {
		var one stored
		if err := json.Unmarshal(text, &one); err != nil {
			return nil, hint.To(fmt.Errorf("adopt: read the journal: %w", err), "begin again with --restart")
		}
		one.Entry.ID = one.ID
		byID[strings.ToLower(one.ID)] = one.Entry
	}
	entries := make([]dpsservice.Enrollment, 0, len(byID))
	for _, entry := range byID {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b dpsservice.Enrollment) int {
		return strings.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID))
	})
	return entries, nil
}

// keys reads the symmetric keys of the entries that become single resources, unless they are not asked for. A set keeps
// the keys that its manifest leaves out.
func (r *reader) keys(ctx context.Context, found contents) (map[string]line, error) {
	if !r.WithKeys {
		return nil, nil
	}
	known, err := r.knownKeys()
	if err != nil {
		return nil, err
	}
	var missing []keyed
	want := func(of dpsservice.Collection, entries []dpsservice.Enrollment) {
		for _, entry := range entries {
			if _, is := known[keyName(of.Name(), entry.ID)]; !is && isSymmetric(entry) {
				missing = append(missing, keyed{of, entry.ID})
			}
		}
	}
	if len(found.individuals) <= r.SetAbove {
		want(r.client.Individuals(), found.individuals)
	}
	want(r.client.Groups(), found.groups)
	return known, r.readKeys(ctx, missing, known)
}

// knownKeys returns the keys in the journal, and uses their salt or writes a new one.
func (r *reader) knownKeys() (map[string]line, error) {
	known, isSalted := map[string]line{}, false
	for _, one := range r.journal.lines {
		switch {
		case one.Salt != "":
			isSalted = true
			if err := r.box.reopen(r.Passphrase, one.Salt); err != nil {
				return nil, hint.To(err, "use that passphrase, or begin again with --restart")
			}
		case one.ID != "":
			known[keyName(one.Collection, one.ID)] = one
		}
	}
	if isSalted {
		return known, nil
	}
	return known, r.journal.add(line{Salt: r.box.salt})
}

// keyed is an entry with symmetric keys.
type keyed struct {
	of dpsservice.Collection
	id string
}

// readKeys reads the keys of entries, a few at a time, into the journal and into known.
func (r *reader) readKeys(ctx context.Context, entries []keyed, known map[string]line) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(keyReaders)
	var mu sync.Mutex // guards the journal and known
	for _, entry := range entries {
		group.Go(func() error {
			one, err := r.keysOf(ctx, entry.of, entry.id)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			known[keyName(one.Collection, one.ID)] = one
			return r.journal.add(one)
		})
	}
	return group.Wait()
}

func keyName(collection, id string) string { return collection + "/" + strings.ToLower(id) }

func isSymmetric(entry dpsservice.Enrollment) bool {
	return entry.Attestation == nil || entry.Attestation.X509 == nil && entry.Attestation.TPM == nil
}

// keysOf reads the keys of an entry and encrypts them.
func (r *reader) keysOf(ctx context.Context, of dpsservice.Collection, id string) (line, error) {
	attestation, err := of.AttestationMechanism(ctx, id)
	if err == nil && attestation.SymmetricKey == nil {
		err = errors.New("the service returned none")
	}
	if err != nil {
		return line{}, r.failure(fmt.Sprintf("read the keys of %q", id), err)
	}
	one := line{Collection: of.Name(), ID: id}
	if one.Primary, err = r.box.seal(attestation.SymmetricKey.PrimaryKey); err != nil {
		return one, err
	}
	one.Secondary, err = r.box.seal(attestation.SymmetricKey.SecondaryKey)
	return one, err
}

// failure adds advice to an error of the service. What was read is kept.
func (r *reader) failure(what string, err error) error {
	err = fmt.Errorf("adopt: %s: %w", what, err)
	switch {
	case errors.Is(err, dpsservice.ErrUnauthorized):
		return hint.To(err, "use a policy with the right EnrollmentRead, or an identity with the role Device "+
			"Provisioning Service Data Reader")
	case errors.Is(err, context.Canceled):
		return hint.To(err, "run the same command again to continue")
	}
	return err
}
