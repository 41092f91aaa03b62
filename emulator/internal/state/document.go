package state

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"evenkeel/emulator/internal/strictjson"
)

// Limits of twins ("Understand IoT Hub quotas", "Understand device twins" in the Azure documentation), in bytes as
// sizeOf counts them. The depth counts objects below the document, as in that page's example.
const (
	maxTags       = 8 << 10
	maxProperties = 32 << 10
	maxTwinDepth  = 10
	maxTwinString = 4 << 10
	maxTwinKey    = 1 << 10
	maxTwinInt    = 4503599627370495
	minTwinInt    = -4503599627370496
)

type object = map[string]any

// stamp is the entry in $metadata for a change. A zero version is omitted: only desired properties have one.
type stamp struct {
	at      time.Time
	version int64
}

func (s stamp) mark(meta object) {
	meta["$lastUpdated"] = s.at.UTC().Format("2006-01-02T15:04:05.9999999Z")
	if s.version != 0 {
		meta["$lastUpdatedVersion"] = json.Number(strconv.FormatInt(s.version, 10))
	}
}

// alone returns the metadata of an empty document.
func (s stamp) alone() []byte {
	meta := object{}
	s.mark(meta)
	text, _ := compact(meta)
	return text
}

// change applies patch to doc and, unless at is zero, to its metadata. With replace, the old content is discarded.
func change(doc, meta, patch []byte, replace bool, at stamp, limit int) (newDoc, newMeta []byte, err error) {
	if err := strictjson.Check(patch); err != nil {
		return nil, nil, err
	}
	changes, err := parseObject(patch)
	if err != nil {
		return nil, nil, err
	}
	// Clients that replace a document send back the members that they read.
	delete(changes, "$metadata")
	delete(changes, "$version")
	if err := checkObject(changes, 0); err != nil {
		return nil, nil, err
	}
	if replace && holdsNull(changes) {
		return nil, nil, fmt.Errorf("%s", textNull)
	}
	into, marks := object{}, object{}
	if !replace {
		if into, err = parseObject(doc); err != nil {
			return nil, nil, err
		}
		if meta != nil {
			if marks, err = parseObject(meta); err != nil {
				return nil, nil, err
			}
		}
	}
	merge(into, marks, changes, at)
	if newDoc, err = compact(into); err != nil {
		return nil, nil, err
	}
	if size := sizeOf(into); size > limit {
		return nil, nil, fmt.Errorf("%d bytes exceed the limit of %d", size, limit)
	}
	if at.at.IsZero() {
		return newDoc, nil, nil
	}
	newMeta, err = compact(marks)
	return newDoc, newMeta, err
}

// difference returns the patch that turns one document into another: all of the other, and a null for each member that
// only the first has.
func difference(before, after []byte) ([]byte, error) {
	old, err := parseObject(before)
	if err != nil {
		return nil, err
	}
	patch, err := parseObject(after)
	if err != nil {
		return nil, err
	}
	markGone(patch, old)
	return compact(patch)
}

func markGone(patch, old object) {
	for name, was := range old {
		is, kept := patch[name]
		if !kept {
			patch[name] = nil
			continue
		}
		nested, isObject := is.(object)
		if below, wasObject := was.(object); isObject && wasObject {
			markGone(nested, below)
		}
	}
}

// textNull is Azure's error for a null in a document that replaces another (Azure/azure-iot-cli-extension issue 693).
const textNull = "Value of Property or Tag cannot be null"

// holdsNull reports whether a member of the object, at any depth, is null.
func holdsNull(o object) bool {
	for _, value := range o {
		if below, is := value.(object); value == nil || is && holdsNull(below) {
			return true
		}
	}
	return false
}

func merge(into, marks, changes object, at stamp) {
	at.mark(marks)
	for name, value := range changes {
		nested, isObject := value.(object)
		switch {
		case value == nil:
			delete(into, name)
			delete(marks, name)
		case isObject:
			below, ok := into[name].(object)
			mark, marked := marks[name].(object)
			if !ok {
				below, marked = object{}, false
			}
			if !marked {
				mark = object{}
			}
			merge(below, mark, nested, at)
			into[name], marks[name] = below, mark
		default:
			mark := object{}
			at.mark(mark)
			into[name], marks[name] = value, mark
		}
	}
}

func checkObject(o object, depth int) error {
	if depth > maxTwinDepth {
		return fmt.Errorf("objects are nested deeper than %d", maxTwinDepth)
	}
	for name, value := range o {
		if name == "" || len(name) > maxTwinKey {
			return fmt.Errorf("a name is empty or longer than %d bytes", maxTwinKey)
		}
		if strings.ContainsFunc(name, func(r rune) bool {
			return unicode.IsControl(r) || strings.ContainsRune(" .$#", r)
		}) {
			return fmt.Errorf("the name %q holds a control character, '.', '$', '#' or ' '", name)
		}
		if err := checkValue(value, depth); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(value any, depth int) error {
	switch v := value.(type) {
	case object:
		return checkObject(v, depth+1)
	case []any:
		for _, item := range v {
			if err := checkValue(item, depth); err != nil {
				return err
			}
		}
	case string:
		if len(v) > maxTwinString {
			return fmt.Errorf("a string is longer than %d bytes", maxTwinString)
		}
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return nil
		}
		if n, err := v.Int64(); err != nil || n > maxTwinInt || n < minTwinInt {
			return fmt.Errorf("the integer %s is not between %d and %d", v, int64(minTwinInt), int64(maxTwinInt))
		}
	}
	return nil
}

// sizeOf returns the size of a value as "Understand device twins" defines it: names and texts in UTF-8 without
// control characters, 8 for a number, 4 for a boolean.
func sizeOf(value any) (n int) {
	switch v := value.(type) {
	case object:
		for name, below := range v {
			n += textSize(name) + sizeOf(below)
		}
	case []any:
		for _, item := range v {
			n += sizeOf(item)
		}
	case string:
		n = textSize(v)
	case json.Number:
		n = 8
	case bool:
		n = 4
	}
	return n
}

func textSize(text string) (n int) {
	for _, r := range text {
		if !unicode.IsControl(r) {
			n += utf8.RuneLen(r)
		}
	}
	return n
}

// parseObject parses exactly one JSON object and preserves the spelling of numbers.
func parseObject(text []byte) (object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var o object
	if err := d.Decode(&o); err != nil || o == nil {
		return nil, errors.New("is not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("is more than one JSON value")
	}
	return o, nil
}

func compact(o object) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(o); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// initialTwin parses {"tags":{},"properties":{"desired":{}}}, the format of the initial twin of an enrollment or a
// webhook.
func initialTwin(text []byte) (TwinPatch, error) {
	if text == nil {
		return TwinPatch{}, nil
	}
	o, err := parseObject(text)
	if err != nil {
		return TwinPatch{}, err
	}
	var p TwinPatch
	if tags, ok := o["tags"].(object); ok {
		if p.Tags, err = compact(tags); err != nil {
			return TwinPatch{}, err
		}
	}
	if properties, ok := o["properties"].(object); ok {
		if desired, ok := properties["desired"].(object); ok {
			p.Desired, err = compact(desired)
		}
	}
	return p, err
}
