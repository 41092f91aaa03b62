package state

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
)

// entry is what the two kinds of enrollment have in common for keeping them.
type entry[T any] interface {
	rowOf[T]
	// id as spelled, and the settings, both in place.
	id() *string
	settings() *Settings
}

// entries keeps one kind of enrollment.
type entries[T any, P entry[T]] struct {
	s     *State
	table byte
	noun  string
}

func (s *State) individuals() entries[Enrollment, *Enrollment] {
	return entries[Enrollment, *Enrollment]{s, tableEnrollment, "enrollment"}
}

func (s *State) entryGroups() entries[EnrollmentGroup, *EnrollmentGroup] {
	return entries[EnrollmentGroup, *EnrollmentGroup]{s, tableEnrollmentGroup, "enrollment group"}
}

func (e entries[T, P]) object(id string) string { return fmt.Sprintf("%s %q", e.noun, id) }

func (e entries[T, P]) key(svc, id string) []byte {
	return keyOf(e.table, strings.ToLower(svc), strings.ToLower(id))
}

func (e entries[T, P]) get(svc, id string) (T, error) {
	var v T
	leave, err := e.s.enter()
	if err != nil {
		return v, err
	}
	defer leave()
	if _, err := e.s.scope(svc); err != nil {
		return v, err
	}
	key := e.key(svc, id)
	defer e.s.dps.read(key)()
	found, err := e.s.store.get(key, P(&v))
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: e.object(id), Reason: "does not exist"}
	}
	return v, err
}

// put makes or replaces an entry and completes what the service makes: times, etag, missing symmetric keys.
func (e entries[T, P]) put(svc string, v T, etag string) (T, bool, error) {
	var none, old T
	leave, err := e.s.enter()
	if err != nil {
		return none, false, err
	}
	defer leave()
	if _, err := e.s.scope(svc); err != nil {
		return none, false, err
	}
	id, now := P(&v).id(), e.s.Now()
	key := e.key(svc, *id)
	defer e.s.dps.lock(key)()
	found, err := e.s.store.get(key, P(&old))
	if err != nil {
		return none, false, err
	}
	if err := check(e.object(*id), etag, P(&old).settings().ETag, found); err != nil {
		return none, false, err
	}
	settings := P(&v).settings()
	settings.Created, settings.Updated = now, now
	if found {
		*id, settings.Created = *P(&old).id(), P(&old).settings().Created
	}
	if k := settings.Attestation.SymmetricKey; k != nil {
		pair := *k
		if err := e.s.completePair(&pair); err != nil {
			return none, false, err
		}
		settings.Attestation.SymmetricKey = &pair
	}
	if settings.ETag, err = e.s.newETag(now); err != nil {
		return none, false, err
	}
	b := e.s.store.batch()
	b.put(key, P(&v))
	if err := e.s.store.commit(b); err != nil {
		return none, false, err
	}
	// Nothing of what the caller gave is returned to it.
	var out T
	return out, !found, decode(encode(P(&v)), P(&out))
}

// delete removes an entry and, for also, the other rows it names; it takes Unconditional as MustExist.
func (e entries[T, P]) delete(svc, id, etag string, also func(*batch) error) error {
	leave, err := e.s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if _, err := e.s.scope(svc); err != nil {
		return err
	}
	key := e.key(svc, id)
	defer e.s.dps.lock(key)()
	var old T
	found, err := e.s.store.get(key, P(&old))
	if err != nil {
		return err
	}
	if etag == Unconditional {
		etag = MustExist
	}
	if err := check(e.object(id), etag, P(&old).settings().ETag, found); err != nil {
		return err
	}
	b := e.s.store.batch()
	b.delete(key)
	if err := also(b); err != nil {
		return err
	}
	return e.s.store.commit(b)
}

func (e entries[T, P]) list(svc, after string, limit int) ([]T, string, error) {
	leave, err := e.s.enter()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if _, err := e.s.scope(svc); err != nil {
		return nil, "", err
	}
	parents := []string{strings.ToLower(svc)}
	return page(e.s.store, e.table, parents, strings.ToLower(after), limit, func(v P) string { return strings.ToLower(*v.id()) })
}

// newETag makes an etag of a provisioning service's object: base64 of a quoted text like a GUID, as
// "69003552-0000-0300-0000-630fda8a0000" with its quotes, whose last part begins with the time.
func (s *State) newETag(now time.Time) (string, error) {
	var b [6]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("make etag: %w", err)
	}
	guid := fmt.Sprintf(`"%08x-%04x-0300-0000-%08x0000"`,
		binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint16(b[4:]), uint32(now.Unix()))
	return base64.StdEncoding.EncodeToString([]byte(guid)), nil
}
