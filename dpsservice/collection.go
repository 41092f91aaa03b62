package dpsservice

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// Collection is one kind of entries of a provisioning service: T is IndividualEnrollment or EnrollmentGroup.
type Collection[T any] struct {
	client *Client
	// name is the path's first segment, and the key of the entries in a bulk operation.
	name string
}

// Individuals returns the individual enrollments.
func (c *Client) Individuals() Collection[IndividualEnrollment] {
	return Collection[IndividualEnrollment]{client: c, name: "enrollments"}
}

// Groups returns the enrollment groups.
func (c *Client) Groups() Collection[EnrollmentGroup] {
	return Collection[EnrollmentGroup]{client: c, name: "enrollmentGroups"}
}

// Name returns the name of the collection as paths spell it.
func (c Collection[T]) Name() string { return c.name }

func (c Collection[T]) path(id string) string { return "/" + c.name + "/" + url.PathEscape(id) }

// Get returns an entry, without its symmetric keys. It fails with ErrNotFound when there is none.
func (c Collection[T]) Get(ctx context.Context, id string) (T, error) {
	var entry T
	_, err := c.client.send(ctx, call{method: http.MethodGet, path: c.path(id), accept: http.StatusOK}, &entry)
	return entry, err
}

// Put sends the whole entry and returns it as the service then holds it, symmetric keys included. With an etag it fails with
// ErrPrecondition when the entry is another version; without one (empty) the service creates or replaces.
func (c Collection[T]) Put(ctx context.Context, id string, entry T, etag string) (T, error) {
	var stored T
	_, err := c.client.send(ctx, call{
		method: http.MethodPut, path: c.path(id), header: ifMatch(etag), body: entry, accept: http.StatusOK,
	}, &stored)
	return stored, err
}

// Delete removes an entry. It fails with ErrNotFound when there is none, and with ErrPrecondition when it is another version than
// etag; "" removes any version.
func (c Collection[T]) Delete(ctx context.Context, id, etag string) error {
	_, err := c.client.send(ctx, call{method: http.MethodDelete, path: c.path(id), header: ifMatch(etag), accept: http.StatusNoContent}, nil)
	return err
}

// AttestationMechanism returns an entry's attestation with its symmetric keys.
func (c Collection[T]) AttestationMechanism(ctx context.Context, id string) (Attestation, error) {
	var attestation Attestation
	_, err := c.client.send(ctx, call{method: http.MethodPost, path: c.path(id) + "/attestationmechanism", accept: http.StatusOK}, &attestation)
	return attestation, err
}

// Query yields the entries that query ("SELECT *" for all) finds, page by page; pageSize 0 leaves the size to the service. It ends
// at the first error.
func (c Collection[T]) Query(ctx context.Context, query string, pageSize int) iter.Seq2[T, error] {
	return pages[T](ctx, c.client, "/"+c.name+"/query", map[string]string{"query": query}, pageSize)
}

// Mode is what a bulk operation does with all its entries.
type Mode string

// The modes of bulk operations.
const (
	BulkCreate          Mode = "create"
	BulkUpdate          Mode = "update"
	BulkUpdateIfMatches Mode = "updateIfMatchETag"
	BulkDelete          Mode = "delete"
)

// BulkSize is the largest number of entries of one bulk operation.
const BulkSize = 10

// BulkFailure tells what went wrong with one entry of a bulk operation.
type BulkFailure struct {
	RegistrationID    string `json:"registrationId,omitempty"`
	EnrollmentGroupID string `json:"enrollmentGroupId,omitempty"`
	Code              int    `json:"errorCode"`
	Message           string `json:"errorStatus"`
}

// BulkResult is what a bulk operation did.
type BulkResult struct {
	// Failures are the entries that failed, each on its own.
	Failures []BulkFailure
	// Repeated says that the operation was sent again because an answer was lost: a failure may then tell of what an earlier try did,
	// such as a conflict with an entry that this very operation made.
	Repeated bool
}

// Bulk does the same with up to BulkSize entries. Each entry's etag stands in the entry.
func (c Collection[T]) Bulk(ctx context.Context, mode Mode, entries []T) (BulkResult, error) {
	var answer struct {
		Errors []BulkFailure `json:"errors"`
	}
	_, lost, err := c.client.exchange(ctx, call{
		method: http.MethodPost, path: "/" + c.name, body: map[string]any{c.name: entries, "mode": mode}, accept: http.StatusOK,
	}, &answer)
	return BulkResult{Failures: answer.Errors, Repeated: lost}, err
}

// Registration returns the record of a device's registration. It fails with ErrNotFound when the device never registered.
func (c *Client) Registration(ctx context.Context, id string) (Registration, error) {
	var registration Registration
	_, err := c.send(ctx, call{method: http.MethodGet, path: "/registrations/" + url.PathEscape(id), accept: http.StatusOK}, &registration)
	return registration, err
}

// DeleteRegistration removes the record of a device's registration; the device at its hub stays. An empty etag removes any version.
func (c *Client) DeleteRegistration(ctx context.Context, id, etag string) error {
	_, err := c.send(ctx, call{
		method: http.MethodDelete, path: "/registrations/" + url.PathEscape(id), header: ifMatch(etag), accept: http.StatusNoContent,
	}, nil)
	return err
}

// Registrations yields the registration records of an enrollment group, page by page, as Query does.
func (c *Client) Registrations(ctx context.Context, groupID string, pageSize int) iter.Seq2[Registration, error] {
	return pages[Registration](ctx, c, "/registrations/"+url.PathEscape(groupID)+"/query", nil, pageSize)
}

// pages follows x-ms-continuation until it is absent.
func pages[T any](ctx context.Context, c *Client, path string, body any, pageSize int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		header := map[string]string{}
		if pageSize > 0 {
			header["x-ms-max-item-count"] = strconv.Itoa(pageSize)
		}
		for {
			var page []T
			answer, err := c.send(ctx, call{method: http.MethodPost, path: path, header: header, body: body, accept: http.StatusOK}, &page)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, entry := range page {
				if !yield(entry, nil) {
					return
				}
			}
			if header["x-ms-continuation"] = answer.Get("x-ms-continuation"); header["x-ms-continuation"] == "" {
				return
			}
		}
	}
}

func ifMatch(etag string) map[string]string {
	if etag == "" {
		return nil
	}
	return map[string]string{"If-Match": etag}
}
