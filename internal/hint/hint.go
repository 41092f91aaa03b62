// Package hint attaches advice to an error: what to do next, beside what failed and why. The command line prints it on
// a separate line.
package hint

import (
	"errors"
	"fmt"
)

type hinted struct {
	error
	advice string
}

func (h hinted) Unwrap() error { return h.error }

// To returns err with advice, which is formatted if args are given. It returns nil if err is nil.
func To(err error, advice string, args ...any) error {
	if err == nil {
		return nil
	}
	if len(args) > 0 {
		advice = fmt.Sprintf(advice, args...)
	}
	return hinted{err, advice}
}

// Of returns the outermost advice that err carries, or "".
func Of(err error) string {
	if h := (hinted{}); errors.As(err, &h) {
		return h.advice
	}
	return ""
}
