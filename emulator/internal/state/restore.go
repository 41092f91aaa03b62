package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
)

// rowKey returns the key of the row with that name in a snapshot.
func rowKey(table byte, name string) ([]byte, error) {
	var parts []string
	if name != "" {
		parts = strings.Split(name, "/")
	}
	if want := kinds[table].parts; len(parts) != want {
		return nil, fmt.Errorf("has %d parts, not %d", len(parts), want)
	}
	for i := range parts {
		var err error
		if parts[i], err = url.PathUnescape(parts[i]); err != nil {
			return nil, err
		}
	}
	return keyOf(table, parts...), nil
}

// ReadSnapshot replaces the whole state with a snapshot in one change: either completely or not at all. Every
// connection is ended. A document that is not a snapshot is Invalid and changes nothing.
func (s *State) ReadSnapshot(r io.Reader) error {
	b := s.store.batch()
	b.deleteRange(following(formatKey), []byte{0xff})
	in := &snapshotReader{d: json.NewDecoder(r), batch: b, derive: s.derive, heard: map[string]activity{}}
	if err := in.read(); err != nil {
		_ = b.Close() // nothing was written
		return &Error{Kind: Invalid, Object: "the snapshot", Reason: err.Error()}
	}
	leave, err := s.alter()
	if err != nil {
		return errors.Join(err, b.Close())
	}
	defer leave()
	if err := s.store.commit(b); err != nil {
		return err
	}
	s.locks.forget("")
	heard, err := s.activitiesOf(in.heard)
	s.presence.replace(heard) // also after an error: the connections' devices no longer exist
	if err != nil {
		return fmt.Errorf("restore activity of devices: %w", err)
	}
	if err := s.load(); err != nil {
		return fmt.Errorf("load the snapshot: %w", err)
	}
	s.notifyHosts()
	return nil
}

// snapshotReader puts the rows into a batch one by one.
type snapshotReader struct {
	d     *json.Decoder
	batch *batch
	// derive sets what a row does not hold: load must not fail after the change.
	derive func(row) error
	heard  map[string]activity
	format bool
}

var errNoSnapshot = errors.New("is not a JSON document of this form: see docs/reference/control-port.md")

func (in *snapshotReader) read() error {
	names := map[string]byte{}
	for table, kind := range kinds {
		names[kind.name] = table
	}
	err := in.object(func(name string) error {
		if name == "format" {
			return in.checkFormat()
		}
		table, known := names[name]
		if !known && name != activityName {
			return fmt.Errorf("has an unknown table %q", name)
		}
		return in.object(func(key string) error {
			var raw json.RawMessage
			if in.d.Decode(&raw) != nil {
				return errNoSnapshot
			}
			read := in.activity
			if known {
				read = func(key string, raw json.RawMessage) error { return in.row(table, key, raw) }
			}
			if err := read(key, raw); err != nil {
				return fmt.Errorf("%s %q: %w", name, key, err)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if _, err := in.d.Token(); err != io.EOF {
		return errNoSnapshot
	}
	if !in.format {
		return errors.New("has no format")
	}
	return nil
}

// object calls each with the names of an object's members. each reads their values.
func (in *snapshotReader) object(each func(name string) error) error {
	if t, err := in.d.Token(); err != nil || t != json.Delim('{') {
		return errNoSnapshot
	}
	for in.d.More() {
		t, err := in.d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return errNoSnapshot
		}
		if err := each(name); err != nil {
			return err
		}
	}
	if _, err := in.d.Token(); err != nil {
		return errNoSnapshot
	}
	return nil
}

func (in *snapshotReader) checkFormat() error {
	var format int
	if in.d.Decode(&format) != nil {
		return errNoSnapshot
	}
	if in.format = format == snapshotFormat; !in.format {
		return fmt.Errorf("has format %d; this version reads %d", format, snapshotFormat)
	}
	return nil
}

func (in *snapshotReader) row(table byte, name string, raw json.RawMessage) error {
	r := kinds[table].row()
	if err := readDocument(raw, r); err != nil {
		return err
	}
	key, err := rowKey(table, name)
	if err != nil {
		return err
	}
	if !belongs(key, r) {
		return errors.New("does not match its row")
	}
	if err := in.derive(r); err != nil {
		return err
	}
	in.batch.put(key, r)
	return nil
}

// derive sets the fields of a row that follow from others.
func (s *State) derive(r row) error {
	switch r := r.(type) {
	case *Hub:
		return s.readSettings(r)
	case *Service:
		if err := s.readServiceSettings(r); err != nil {
			return err
		}
		return s.readPrincipals(r)
	}
	return nil
}

func (in *snapshotReader) activity(name string, raw json.RawMessage) error {
	if _, err := rowKey(tableDevice, name); err != nil {
		return err
	}
	var a activity
	if err := readDocument(raw, &a); err != nil {
		return err
	}
	in.heard[name] = a
	return nil
}

// belongs reports whether a row belongs at key: the name in it must be the one by which it is found.
func belongs(key []byte, r row) bool {
	if own, ok := r.(interface{ key() []byte }); ok {
		return bytes.Equal(own.key(), key)
	}
	last := string(key[bytes.LastIndexByte(key, separator)+1:])
	switch r := r.(type) {
	case *Async:
		return string(key) == string(keyOf(tableAsync, r.ID))
	case *Enrollment:
		return last == strings.ToLower(r.RegistrationID)
	case *EnrollmentGroup:
		return last == strings.ToLower(r.ID)
	case *record:
		return last == strings.ToLower(r.RegistrationID)
	case *member:
		return last == r.id
	case *Operation:
		return last == r.ID
	case *Device:
		return last == r.ID
	case *CloudMessage:
		_, err := strconv.ParseUint(last, 16, 64)
		return err == nil && len(last) == 16
	}
	return true
}
