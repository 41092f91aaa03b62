package state

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
)

// EntryKind is one of the two kinds of enrollment. It selects the table.
type EntryKind byte

// Kinds of enrollment.
const (
	Individuals EntryKind = tableEnrollment
	Groups      EntryKind = tableEnrollmentGroup
)

// Entry is an individual enrollment or an enrollment group, for callers that treat both alike.
type Entry struct {
	Kind EntryKind
	// ID is the registration id, or the id of the group.
	ID string
	// DeviceID is the device id of an individual enrollment. Empty means the registration id.
	DeviceID string
	Settings
}

// Entry returns the enrollment as an entry.
func (e Enrollment) Entry() Entry {
	return Entry{Individuals, e.RegistrationID, e.DeviceID, e.Settings}
}

// Entry returns the group as an entry.
func (g EnrollmentGroup) Entry() Entry { return Entry{Groups, g.ID, "", g.Settings} }

func (e Entry) individual() Enrollment { return Enrollment{e.ID, e.DeviceID, e.Settings} }

func (e Entry) group() EnrollmentGroup { return EnrollmentGroup{e.ID, e.Settings} }

// entryRow is the row of an entry.
type entryRow interface {
	row
	Entry() Entry
}

func (e Entry) row() entryRow {
	if e.Kind == Individuals {
		row := e.individual()
		return &row
	}
	row := e.group()
	return &row
}

func (k EntryKind) object(id string) string {
	noun := "enrollment"
	if k == Groups {
		noun = "enrollment group"
	}
	return fmt.Sprintf("%s %q", noun, id)
}

func (k EntryKind) key(svc, id string) []byte {
	return keyOf(byte(k), strings.ToLower(svc), strings.ToLower(id))
}

// entry reads the entry at key. The caller holds its lock.
func (s *State) entry(k EntryKind, key []byte) (Entry, bool, error) {
	row := Entry{Kind: k}.row()
	found, err := s.store.get(key, row)
	return row.Entry(), found, err
}

// Entry returns an enrollment or a group. svc is the ID scope of its service.
func (s *State) Entry(k EntryKind, svc, id string) (Entry, error) {
	leave, err := s.enter()
	if err != nil {
		return Entry{}, err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return Entry{}, err
	}
	key := k.key(svc, id)
	defer s.dps.read(key)()
	e, found, err := s.entry(k, key)
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: k.object(id), Reason: "does not exist"}
	}
	return e, err
}

// PutEntry creates or replaces an entry and reports whether it created one. It fills in what the service generates:
// times, etag, missing symmetric keys. An id keeps its original spelling.
func (s *State) PutEntry(svc string, e Entry, etag string) (Entry, bool, error) {
	leave, err := s.enter()
	if err != nil {
		return Entry{}, false, err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return Entry{}, false, err
	}
	now, key := s.Now(), e.Kind.key(svc, e.ID)
	defer s.dps.lock(key)()
	old, found, err := s.entry(e.Kind, key)
	if err != nil {
		return Entry{}, false, err
	}
	if err := check(e.Kind.object(e.ID), etag, old.ETag, found); err != nil {
		return Entry{}, false, err
	}
	e.Created, e.Updated = now, now
	if found {
		e.ID, e.Created = old.ID, old.Created
	}
	if k := e.Attestation.SymmetricKey; k != nil {
		pair := *k
		if err := s.completePair(&pair); err != nil {
			return Entry{}, false, err
		}
		e.Attestation.SymmetricKey = &pair
	}
	if e.ETag, err = s.newETag(now); err != nil {
		return Entry{}, false, err
	}
	row := e.row()
	b := s.store.batch()
	b.put(key, row)
	if err := s.store.commit(b); err != nil {
		return Entry{}, false, err
	}
	// The result must not share memory with the caller's argument.
	out := Entry{Kind: e.Kind}.row()
	err = decode(encode(row), out)
	return out.Entry(), !found, err
}

// DeleteEntry deletes an entry. The registration of an individual enrollment is deleted with it; its hub device and
// the registrations of a group are kept. Unconditional means MustExist. Fidelity: that the registration is deleted
// follows from its being a part of the enrollment's document; no source says it.
func (s *State) DeleteEntry(k EntryKind, svc, id, etag string) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return err
	}
	key := k.key(svc, id)
	defer s.dps.lock(key)()
	old, found, err := s.entry(k, key)
	if err != nil {
		return err
	}
	if etag == Unconditional {
		etag = MustExist
	}
	if err := check(k.object(id), etag, old.ETag, found); err != nil {
		return err
	}
	b := s.store.batch()
	b.delete(key)
	if k == Individuals {
		if err := s.dropRecord(b, svc, id); err != nil {
			return err
		}
	}
	return s.store.commit(b)
}

// Entries returns up to limit entries of a kind after the given id, ordered by lower-case id, and the id to continue
// after, which is empty at the end.
func (s *State) Entries(k EntryKind, svc, after string, limit int) ([]Entry, string, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return nil, "", err
	}
	if k == Groups {
		return entriesOf[EnrollmentGroup](s.store, k, svc, after, limit)
	}
	return entriesOf[Enrollment](s.store, k, svc, after, limit)
}

func entriesOf[T interface{ Entry() Entry }, P rowOf[T]](st *store, k EntryKind, svc, after string, limit int) ([]Entry,
	string, error) {
	rows, next, err := page(st, byte(k), []string{strings.ToLower(svc)}, strings.ToLower(after), limit,
		func(row P) string { return strings.ToLower((*row).Entry().ID) })
	entries := make([]Entry, len(rows))
	for i, row := range rows {
		entries[i] = row.Entry()
	}
	return entries, next, err
}

// newETag returns an etag for an object of a provisioning service: base64 of a quoted text like a GUID, for example
// "69003552-0000-0300-0000-630fda8a0000" with its quotes. Its last part begins with the time.
func (s *State) newETag(now time.Time) (string, error) {
	var b [6]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("generate etag: %w", err)
	}
	guid := fmt.Sprintf(`"%08x-%04x-0300-0000-%08x0000"`,
		binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint16(b[4:]), uint32(now.Unix()))
	return base64.StdEncoding.EncodeToString([]byte(guid)), nil
}
