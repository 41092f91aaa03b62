package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"evenkeel/internal/azure/enrollment"
)

// textSetting is a setting that accepts a string instead of an object.
type textSetting interface{ setText(text string) }

// decode reads a structured setting. It rejects unknown members, which are usually misspelled settings. Each error has
// the path of its member and never repeats a value, which may be a key. Valid members are set even if others are not.
func (r *reader) decode(key, text string, into any) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber() // an id that consists of digits keeps them
	var value any
	if err := decoder.Decode(&value); err != nil {
		r.fault(key, "%s", notJSON(text, err, reflect.TypeOf(into).Elem().Kind()))
		return
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		r.fault(key, "unexpected data after the end of the JSON value: put everything into one value")
		return
	}
	r.fill(key, value, reflect.ValueOf(into).Elem())
}

// words matches a string that people give for a list.
var words = regexp.MustCompile(`^[A-Za-z0-9._:-]+([ ,;]+[A-Za-z0-9._:-]+)*$`)

// notJSON explains how to write a value that is not JSON.
func notJSON(text string, err error, want reflect.Kind) string {
	if want == reflect.Slice && len(text) < 100 && words.MatchString(text) && !enrollment.HoldsPrivateKey(text) {
		ids := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" ,;", r) })
		return fmt.Sprintf(`is not a list: write it as ["%s"]`, strings.Join(ids, `","`))
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Sprintf("is not valid JSON: look at character %d", syntax.Offset)
	}
	return "is not valid JSON: it is truncated"
}

// fill assigns a JSON value to a setting.
func (r *reader) fill(path string, value any, into reflect.Value) {
	if into.Kind() == reflect.Pointer {
		part, before := reflect.New(into.Type().Elem()), len(r.faults)
		if r.fill(path, value, part.Elem()); value != nil && len(r.faults) == before {
			into.Set(part)
		}
		return
	}
	if text, isText := textOf(value); isText && into.Kind() == reflect.Struct {
		if setting, is := into.Addr().Interface().(textSetting); is {
			setting.setText(text)
			return
		}
	}
	switch value := value.(type) {
	case nil: // the same as a missing member
	case map[string]any:
		r.fillObject(path, value, into)
	case []any:
		if into.Kind() != reflect.Slice {
			r.mismatch(path, value, into)
			return
		}
		into.Set(reflect.MakeSlice(into.Type(), len(value), len(value)))
		for i, part := range value {
			r.fill(index(path, i), part, into.Index(i))
		}
	default:
		if !fillScalar(value, into) {
			r.mismatch(path, value, into)
		}
	}
}

func (r *reader) fillObject(path string, value map[string]any, into reflect.Value) {
	names := slices.Sorted(maps.Keys(value))
	switch into.Kind() {
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		for _, name := range names {
			part := reflect.New(into.Type().Elem()).Elem()
			r.fill(path+"."+name, value[name], part)
			into.SetMapIndex(reflect.ValueOf(name), part)
		}
	case reflect.Struct:
		for _, name := range names {
			if member, known := memberOf(into, name); known {
				r.fill(path+"."+name, value[name], member)
			} else {
				r.fault(path, "unknown setting %s", enrollment.Quote(name))
			}
		}
	default:
		r.mismatch(path, value, into)
	}
}

// memberOf finds the member of a struct by its JSON name, ignoring letter case.
func memberOf(of reflect.Value, name string) (reflect.Value, bool) {
	for i := range of.NumField() {
		if tag := of.Type().Field(i).Tag.Get("json"); tag != "" && strings.EqualFold(tag, name) {
			return of.Field(i), true
		}
	}
	return reflect.Value{}, false
}

// textOf returns a string or a number as a string: `pulumi config set --path` stores an id of digits as a number.
func textOf(value any) (text string, is bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		return value.String(), true
	}
	return "", false
}

// fillScalar assigns a string, number or boolean. Each may be quoted or not, since Pulumi decides on the quotes.
func fillScalar(value any, into reflect.Value) bool {
	text, isText := textOf(value)
	truth, isTruth := value.(bool)
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
		return isText
	case reflect.Int:
		number, err := strconv.Atoi(strings.TrimSpace(text))
		into.SetInt(int64(number))
		return isText && err == nil
	case reflect.Bool:
		if _, isString := value.(string); isString &&
			(strings.EqualFold(text, "true") || strings.EqualFold(text, "false")) {
			truth, isTruth = strings.EqualFold(text, "true"), true
		}
		into.SetBool(truth)
		return isTruth
	}
	return false
}

// mismatch reports the type found at a path and the expected one, never the value.
func (r *reader) mismatch(path string, value any, into reflect.Value) {
	r.fault(path, "is %s, want %s", kindOf(value), wantOf(into))
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	}
	return "an object"
}

// wantOf names the type that a setting expects.
func wantOf(into reflect.Value) string {
	switch into.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.String:
		return "a string"
	}
	if _, is := into.Addr().Interface().(textSetting); is {
		return "an id or an object"
	}
	return "an object"
}
