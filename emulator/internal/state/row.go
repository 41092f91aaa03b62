package state

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A row lists its fields once, in the order of their encoding, for reading and writing, in the store and in snapshots
// (see document). Changing the order or the fields of a row requires a new storeFormat.
type row interface{ fields(*codec) }

// codec writes fields to buf, or to doc if it is set, or reads them from it. After the first read error it does
// nothing more.
type codec struct {
	buf     []byte
	doc     *document
	reading bool
	err     error
}

func encode(r row) []byte {
	c := codec{buf: make([]byte, 0, 256)}
	r.fields(&c)
	return c.buf
}

// decode copies what it keeps of value.
func decode(value []byte, r row) error {
	c := codec{buf: slices.Clone(value), reading: true}
	r.fields(&c)
	if c.err == nil && len(c.buf) != 0 {
		c.err = fmt.Errorf("%d bytes too many", len(c.buf))
	}
	if c.err != nil {
		return fmt.Errorf("%w (a row: %v)", ErrCorrupt, c.err)
	}
	return nil
}

func (c *codec) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%s cannot be read", what)
	}
	c.buf = nil
}

func (c *codec) uint(name string, v *uint64) {
	if c.doc != nil {
		scalar(c, name, v)
		return
	}
	if !c.reading {
		c.buf = binary.AppendUvarint(c.buf, *v)
		return
	}
	n, size := binary.Uvarint(c.buf)
	if size <= 0 {
		c.fail("a number")
		return
	}
	*v, c.buf = n, c.buf[size:]
}

func (c *codec) int(name string, v *int64) {
	if c.doc != nil {
		scalar(c, name, v)
		return
	}
	if !c.reading {
		c.buf = binary.AppendVarint(c.buf, *v)
		return
	}
	n, size := binary.Varint(c.buf)
	if size <= 0 {
		c.fail("a number")
		return
	}
	*v, c.buf = n, c.buf[size:]
}

// bytes distinguishes nil from empty.
func (c *codec) bytes(name string, v *[]byte) {
	if c.doc != nil {
		c.blob(name, v)
		return
	}
	var n uint64
	if *v != nil {
		n = uint64(len(*v)) + 1
	}
	c.uint("", &n)
	switch {
	case !c.reading:
		c.buf = append(c.buf, *v...)
	case c.err != nil || n == 0:
		*v = nil
	case n-1 > uint64(len(c.buf)):
		c.fail("a text")
	default:
		*v, c.buf = c.buf[:n-1:n-1], c.buf[n-1:]
	}
}

func text[T ~string](c *codec, name string, v *T) {
	if c.doc != nil {
		scalar(c, name, v)
		return
	}
	n := uint64(len(*v))
	c.uint("", &n)
	switch {
	case !c.reading:
		c.buf = append(c.buf, *v...)
	case c.err != nil:
	case n > uint64(len(c.buf)):
		c.fail("a text")
	default:
		*v, c.buf = T(c.buf[:n]), c.buf[n:]
	}
}

// flag is a boolean that is packed with others.
type flag struct {
	name string
	v    *bool
}

// flags packs up to 64 booleans.
func (c *codec) flags(vs ...flag) {
	if c.doc != nil {
		for _, f := range vs {
			scalar(c, f.name, f.v)
		}
		return
	}
	var bits uint64
	for i, f := range vs {
		if *f.v {
			bits |= 1 << i
		}
	}
	c.uint("", &bits)
	if c.reading {
		for i, f := range vs {
			*f.v = bits&(1<<i) != 0
		}
	}
}

// time is stored in units of 100 ns since 1970, the precision that Azure shows. The zero time is preserved.
func (c *codec) time(name string, v *time.Time) {
	if c.doc != nil {
		scalar(c, name, v)
		return
	}
	var n int64
	if !v.IsZero() {
		n = v.UnixNano()/100 + 1
	}
	c.int("", &n)
	if c.reading && n != 0 {
		*v = time.Unix(0, (n-1)*100).UTC()
	}
}

// list distinguishes nil from empty.
func list[T any](c *codec, name string, vs *[]T, each func(*T)) {
	if c.doc != nil {
		documentList(c, name, vs, each)
		return
	}
	var n uint64
	if *vs != nil {
		n = uint64(len(*vs)) + 1
	}
	c.uint("", &n)
	if c.reading && c.err == nil {
		if n > uint64(len(c.buf))+1 {
			c.fail("a list")
			return
		}
		if n > 0 {
			*vs = make([]T, n-1)
		}
	}
	for i := range *vs {
		each(&(*vs)[i])
	}
}

func texts(c *codec, name string, vs *[]string) {
	list(c, name, vs, func(v *string) { text(c, "", v) })
}

// optional stores whether there is a value.
func optional[T any](c *codec, name string, v **T, each func(*T)) {
	if c.doc != nil {
		documentOptional(c, name, v, each)
		return
	}
	present := *v != nil
	c.flags(flag{"", &present})
	if c.reading && present && c.err == nil {
		*v = new(T)
	}
	if *v != nil {
		each(*v)
	}
}

// tags are sorted by name, so that equal rows have equal bytes.
func (c *codec) tags(name string, m *map[string]string) {
	if c.doc != nil {
		scalar(c, name, m)
		return
	}
	names := slices.Sorted(maps.Keys(*m))
	if *m == nil {
		names = nil
	} else if names == nil {
		names = []string{}
	}
	texts(c, "", &names)
	if c.reading && names != nil {
		*m = make(map[string]string, len(names))
	}
	for _, key := range names {
		value := (*m)[key]
		text(c, "", &value)
		if *m != nil {
			(*m)[key] = value
		}
	}
}

// Tables: the first byte of a key.
const (
	tableMeta                 = 'M'
	tableGroup                = 'G'
	tableHub                  = 'H'
	tableService              = 'S'
	tableAsync                = 'A'
	tableChild                = 'C'
	tableEnrollment           = 'E'
	tableEnrollmentGroup      = 'P'
	tableRegistration         = 'R'
	tableGroupMember          = 'I'
	tableOperation            = 'O'
	tableDevice               = 'D'
	tableTwin                 = 'T'
	tableCloudMessage         = 'Q'
	tableFeedback             = 'F'
	tableSubscription         = 'B'
	tableRole                 = 'L'
	tableIdentity             = 'U'
	separator            byte = 0
)

// keyOf returns the key of a row: its table and its parts, most significant first. The encoding keeps parts separate.
func keyOf(table byte, parts ...string) []byte {
	key := []byte{table}
	for i, part := range parts {
		if i > 0 {
			key = append(key, separator)
		}
		key = append(key, strings.ReplaceAll(part, "\x00", "\xff\xff")...)
	}
	return key
}

// under returns the range of keys that begin with the given parts.
func under(table byte, parts ...string) (start, end []byte) {
	if len(parts) == 0 {
		return []byte{table}, []byte{table + 1}
	}
	start = append(keyOf(table, parts...), separator)
	end = append(keyOf(table, parts...), separator+1)
	return start, end
}

// following returns the first key after key.
func following(key []byte) []byte { return append(slices.Clone(key), 0) }
