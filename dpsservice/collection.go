package dpsservice

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// Collection holds the entries of one kind: the individual enrollments or the enrollment groups of a provisioning
// service.
type Collection struct {
	client *Client
	// name is the path's first segment, and the JSON name of the entries in a bulk operation.
	name string
	// identify sets the id with the JSON name of the kind.
	identify func(id string) identity
	// issues is set if requests name IssuanceVersion.
	issues bool
}

// Individuals returns the individual enrollments.
func (c *Client) Individuals() Collection {
	return Collection{client: c, name: "enrollments",
		identify: func(id string) identity { return identity{RegistrationID: id} }}
}

// Groups returns the enrollment groups.
func (c *Client) Groups() Collection {
	return Collection{client: c, name: "enrollmentGroups",
		identify: func(id string) identity { return identity{EnrollmentGroupID: id} }}
}

// WithIssuance returns the collection under the api-version that has certificate policies: Get and Query show their
// names, and Put and Bulk remove those that an entry leaves out. Without it, Put and Bulk use that version only for
// entries with such a name. A service of a cloud that does not serve the version refuses its requests.
func (c Collection) WithIssuance() Collection {
	c.issues = true
	return c
}

// version returns the api-version of a request that sends these entries.
func (c Collection) version(sent ...Enrollment) string {
	if c.issues || slices.ContainsFunc(sent, Enrollment.issues) {
		return IssuanceVersion
	}
	return APIVersion
}

// Name returns the name of the collection as paths spell it.
func (c Collection) Name() string { return c.name }

func (c Collection) path(id string) string { return "/" + c.name + "/" + url.PathEscape(id) }

func (c Collection) wire(entry Enrollment) wireEntry { return wireEntry{c.identify(entry.ID), entry} }

// Get returns an entry, without its symmetric keys. It fails with ErrNotFound when the entry does not exist.
func (c Collection) Get(ctx context.Context, id string) (Enrollment, error) {
	var entry wireEntry
	_, err := c.client.send(ctx, call{method: http.MethodGet, path: c.path(id), version: c.version(),
		accept: http.StatusOK}, &entry)
	return entry.enrollment(), err
}

// Put sends the whole entry and returns it as the service then holds it, symmetric keys included. With an etag it fails
// with ErrPrecondition when the service holds another version; with an empty etag the service creates or replaces the
// entry.
func (c Collection) Put(ctx context.Context, id string, entry Enrollment, etag string) (Enrollment, error) {
	var stored wireEntry
	_, err := c.client.send(ctx, call{
		method: http.MethodPut, path: c.path(id), version: c.version(entry), header: ifMatch(etag), body: c.wire(entry),
		accept: http.StatusOK,
	}, &stored)
	return stored.enrollment(), err
}

// Delete removes an entry. It fails with ErrNotFound when the entry does not exist, and with ErrPrecondition when the
// service holds another version than etag; an empty etag removes any version.
func (c Collection) Delete(ctx context.Context, id, etag string) error {
	_, err := c.client.send(ctx, call{
		method: http.MethodDelete, path: c.path(id), header: ifMatch(etag), accept: http.StatusNoContent,
	}, nil)
	return err
}

// AttestationMechanism returns an entry's attestation with its symmetric keys.
func (c Collection) AttestationMechanism(ctx context.Context, id string) (Attestation, error) {
	var attestation Attestation
	_, err := c.client.send(ctx, call{
		method: http.MethodPost, path: c.path(id) + "/attestationmechanism", accept: http.StatusOK,
	}, &attestation)
	return attestation, err
}

// Query yields the entries that match query ("SELECT *" for all), page by page; with pageSize 0 the service chooses the
// size. It stops at the first error.
func (c Collection) Query(ctx context.Context, query string, pageSize int) iter.Seq2[Enrollment, error] {
	return func(yield func(Enrollment, error) bool) {
		for entry, err := range pages[wireEntry](ctx, c.client, c.query(query), pageSize) {
			if !yield(entry.enrollment(), err) {
				return
			}
		}
	}
}

// query is the call for a page of the entries that match query.
func (c Collection) query(query string) call {
	return call{method: http.MethodPost, path: "/" + c.name + "/query", version: c.version(),
		body: map[string]string{"query": query}, accept: http.StatusOK}
}

// Page returns one page of Query, and the continuation with which the next call continues; it is empty at the end.
func (c Collection) Page(ctx context.Context, query string, pageSize int, continuation string) (entries []Enrollment,
	next string, err error) {
	found, next, err := page[wireEntry](ctx, c.client, c.query(query), pageSize, continuation)
	for _, entry := range found {
		entries = append(entries, entry.enrollment())
	}
	return entries, next, err
}

