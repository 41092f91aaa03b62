package arm

import (
	"encoding/base64"
	"net/http"
	"strconv"
)

// maxPage is the largest number of items in one response, as for Microsoft.Resources.
const maxPage = 1000

// listPage is the envelope of a list with several pages.
type listPage[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// pageOf returns the page of a list that $top and $skiptoken select. A token is the end of the previous page.
func pageOf[T any](c *call, items []T) error {
	query := c.r.URL.Query()
	top := maxPage
	if text := query.Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return armError(http.StatusBadRequest, "InvalidTopInQueryString", "The $top '%s' is not a positive number.",
				text)
		}
		top = min(n, maxPage)
	}
	from := 0
	if token := query.Get("$skiptoken"); token != "" {
		data, err := base64.RawURLEncoding.DecodeString(token)
		if err == nil {
			from, err = strconv.Atoi(string(data))
		}
		if err != nil || from < 0 {
			return armError(http.StatusBadRequest, "InvalidSkipToken", "The skip token '%s' is invalid.", token)
		}
	}
	from = min(from, len(items))
	to := min(from+top, len(items))
	page := listPage[T]{Value: append([]T{}, items[from:to]...)}
	if to < len(items) {
		query.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(to))))
		page.NextLink = "https://" + c.r.Host + c.r.URL.EscapedPath() + "?" + query.Encode()
	}
	return c.json(http.StatusOK, page)
}
