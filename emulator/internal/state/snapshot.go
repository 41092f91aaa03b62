package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A snapshot is the whole state as JSON that can be compared line by line: tables are sorted by name, rows by key and
// members by name, one per line. It contains keys and certificates. Equal states give equal snapshots.
//
// It omits what belongs to the process: connections, telemetry and message locks.

// snapshotFormat is increased with every change that makes older snapshots unreadable.
const snapshotFormat = 1

// kinds are the tables of a snapshot by the first byte of their keys. Every table of the store is listed.
var kinds = map[byte]struct {
	name string
	// parts is the number of parts in its keys.
	parts int
	row   func() row
}{
	tableMeta:            {"state", 0, func() row { return &meta{} }},
	tableGroup:           {"resourceGroups", 2, func() row { return &Group{} }},
	tableHub:             {"hubs", 1, func() row { return &Hub{} }},
	tableService:         {"provisioningServices", 1, func() row { return &Service{} }},
	tableAsync:           {"longRunningOperations", 1, func() row { return &Async{} }},
	tableChild:           {"children", 3, func() row { return &Child{} }},
	tableEnrollment:      {"enrollments", 2, func() row { return &Enrollment{} }},
	tableEnrollmentGroup: {"enrollmentGroups", 2, func() row { return &EnrollmentGroup{} }},
	tableRegistration:    {"registrations", 2, func() row { return &record{} }},
	tableGroupMember:     {"groupMembers", 3, func() row { return &member{} }},
	tableOperation:       {"registrationOperations", 2, func() row { return &Operation{} }},
	tableDevice:          {"devices", 2, func() row { return &Device{} }},
	tableTwin:            {"twins", 2, func() row { return &Twin{} }},
	tableCloudMessage:    {"messages", 3, func() row { return &CloudMessage{} }},
	tableFeedback:        {"feedback", 4, func() row { return &Feedback{} }},
	tableSubscription:    {"subscriptions", 2, func() row { return new(Subscriptions) }},
	tableRole:            {"roleAssignments", 5, func() row { return &RoleAssignment{} }},
	tableIdentity:        {"managedIdentities", 3, func() row { return &ManagedIdentity{} }},
}

// activityName is the table of last activities, which the store does not hold.
const activityName = "deviceActivity"

// activity is when a device was last active.
type activity struct{ connection, heard time.Time }

func (a *activity) fields(c *codec) {
	c.time("connection", &a.connection)
	c.time("heard", &a.heard)
}

// snapshotName returns the key of a row in a snapshot: its escaped parts, separated by slashes.
func snapshotName(key []byte) string {
	parts := strings.Split(string(key[1:]), string(rune(separator)))
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// WriteSnapshot writes the current state. Concurrent changes do not affect it.
func (s *State) WriteSnapshot(w io.Writer) error {
	leave, err := s.alter()
	if err != nil {
		return err
	}
	frozen := s.store.db.NewSnapshot()
	heard := s.presence.activities()
	leave()
	defer frozen.Close()

	out := &snapshotWriter{w: bufio.NewWriter(w)}
	out.text("{\n  \"format\": %d", snapshotFormat)
	tables := map[string]func() error{activityName: func() error { return out.activities(heard) }}
	for table, kind := range kinds {
		tables[kind.name] = func() error { return out.rows(frozen, table, kind.row) }
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		out.table = name
		if err := tables[name](); err != nil {
			return fmt.Errorf("write snapshot: %s: %w", name, err)
		}
		out.end()
	}
	out.text("\n}\n")
	return errors.Join(out.err, out.w.Flush())
}

// snapshotWriter writes tables that have rows.
type snapshotWriter struct {
	w *bufio.Writer
	// table is the current one. open reports that it has a row.
	table string
	open  bool
	err   error
}

func (w *snapshotWriter) text(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format, args...)
	}
}

func (w *snapshotWriter) rows(from pebble.Reader, table byte, newRow func() row) error {
	start, end := under(table)
	it, err := from.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: end})
	if err != nil {
		return explain(err)
	}
	defer it.Close()
	for ok := it.First(); ok && w.err == nil; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return explain(err)
		}
		r := newRow()
		if err := decode(value, r); err != nil {
			return err
		}
		if err := w.row(snapshotName(it.Key()), r); err != nil {
			return err
		}
	}
	return errors.Join(w.err, explain(it.Error()))
}

func (w *snapshotWriter) activities(heard map[string]activity) error {
	for _, name := range slices.Sorted(maps.Keys(heard)) {
		a := heard[name]
		if err := w.row(name, &a); err != nil {
			return err
		}
	}
	return nil
}

func (w *snapshotWriter) row(name string, r row) error {
	data, err := writeDocument(r)
	if err != nil {
		return err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, data, "    ", "  "); err != nil {
		return err
	}
	quoted, err := json.Marshal(name)
	if err != nil {
		return err
	}
	if w.open {
		w.text(",\n")
	} else {
		w.text(",\n  %q: {\n", w.table)
		w.open = true
	}
	w.text("    %s: %s", quoted, indented.Bytes())
	return w.err
}

func (w *snapshotWriter) end() {
	if w.open {
		w.text("\n  }")
	}
	w.open = false
}
