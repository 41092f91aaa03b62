package dpsservice

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// maxBulk is the largest number of entries in one bulk operation.
const maxBulk = 10

// bulkRequest is BulkEnrollmentOperation and BulkEnrollmentGroupOperation.
type bulkRequest struct {
	Mode        string            `json:"mode"`
	Enrollments []json.RawMessage `json:"enrollments"`
	Groups      []json.RawMessage `json:"enrollmentGroups"`
}

type bulkReply struct {
	Errors       []bulkError `json:"errors"`
	IsSuccessful bool        `json:"isSuccessful"`
}

type bulkError struct {
	RegistrationID string `json:"registrationId,omitempty"`
	GroupID        string `json:"enrollmentGroupId,omitempty"`
	ErrorCode      int    `json:"errorCode"`
	ErrorStatus    string `json:"errorStatus"`
}

// bulk is IndividualEnrollment_RunBulkOperation and EnrollmentGroup_RunBulkOperation: one mode for up to ten entries,
// each of which succeeds or fails on its own. The entries are processed concurrently, so that they share a sync of
// the store.
//
// Fidelity: that an id may not appear twice in one operation is ours.
func (s *surface) bulk(k kind, r request) (dpswire.Reply, error) {
	var w bulkRequest
	if err := decode(r.body, &w); err != nil {
		return dpswire.Reply{}, err
	}
	items, member := w.Enrollments, "enrollments"
	if !k.individual() {
		items, member = w.Groups, "enrollmentGroups"
	}
	if len(items) == 0 || len(items) > maxBulk {
		return dpswire.Reply{}, dpswire.Invalid("%s must hold 1 to %d entries.", member, maxBulk)
	}
	run, known := s.mode(k, r, w.Mode)
	if !known {
		return dpswire.Reply{}, dpswire.Invalid("mode must be create, update, updateIfMatchETag or delete.")
	}
	entries := make([]wireEntry, len(items))
	seen := map[string]bool{}
	for i, item := range items {
		if err := decode(item, &entries[i]); err != nil {
			return dpswire.Reply{}, err
		}
		id, _ := k.idOf(entries[i])
		if id = strings.ToLower(id); seen[id] {
			return dpswire.Reply{}, dpswire.Invalid("%s holds the id %q twice.", member, id)
		}
		seen[id] = true
	}
	failed := atOnce(entries, run)
	return dpswire.OK(k.bulkReply(entries, failed)), nil
}

// atOnce runs a function for all entries concurrently and returns their errors. A panic of one is raised in the
// caller, where panics are recovered.
func atOnce[T any](entries []T, run func(T) error) []error {
	failed, faults := make([]error, len(entries)), make([]any, len(entries))
	var running sync.WaitGroup
	for i := range entries {
		running.Go(func() {
			defer func() { faults[i] = recover() }()
			failed[i] = run(entries[i])
		})
	}
	running.Wait()
	for _, fault := range faults {
		if fault != nil {
			panic(fault)
		}
	}
	return failed
}

func (k kind) bulkReply(entries []wireEntry, failed []error) bulkReply {
	w := bulkReply{Errors: []bulkError{}}
	for i, err := range failed {
		if err == nil {
			continue
		}
		refused := dpswire.From(err)
		e := bulkError{ErrorCode: refused.Code, ErrorStatus: refused.Message}
		if k.individual() {
			e.RegistrationID = text(entries[i].RegistrationID)
		} else {
			e.GroupID = text(entries[i].GroupID)
		}
		w.Errors = append(w.Errors, e)
	}
	w.IsSuccessful = len(w.Errors) == 0
	return w
}

// mode returns what a bulk mode does with one entry. Updating an existing entry without an etag returns 409201, as
// recorded.
func (s *surface) mode(k kind, r request, mode string) (run func(wireEntry) error, known bool) {
	scope := r.service.IDScope
	put := func(w wireEntry, etag string) error {
		e, err := s.checked(k, w, r)
		if err == nil {
			_, _, err = s.st.PutEntry(scope, e, etag)
		}
		return err
	}
	switch strings.ToLower(mode) {
	case "create":
		return func(w wireEntry) error { return put(w, state.MustNotExist) }, true
	case "update", "updateifmatchetag":
		return func(w wireEntry) error { return s.update(k, scope, w, put) }, true
	case "delete":
		return func(w wireEntry) error {
			id, err := k.idOf(w)
			if err != nil {
				return err
			}
			return s.st.DeleteEntry(k.EntryKind, scope, id, etagOf(text(w.ETag)))
		}, true
	}
	return nil, false
}

func (s *surface) update(k kind, scope string, w wireEntry, put func(wireEntry, string) error) error {
	etag := etagOf(text(w.ETag))
	if etag != "" {
		return put(w, etag)
	}
	id, err := k.idOf(w)
	if err != nil {
		return err
	}
	if _, err := s.st.Entry(k.EntryKind, scope, id); err != nil {
		return err
	}
	return dpswire.Refuse(http.StatusConflict, dpswire.CodeExists, "%s", dpswire.TextExists)
}
