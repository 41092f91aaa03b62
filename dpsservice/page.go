package dpsservice

import (
	"context"
	"net/http"
	"strconv"
)

// Page returns one page of the entries that match query, and what to pass as after for the next page; that is empty
// after the last page. With size 0 the service chooses how many entries a page has; it may return fewer than size. A
// caller that keeps after can continue in another process, as long as the service accepts it.
func (c Collection) Page(ctx context.Context, query string, size int, after string) ([]Enrollment, string, error) {
	header := map[string]string{}
	if size > 0 {
		header["x-ms-max-item-count"] = strconv.Itoa(size)
	}
	if after != "" {
		header["x-ms-continuation"] = after
	}
	var page []wireEntry
	answer, err := c.client.send(ctx, call{method: http.MethodPost, path: "/" + c.name + "/query", header: header,
		body: map[string]string{"query": query}, accept: http.StatusOK}, &page)
	if err != nil {
		return nil, "", err
	}
	entries := make([]Enrollment, len(page))
	for i, entry := range page {
		entries[i] = entry.enrollment()
	}
	return entries, answer.Get("x-ms-continuation"), nil
}
