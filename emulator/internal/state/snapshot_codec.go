package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// document is a row as JSON, in snapshots. Members with their zero value are omitted, so that nil and empty stay
// different. A field without a name is the whole value, for example an item of a list of texts.
type document struct {
	// members are written to.
	members map[string]any
	// given are the members to read; they are removed when read. whole is the value without a name, for reading and
	// writing.
	given map[string]json.RawMessage
	whole any
}

// writeDocument returns a row as JSON.
func writeDocument(r row) ([]byte, error) {
	c := codec{doc: &document{members: map[string]any{}}}
	r.fields(&c)
	if c.err != nil {
		return nil, c.err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(c.doc.value()); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// readDocument fills a row. It refuses unknown members, so that a misspelt one is not ignored.
func readDocument(data []byte, r row) error {
	c := codec{reading: true, doc: newDocument(data)}
	r.fields(&c)
	c.finish()
	return c.err
}

func newDocument(data json.RawMessage) *document {
	d := &document{whole: data}
	if json.Unmarshal(data, &d.given) != nil {
		d.given = nil
	}
	return d
}

func (d *document) value() any {
	if d.whole != nil {
		return d.whole
	}
	return d.members
}

// finish refuses members that were not read.
func (c *codec) finish() {
	for name := range c.doc.given {
		if c.err == nil {
			c.err = fmt.Errorf("the member %q is unknown", name)
		}
	}
}

func (d *document) put(c *codec, name string, v any) {
	if name == "" {
		d.whole = v
		return
	}
	if _, twice := d.members[name]; twice {
		c.err = fmt.Errorf("two fields are called %s", name)
	}
	d.members[name] = v
}

// take returns the value of a field, or nil if it was omitted.
func (d *document) take(name string) json.RawMessage {
	if name == "" {
		d.given = nil
		return d.whole.(json.RawMessage)
	}
	raw := d.given[name]
	delete(d.given, name)
	return raw
}

// read fills v, which stays zero if the field was omitted. The error does not quote the value, which may be a key.
func (c *codec) read(name string, v any) bool {
	raw := c.doc.take(name)
	if c.err != nil || raw == nil || string(raw) == "null" {
		return false
	}
	if json.Unmarshal(raw, v) != nil {
		c.err = fmt.Errorf("the member %q does not have the right form", name)
	}
	return c.err == nil
}

func scalar[T any](c *codec, name string, v *T) {
	if c.reading {
		c.read(name, v)
		return
	}
	if value := reflect.ValueOf(v).Elem(); name == "" || !value.IsZero() {
		c.doc.put(c, name, *v)
	}
}

// encoded is how bytes that are neither text nor a JSON document are written in a snapshot.
type encoded struct {
	Base64 []byte `json:"$base64"`
}

// blob writes a JSON object or list as it is if reading it gives the same bytes, other text as a string, and
// everything else encoded.
func (c *codec) blob(name string, v *[]byte) {
	if !c.reading {
		if *v != nil {
			c.doc.put(c, name, shown(*v))
		}
		return
	}
	var raw json.RawMessage
	if !c.read(name, &raw) {
		return
	}
	var s string
	var b encoded
	switch {
	case raw[0] == '"' && json.Unmarshal(raw, &s) == nil:
		*v = []byte(s)
	case isEncoded(raw) && json.Unmarshal(raw, &b) == nil && b.Base64 != nil:
		*v = b.Base64
	default:
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			c.err = fmt.Errorf("the member %q is not JSON", name)
			return
		}
		*v = compact.Bytes()
	}
}

func shown(data []byte) any {
	if !utf8.Valid(data) {
		return encoded{data}
	}
	if len(data) > 0 && (data[0] == '{' || data[0] == '[') && !isEncoded(data) {
		var compact bytes.Buffer
		if json.Compact(&compact, data) == nil && bytes.Equal(compact.Bytes(), data) {
			return json.RawMessage(data)
		}
	}
	return string(data)
}

// isEncoded reports whether an object has the marker of encoded.
func isEncoded(data []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return false
	}
	_, marked := members["$base64"]
	return marked
}

func documentList[T any](c *codec, name string, vs *[]T, each func(*T)) {
	outer := c.doc
	defer func() { c.doc = outer }()
	if !c.reading {
		if *vs == nil {
			return
		}
		items := make([]any, len(*vs))
		for i := range *vs {
			c.doc = &document{members: map[string]any{}}
			each(&(*vs)[i])
			items[i] = c.doc.value()
		}
		outer.put(c, name, items)
		return
	}
	var raw []json.RawMessage
	if !c.read(name, &raw) {
		return
	}
	*vs = make([]T, len(raw))
	for i := range raw {
		c.doc = newDocument(raw[i])
		each(&(*vs)[i])
		c.finish()
	}
}

func documentOptional[T any](c *codec, name string, v **T, each func(*T)) {
	outer := c.doc
	defer func() { c.doc = outer }()
	var raw json.RawMessage
	switch {
	case !c.reading && *v != nil:
		c.doc = &document{members: map[string]any{}}
		each(*v)
		outer.put(c, name, c.doc.value())
	case c.reading && c.read(name, &raw):
		*v = new(T)
		c.doc = newDocument(raw)
		each(*v)
		c.finish()
	}
}
