package iothub

import "evenkeel/emulator/internal/state"

// RunQuery returns the rows of a query over one twin, as decoded JSON.
func RunQuery(query string, twin map[string]any) ([]any, error) {
	q, err := parseQuery(query)
	if err != nil || q.where != nil && q.where(twin) != yes {
		return nil, err
	}
	if q.grouped {
		g := newGroups(q)
		g.add(twin)
		return g.rows(), nil
	}
	return []any{twin}, nil
}

// ParseBag parses a property bag.
var ParseBag = parseBag

// WriteBag writes the property bag of a message to a device.
func WriteBag(properties, system map[string]string) string {
	return bag(state.CloudMessage{Properties: properties, System: system})
}
