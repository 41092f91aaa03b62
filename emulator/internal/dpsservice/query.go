package dpsservice

import (
	"encoding/base64"
	"strconv"
	"strings"

	"evenkeel/emulator/internal/dpswire"
	"evenkeel/emulator/internal/state"
)

// Page sizes of queries. Azure's own are unsure.
const (
	defaultPage = 100
	maxPage     = 1000
)

// query is IndividualEnrollment_Query and EnrollmentGroup_Query. Azure requires a query and ignores it: every text,
// whatever its WHERE clause, lists everything (Azure/azure-iot-sdk-csharp issues 794 and 2188, azure-iot-sdk-node
// issue 814).
//
// Fidelity: results are ordered by id.
func (s *surface) query(k kind, r request) (dpswire.Reply, error) {
	var w struct {
		Query *string `json:"query"`
	}
	if err := decode(r.body, &w); err != nil {
		return dpswire.Reply{}, err
	}
	if w.Query == nil {
		return dpswire.Reply{}, dpswire.Invalid("query is required.")
	}
	after, limit, err := r.page(k.path)
	if err != nil {
		return dpswire.Reply{}, err
	}
	page, next, err := s.st.Entries(k.EntryKind, r.service.IDScope, after, limit)
	if err != nil {
		return dpswire.Reply{}, err
	}
	entries := convert(page, func(e state.Entry) entryReply { return k.reply(e, r.version(), false) })
	return paged(entries, k.itemType, k.path, limit, next), nil
}

// page reads the paging headers. A continuation is valid only for its collection.
func (r request) page(collection string) (after string, limit int, err error) {
	limit = defaultPage
	if count := r.Header.Get("x-ms-max-item-count"); count != "" {
		limit, err = strconv.Atoi(count)
		if err != nil || limit < 1 {
			return "", 0, dpswire.Invalid("x-ms-max-item-count must be a whole number above zero.")
		}
		limit = min(limit, maxPage)
	}
	token := r.Header.Get("x-ms-continuation")
	if token == "" {
		return "", limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	after, belongs := strings.CutPrefix(string(raw), collection+"\n")
	if err != nil || !belongs || after == "" {
		return "", 0, dpswire.Invalid("x-ms-continuation is not from this query.")
	}
	return after, limit, nil
}

// paged is a page of a query: a bare array, and a continuation header if there is more.
func paged(items any, itemType, collection string, limit int, next string) dpswire.Reply {
	answer := dpswire.OK(items)
	answer.Header = map[string]string{"x-ms-item-type": itemType, "x-ms-max-item-count": strconv.Itoa(limit)}
	if next != "" {
		answer.Header["x-ms-continuation"] = base64.RawURLEncoding.EncodeToString([]byte(collection + "\n" + next))
	}
	return answer
}