// Mode is the operation that a bulk request applies to all its entries.
type Mode string

// The modes of bulk operations.
const (
	BulkCreate          Mode = "create"
	BulkUpdate          Mode = "update"
	BulkUpdateIfMatches Mode = "updateIfMatchETag"
	BulkDelete          Mode = "delete"
)

// BulkSize is the maximum number of entries of a bulk operation.
const BulkSize = 10

// BulkFailure is the error of one entry of a bulk operation.
type BulkFailure struct {
	// ID is the entry's, as in Enrollment.
	ID string
	// Code is the service's error code, such as 409101.
	Code    int
	Message string
}

// BulkResult is the outcome of a bulk operation that the service carried out.
type BulkResult struct {
	// Failures are the entries that failed. The others succeeded.
	Failures []BulkFailure
	// Repeated reports whether the operation was sent again because an answer was lost. A failure may then be the
	// effect of an earlier attempt, such as a conflict with an entry that the same operation created.
	Repeated bool
}

// Bulk applies mode to up to BulkSize entries. The etag of each is the entry's own.
func (c Collection) Bulk(ctx context.Context, mode Mode, entries []Enrollment) (BulkResult, error) {
	sent := make([]wireEntry, len(entries))
	for i, entry := range entries {
		sent[i] = c.wire(entry)
	}
	var answer struct {
		Errors []struct {
			identity
			Code    int    `json:"errorCode"`
			Message string `json:"errorStatus"`
		} `json:"errors"`
	}
	_, lost, err := c.client.exchange(ctx, call{
		method: http.MethodPost, path: "/" + c.name, version: c.version(entries...),
		body: map[string]any{c.name: sent, "mode": mode}, accept: http.StatusOK,
	}, &answer)
	result := BulkResult{Repeated: lost}
	for _, failure := range answer.Errors {
		result.Failures = append(result.Failures, BulkFailure{failure.id(), failure.Code, failure.Message})
	}
	return result, err
}

// Registration returns the record of a device's registration. It fails with ErrNotFound when the device never
// registered.
func (c *Client) Registration(ctx context.Context, id string) (Registration, error) {
	var registration Registration
	_, err := c.send(ctx, call{method: http.MethodGet, path: "/registrations/" + url.PathEscape(id),
		accept: http.StatusOK}, &registration)
	return registration, err
}

// DeleteRegistration removes the record of a device's registration; the device at its hub stays. An empty etag removes
// any version.
func (c *Client) DeleteRegistration(ctx context.Context, id, etag string) error {
	_, err := c.send(ctx, call{
		method: http.MethodDelete, path: "/registrations/" + url.PathEscape(id), header: ifMatch(etag),
		accept: http.StatusNoContent,
	}, nil)
	return err
}

// Registrations yields the registration records of an enrollment group, page by page, as Query does.
func (c *Client) Registrations(ctx context.Context, groupID string, pageSize int) iter.Seq2[Registration, error] {
	return pages[Registration](ctx, c, queryOfRegistrations(groupID), pageSize)
}

// RegistrationsPage returns one page of Registrations, and the continuation with which the next call continues; it is
// empty at the end.
func (c *Client) RegistrationsPage(ctx context.Context, groupID string, pageSize int, continuation string) (
	records []Registration, next string, err error) {
	return page[Registration](ctx, c, queryOfRegistrations(groupID), pageSize, continuation)
}

func queryOfRegistrations(groupID string) call {
	return call{method: http.MethodPost, path: "/registrations/" + url.PathEscape(groupID) + "/query",
		accept: http.StatusOK}
}

// pages makes a call for each page: it follows x-ms-continuation until that is absent.
func pages[T any](ctx context.Context, c *Client, k call, pageSize int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for continuation := ""; ; {
			entries, next, err := page[T](ctx, c, k, pageSize, continuation)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, entry := range entries {
				if !yield(entry, nil) {
					return
				}
			}
			if continuation = next; continuation == "" {
				return
			}
		}
	}
}

// page makes a call for one page, and returns the continuation of the next.
func page[T any](ctx context.Context, c *Client, k call, size int, continuation string) (entries []T, next string,
	err error) {
	k.header = map[string]string{}
	if size > 0 {
		k.header["x-ms-max-item-count"] = strconv.Itoa(size)
	}
	if continuation != "" {
		k.header["x-ms-continuation"] = continuation
	}
	answer, err := c.send(ctx, k, &entries)
	if err != nil {
		return nil, "", err
	}
	return entries, answer.Get("x-ms-continuation"), nil
}

func ifMatch(etag string) map[string]string {
	if etag == "" {
		return nil
	}
	return map[string]string{"If-Match": etag}
}
