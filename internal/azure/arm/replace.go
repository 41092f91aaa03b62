package arm

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// Written is a resource as ARM returned it after a PUT, with every member and number unchanged. Both parts can be nil.
type Written struct {
	// First is the answer to the PUT itself: what that request wrote, before a concurrent change.
	First map[string]json.RawMessage
	// Last is the resource when the operation had ended.
	Last map[string]json.RawMessage
}

// Replace writes the whole resource, waits until the operation that this starts has ended, and returns what ARM showed
// of it. accepted reports whether ARM took the request: it may have changed the resource even when err is set.
func (c *Client) Replace(ctx context.Context, to Target, body any) (written Written, accepted bool, err error) {
	response, err := c.send(ctx, http.MethodPut, to, body)
	if err != nil {
		return Written{}, false, err
	}
	if !runtime.HasStatusCode(response, http.StatusOK, http.StatusCreated, http.StatusAccepted) {
		return Written{}, false, newError(http.MethodPut, to, response)
	}
	// An answer without a description is not an error: the resource itself shows what was written.
	if raw, err := runtime.Payload(response); err == nil && json.Unmarshal(raw, &written.First) != nil {
		written.First = nil
	}
	written.Last, err = poll[map[string]json.RawMessage](ctx, c, http.MethodPut, to, response)
	return written, true, err
}

// mostPages limits List: no subscription has so many resources of one type.
const mostPages = 100

// List reads all pages of a list.
func (c *Client) List(ctx context.Context, from Target) ([]json.RawMessage, error) {
	var all []json.RawMessage
	for range mostPages {
		var page struct {
			Value    []json.RawMessage `json:"value"`
			NextLink string            `json:"nextLink"`
		}
		if err := c.Get(ctx, from, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		if page.NextLink == "" {
			return all, nil
		}
		next, err := c.follow(from, page.NextLink)
		if err != nil {
			return nil, err
		}
		from = next
	}
	return nil, fmt.Errorf("GET %s: more than %d pages", from.ID, mostPages)
}

// follow converts the link to the next page to a target. It refuses a link to another host, because the request
// contains a token.
func (c *Client) follow(from Target, link string) (Target, error) {
	next, err := url.Parse(link)
	base, baseErr := url.Parse(c.endpoint)
	if err != nil || baseErr != nil || next.Scheme != base.Scheme || !strings.EqualFold(next.Host, base.Host) {
		return Target{}, fmt.Errorf("GET %s: the link to the next page points to another host", from.ID)
	}
	query := next.Query()
	if version := query.Get("api-version"); version != "" {
		from.APIVersion = version
	}
	query.Del("api-version")
	from.ID, from.query = strings.TrimPrefix(next.Path, strings.TrimRight(base.Path, "/")), query
	return from, nil
}
