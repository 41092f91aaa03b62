package iothub

// MatchQuery reports whether a twin, as JSON decodes it, meets the condition of a query.
func MatchQuery(query string, twin map[string]any) (bool, error) {
	q, err := parseQuery(query)
	return err == nil && (q.where == nil || q.where(twin) == yes), err
}
