package arm

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// maxPage is the most items in one answer, as those of Microsoft.Resources have it.
const maxPage = 1000

// listPage is the envelope of a list that may go on.
type listPage[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// pageOf answers the page of a list that $top and $skiptoken ask for; a token is where the page before ended.
func pageOf[T any](c *call, items []T) error {
	query := c.r.URL.Query()
	top := maxPage
	if text := query.Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return armError(http.StatusBadRequest, "InvalidTopInQueryString", "The $top '%s' is not a positive number.", text)
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

// filterOf reads the filters over resources that clients send: resourceType eq 'X', and tagName eq 'X' with or without
// tagValue eq 'Y', joined by and. Others are refused, so that no list is longer than was asked for.
func (c *call) filterOf() (map[string]string, error) {
	wanted := map[string]string{}
	text := strings.TrimSpace(c.r.URL.Query().Get("$filter"))
	if text == "" {
		return wanted, nil
	}
	for part := range strings.SplitSeq(text, " and ") {
		words := strings.SplitN(strings.TrimSpace(part), " ", 3)
		if len(words) != 3 || !strings.EqualFold(words[1], "eq") || len(words[2]) < 2 || words[2][0] != '\'' || !strings.HasSuffix(words[2], "'") {
			return nil, invalidFilter(text)
		}
		name := strings.ToLower(words[0])
		if name != "resourcetype" && name != "tagname" && name != "tagvalue" {
			return nil, invalidFilter(text)
		}
		wanted[name] = strings.ReplaceAll(words[2][1:len(words[2])-1], "''", "'")
	}
	return wanted, nil
}

func invalidFilter(text string) error {
	return armError(http.StatusBadRequest, "InvalidFilterInQueryString",
		"The filter '%s' is not understood: the emulator takes resourceType, tagName and tagValue with eq, joined by and.", text)
}

// chosen reports whether a filter wants a resource of that type with those tags.
func chosen(wanted map[string]string, kind string, tags map[string]string) bool {
	if kindWanted, ok := wanted["resourcetype"]; ok && !strings.EqualFold(kindWanted, kind) {
		return false
	}
	name, ok := wanted["tagname"]
	if !ok {
		return true
	}
	for key, value := range tags {
		if strings.EqualFold(key, name) {
			valueWanted, any := wanted["tagvalue"]
			return !any || valueWanted == value
		}
	}
	return false
}
