package iothub

import (
	"bytes"
	"encoding/json"
	"net/http"

	"evenkeel/emulator/internal/state"
)

// queryChunk is how many devices are read at a time while a query looks for those that match.
const queryChunk = 1000

// query: Query_GetTwins, 2021-04-12. The continuation is the id of the last device looked at.
func (h *Hubs) query(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var in struct {
		Query string `json:"query"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	parsed, err := parseQuery(in.Query)
	if err != nil {
		return invalid("The query cannot be used: %v", err)
	}
	limit, kind := pageSize(r.Header.Get("x-ms-max-item-count")), "Twin"
	if parsed.count {
		limit = 0
	}
	rows, next, err := h.find(hub.Host(), parsed, r.Header.Get("x-ms-continuation"), limit)
	if err != nil {
		return err
	}
	if len(parsed.columns) > 0 {
		kind = "Raw"
	}
	w.Header().Set("x-ms-item-type", kind)
	if next != "" {
		w.Header().Set("x-ms-continuation", next)
	}
	writeJSON(w, http.StatusOK, rows)
	return nil
}

// find reads devices after that id until so many match, or all when limit is zero, and tells where to go on.
func (h *Hubs) find(host string, q twinQuery, after string, limit int) (rows []any, next string, err error) {
	waiting, err := h.state.CommandCounts(host)
	if err != nil {
		return nil, "", err
	}
	rows = []any{}
	count := 0
	for {
		chunk := queryChunk
		if limit > 0 && q.where == nil {
			chunk = limit
		}
		devices, more, err := h.state.Devices(host, after, chunk)
		if err != nil {
			return nil, "", err
		}
		for i, d := range devices {
			row, ok, err := h.match(host, q, d, waiting[d.ID])
			if err != nil {
				return nil, "", err
			}
			if !ok {
				continue
			}
			if count++; q.count {
				continue
			}
			rows = append(rows, row)
			if last := i == len(devices)-1; limit > 0 && len(rows) == limit && !(last && more == "") {
				return rows, d.ID, nil
			}
		}
		if after = more; more == "" {
			break
		}
	}
	if q.count {
		rows = []any{map[string]int{q.columns[0].name: count}}
	}
	return rows, "", nil
}

// match returns what a query shows of a device, unless its condition leaves it out or it was deleted meanwhile.
func (h *Hubs) match(host string, q twinQuery, d state.Device, waiting int) (row any, ok bool, err error) {
	t, err := h.state.Twin(host, d.ID)
	if err != nil {
		return nil, false, nil // deleted since the page was read
	}
	doc := newTwinDocument(d, t, waiting)
	if q.where == nil && len(q.columns) == 0 {
		return doc, true, nil
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, false, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var twin map[string]any
	if err := decoder.Decode(&twin); err != nil {
		return nil, false, err
	}
	if q.where != nil && q.where(twin) != yes {
		return nil, false, nil
	}
	if len(q.columns) == 0 {
		return doc, true, nil
	}
	shown := map[string]any{}
	for _, c := range q.columns {
		if value, there := c.path.of(twin); there {
			shown[c.name] = value
		}
	}
	return shown, true, nil
}
