package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/enrollment"
)

// Faults is everything that is wrong with a configuration.
type Faults struct {
	Stack string
	// List is never empty; each path is a configuration key as a user types it.
	List []enrollment.Fault
}

// Error lists the faults, one a line.
func (f Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the configuration of stack %q cannot be used; nothing was changed", f.Stack)
	for _, fault := range f.List {
		fmt.Fprintf(&b, "\n  %s: %s", fault.Path, fault.Message)
	}
	b.WriteString("\nchange it with `pulumi config set KEY VALUE` (`--path` for keys with a dot or an index)")
	return b.String()
}

// reader reads configuration values and gathers the faults.
type reader struct {
	source Source
	faults []enrollment.Fault
}

func (r *reader) fault(key, format string, args ...any) {
	r.faults = append(r.faults, enrollment.Fault{Path: key, Message: fmt.Sprintf(format, args...)})
}

// file reads a file that the configuration names, where the source can.
func (r *reader) file(name string) ([]byte, error) {
	if files, ok := r.source.(Files); ok {
		return files.File(name)
	}
	return nil, errors.New("no file can be read here")
}

func (r *reader) text(key, fallback string) string {
	value, ok := r.source.Get(key)
	if !ok || strings.TrimSpace(value) == "" {
		return fallback
	}
	return strings.TrimSpace(value)
}

// choice returns the allowed value that equals the configured one without regard to letter case.
func (r *reader) choice(key, fallback string, allowed ...string) string {
	value := r.text(key, fallback)
	if match, ok := fold(value, allowed); ok {
		return match
	}
	r.fault(key, "%q is not one of %s", value, strings.Join(allowed, ", "))
	return fallback
}

func (r *reader) whole(key string, fallback, low, high int) int {
	value := r.text(key, strconv.Itoa(fallback))
	n, err := strconv.Atoi(value)
	if err != nil {
		r.fault(key, "%q is not a whole number", value)
		return fallback
	}
	if n < low || n > high {
		r.fault(key, "%d is not between %d and %d", n, low, high)
		return fallback
	}
	return n
}

func (r *reader) truth(key string) bool {
	return r.choice(key, "false", "true", "false") == "true"
}

// time returns a moment as configured, or "" when there is none.
func (r *reader) time(key string) string {
	value := r.text(key, "")
	if value == "" {
		return ""
	}
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		r.fault(key, "%q is not a time as 2026-01-31T17:00:00Z", value)
	}
	return value
}

func fold(value string, allowed []string) (string, bool) {
	for _, a := range allowed {
		if strings.EqualFold(a, value) {
			return a, true
		}
	}
	return "", false
}

// decode reads a JSON value strictly: an unknown member is a fault, since it is a misspelt setting.
func decode(value string, into any) error {
	d := json.NewDecoder(strings.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return describe(err)
	}
	return nil
}

// describe says in plain words what a JSON decoder found; it never repeats a value, which may be a key.
func describe(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		if kind.Field == "" {
			return fmt.Errorf("is a %s, want %s", kind.Value, plain(kind.Type.Kind().String()))
		}
		return fmt.Errorf("%s is a %s, want %s", kind.Field, kind.Value, plain(kind.Type.Kind().String()))
	}
	if text, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("there is no setting %s", text)
	}
	return errors.New("is not valid JSON")
}

func plain(kind string) string {
	switch kind {
	case "struct", "map":
		return "an object"
	case "slice":
		return "a list"
	case "bool":
		return "true or false"
	case "int", "int64":
		return "a whole number"
	default:
		return "a text"
	}
}
