package dpsservice

import (
	"encoding/base64"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Page sizes of queries. Azure's own are unsure.
const (
	defaultPage = 100
	maxPage     = 1000
)

// queryForm is what this surface understands: everything, with or without the collection's name. Azure's clients send no more.
var queryForm = regexp.MustCompile(`(?i)^\s*(select\s+\*(\s+from\s+(enrollments|enrollmentgroups))?\s*;?\s*)?$`)

// query is IndividualEnrollment_Query and EnrollmentGroup_Query.
//
// Fidelity: WHERE and projections are refused with 400; the order is that of the ids.
func (s *surface) query(k kind, r request) (reply, error) {
	var w struct {
		Query *string `json:"query"`
	}
	if err := decode(r.body, &w); err != nil {
		return reply{}, err
	}
	if w.Query == nil {
		return reply{}, invalid("query is required.")
	}
	if !queryForm.MatchString(*w.Query) {
		return reply{}, invalid("The emulator understands SELECT * and SELECT * FROM %s only.", k.path)
	}
	after, limit, err := r.page(k.path)
	if err != nil {
		return reply{}, err
	}
	page, next, err := k.list(r.service.IDScope, after, limit)
	if err != nil {
		return reply{}, err
	}
	return paged(convert(page, func(e entry) entryReply { return k.reply(e, false) }), k.itemType, k.path, next), nil
}

// page reads the paging headers. A continuation belongs to the collection that gave it.
func (r request) page(collection string) (after string, limit int, err error) {
	limit = defaultPage
	if count := r.Header.Get("x-ms-max-item-count"); count != "" {
		limit, err = strconv.Atoi(count)
		if err != nil || limit < 1 {
			return "", 0, invalid("x-ms-max-item-count must be a whole number above zero.")
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
		return "", 0, invalid("x-ms-continuation is not one that this query gave.")
	}
	return after, limit, nil
}

// paged is a page of a query: a bare array, and the continuation in a header when there is more.
func paged(items any, itemType, collection, next string) reply {
	answer := reply{status: http.StatusOK, body: items, header: map[string]string{"x-ms-item-type": itemType}}
	if next != "" {
		answer.header["x-ms-continuation"] = base64.RawURLEncoding.EncodeToString([]byte(collection + "\n" + next))
	}
	return answer
}
