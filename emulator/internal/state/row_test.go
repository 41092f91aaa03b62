package state

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rows returns one row of each kind. This is an internal test because a surface cannot see whether a field is omitted.
func rows() []row {
	var all []row
	for _, kind := range kinds {
		all = append(all, kind.row())
	}
	return append(all, &activity{})
}

func TestEveryTableIsInSnapshots(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "row.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "table") {
			tables++
		}
		return true
	})
	if tables == 0 || tables != len(kinds) {
		t.Errorf("got %d tables and %d kinds of rows in snapshots, want as many", tables, len(kinds))
	}
}

// elsewhere are fields that a row does not contain: those of the key, or of this process.
var elsewhere = map[string]bool{"Twin.DeviceID": true, "Device.Connected": true, "Device.ConnectionTime": true,
	"Device.LastActivity": true, "Hub.Settings": true, "Service.Settings": true, "Service.Principals": true,
	"CloudMessage.Sequence": true, "CloudMessage.Lock": true, "CloudMessage.Resent": true, "Feedback.Lock": true}

// fill gives every field its own value.
func fill(v reflect.Value, path string, n *int) {
	*n++
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(1_700_000_000+*n), 123_456_700).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(-*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), path, n)
		fill(v.Index(1), path, n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, key := range []string{fmt.Sprint("a", *n), ""} {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(value, path, n)
			v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(i).Name
			if field := v.Field(i); !elsewhere[name] && field.CanSet() {
				fill(field, name, n)
			}
		}
	default:
		panic("a kind that no row has had so far: " + v.Kind().String())
	}
}

var seeAll = cmp.AllowUnexported(meta{}, activity{}, record{}, member{}, operationRef{})

func TestARowKeepsEveryField(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		name, n := reflect.TypeOf(r).Elem().Name(), 0
		full := reflect.New(reflect.TypeOf(r).Elem())
		fill(full.Elem(), name, &n)
		if own, ok := full.Interface().(*activity); ok {
			own.connection, own.heard = time.Unix(6, 0).UTC(), time.Unix(7, 0).UTC()
		}
		if own, ok := full.Interface().(*record); ok {
			own.hub, own.device, own.operations = "h", "d", []operationRef{{"o", time.Unix(5, 0).UTC()}}
		}
		for _, want := range []any{full.Interface(), r} { // every field set, and none
			got := reflect.New(reflect.TypeOf(r).Elem()).Interface().(row)
			if err := decode(encode(want.(row)), got); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if diff := cmp.Diff(want, any(got), seeAll); diff != "" {
				t.Errorf("%s in the store (-want +got):\n%s", name, diff)
			}
			got = reflect.New(reflect.TypeOf(r).Elem()).Interface().(row)
			text, err := writeDocument(want.(row))
			if err == nil {
				err = readDocument(text, got)
			}
			if diff := cmp.Diff(want, any(got), seeAll); err != nil || diff != "" {
				t.Errorf("%s in a snapshot: %v (-want +got):\n%s", name, err, diff)
			}
		}
	}
}

func TestADamagedRowIsRefusedNotMisread(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		name, n := reflect.TypeOf(r).Elem().Name(), 0
		full := reflect.New(reflect.TypeOf(r).Elem())
		fill(full.Elem(), name, &n)
		whole := encode(full.Interface().(row))
		fresh := func() row { return reflect.New(reflect.TypeOf(r).Elem()).Interface().(row) }
		for cut := range whole {
			if err := decode(whole[:cut], fresh()); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s cut to %d of %d bytes: got %v, want %v", name, cut, len(whole), err, ErrCorrupt)
			}
		}
		if err := decode(append(whole, 0), fresh()); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s with a byte too many: got %v, want %v", name, err, ErrCorrupt)
		}
		for i := range whole { // any result is right, but not a panic
			damaged := append([]byte(nil), whole...)
			damaged[i] ^= 0xff
			_ = decode(damaged, fresh())
		}
	}
}

func TestKeyPartsAreSeparate(t *testing.T) {
	t.Parallel()
	start, end := under(tableDevice, "hub")
	for id, want := range map[string]bool{"": true, "a": true, "\xff": true} {
		t.Run(fmt.Sprintf("%q", id), func(t *testing.T) {
			key := keyOf(tableDevice, "hub", id)
			if got := string(key) >= string(start) && string(key) < string(end); got != want {
				t.Errorf("%q: got within its hub %v, want %v", id, got, want)
			}
		})
	}
	for _, other := range []string{"hub2", "hu", "hub\x00x"} {
		t.Run(fmt.Sprintf("%q", other), func(t *testing.T) {
			key := keyOf(tableDevice, other, "id")
			if string(key) >= string(start) && string(key) < string(end) {
				t.Errorf("a device of %q is among those of hub", other)
			}
		})
	}
}
