package iothub

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"evenkeel/emulator/internal/state"
)

// queryChunk is how many devices are read at a time while a query looks for matches.
const queryChunk = 1000

// continuation is the position in a query's results. Clients return it unchanged.
type continuation struct {
	// After is the id of the last device that was read; Taken is the number of rows returned so far.
	After string `json:"after,omitempty"`
	Taken int    `json:"taken"`
}

func (c continuation) String() string {
	text, _ := json.Marshal(c) // a string and a number always encode
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseContinuation(text string) (c continuation, err error) {
	if text == "" {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || c.Taken < 0 {
		return continuation{}, invalid("The x-ms-continuation is invalid")
	}
	return c, nil
}

// query: Query_GetTwins, 2021-04-12.
func (h *Hubs) query(w http.ResponseWriter, r *http.Request, hub state.Hub) error {
	var in struct {
		Query string `json:"query"`
	}
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	parsed, err := parseQuery(in.Query)
	if err != nil {
		return invalid("The query is invalid: %v", err)
	}
	from, err := parseContinuation(r.Header.Get("x-ms-continuation"))
	if err != nil {
		return err
	}
	limit, err := pageSize("x-ms-max-item-count", r.Header.Get("x-ms-max-item-count"))
	if err != nil {
		return err
	}
	kind := "Twin"
	if len(parsed.columns) > 0 {
		kind = "Raw"
	}
	rows, next, err := h.find(hub.Host(), parsed, from, limit)
	if err != nil {
		return err
	}
	spell(w.Header(), headerItemType, kind)
	if next != nil {
		spell(w.Header(), headerContinuation, next.String())
	}
	writeJSON(w, http.StatusOK, rows)
	return nil
}

// find returns up to limit rows of a query, and where to continue.
func (h *Hubs) find(host string, q twinQuery, from continuation, limit int) (rows []any, next *continuation,
	err error) {
	if q.top > 0 {
		limit = min(limit, q.top-from.Taken)
	}
	if q.empty || limit <= 0 {
		return []any{}, nil, nil
	}
	if q.grouped {
		return h.findGroups(host, q, from, limit)
	}
	rows = []any{}
	chunk := queryChunk
	if q.where == nil {
		chunk = limit + 1 // one more, to find out whether it exists
	}
	err = h.scanTwins(host, from.After, chunk, func(doc twinDocument) (more bool, err error) {
		row, ok, err := q.row(doc)
		if err != nil || !ok {
			return true, err
		}
		if len(rows) == limit {
			next = &from
			return false, nil
		}
		rows = append(rows, row)
		from.After, from.Taken = doc.DeviceID, from.Taken+1
		return true, nil
	})
	if q.top > 0 && from.Taken >= q.top {
		next = nil
	}
	return rows, next, err
}

// scanTwins calls each with the twins of a hub after that id, ordered by id, until each returns false. chunk is how
// many are read at a time.
func (h *Hubs) scanTwins(host, after string, chunk int, each func(twinDocument) (more bool, err error)) error {
	waiting, err := h.state.CloudMessageCounts(host)
	if err != nil {
		return err
	}
	for {
		devices, next, err := h.state.Devices(host, after, chunk)
		if err != nil {
			return err
		}
		for _, d := range devices {
			t, err := h.state.Twin(host, d.ID)
			if err != nil {
				continue // deleted since the page was read
			}
			if more, err := each(newTwinDocument(d, t, waiting[d.ID])); err != nil || !more {
				return err
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
}

// row returns what a query selects from a twin, unless its condition excludes it.
func (q twinQuery) row(doc twinDocument) (row any, ok bool, err error) {
	if q.where == nil && len(q.columns) == 0 {
		return doc, true, nil
	}
	twin, err := doc.members()
	if err != nil || q.where != nil && q.where(twin) != yes {
		return nil, false, err
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

// members returns a twin as queries see it: its decoded JSON.
func (d twinDocument) members() (map[string]any, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var members map[string]any
	return members, decoder.Decode(&members)
}

// findGroups returns the rows of a query with GROUP BY or aggregates, ordered by the group's values.
func (h *Hubs) findGroups(host string, q twinQuery, from continuation, limit int) (rows []any, next *continuation,
	err error) {
	all := newGroups(q)
	err = h.scanTwins(host, "", queryChunk, func(doc twinDocument) (bool, error) {
		twin, err := doc.members()
		if err == nil && (q.where == nil || q.where(twin) == yes) {
			all.add(twin)
		}
		return true, err
	})
	if err != nil {
		return nil, nil, err
	}
	rows = all.rows()
	rows = rows[min(from.Taken, len(rows)):]
	if len(rows) <= limit {
		return rows, nil, nil
	}
	if taken := from.Taken + limit; q.top == 0 || taken < q.top {
		next = &continuation{Taken: taken}
	}
	return rows[:limit], next, nil
}

// number parses a JSON number. A number out of range becomes infinite.
func number(n json.Number) float64 {
	f, _ := strconv.ParseFloat(string(n), 64)
	return f
}
