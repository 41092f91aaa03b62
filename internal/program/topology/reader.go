package topology

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/azure/enrollment"
)

// Faults is the error that lists everything wrong with a configuration.
type Faults struct {
	Stack string
	// List is never empty. Each path is a configuration key as a user types it.
	List []enrollment.Fault
}

// Error lists the errors, one per line.
func (f Faults) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "invalid configuration of stack %q; nothing was changed", f.Stack)
	for _, fault := range f.List {
		fmt.Fprintf(&b, "\n  %s: %s", fault.Path, fault.Message)
	}
	b.WriteString("\nchange it with `pulumi config set KEY VALUE` (`--path` for keys with a dot or an index)")
	return b.String()
}

// reader reads configuration values and collects their errors.
type reader struct {
	source Source
	faults []enrollment.Fault
}

func (r *reader) fault(key, format string, args ...any) {
	if enrollment.HoldsPrivateKey(key) { // someone put a key where a name belongs
		key, _, _ = strings.Cut(key, ".")
	}
	r.faults = append(r.faults, enrollment.Fault{Path: key, Message: fmt.Sprintf(format, args...)})
}

// file reads a file that the configuration names, if the source can read files.
func (r *reader) file(name string) ([]byte, error) {
	if files, ok := r.source.(Files); ok {
		return files.File(name)
	}
	return nil, errors.New("this source cannot read files")
}

func (r *reader) text(key, fallback string) string {
	value, _ := r.source.Get(key)
	// a piped file can begin with a byte order mark
	value = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(value), "\ufeff"))
	if value == "" {
		return fallback
	}
	return value
}

// choice returns the allowed value that equals the configured one, ignoring letter case.
func (r *reader) choice(key, fallback string, allowed ...string) string {
	value := r.text(key, fallback)
	if match, ok := fold(value, allowed); ok {
		return match
	}
	r.fault(key, "%s is not one of %s", enrollment.Quote(value), strings.Join(allowed, ", "))
	return fallback
}

func (r *reader) integer(key string, fallback, low, high int) int {
	value := r.text(key, strconv.Itoa(fallback))
	n, err := strconv.Atoi(value)
	if err != nil {
		r.fault(key, "%s is not a whole number", enrollment.Quote(value))
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

// time returns a configured time, or "" without one.
func (r *reader) time(key string) string {
	value := r.text(key, "")
	if value == "" {
		return ""
	}
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		r.fault(key, "%s is not a time in the form 2026-01-31T17:00:00Z", enrollment.Quote(value))
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

// isReported reports whether the key or a part of it already has an error.
func (r *reader) isReported(key string) bool {
	return slices.ContainsFunc(r.faults, func(f enrollment.Fault) bool {
		rest, is := strings.CutPrefix(f.Path, key)
		return is && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}
