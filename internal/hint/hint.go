// Package hint lets an error carry a line of advice for people: what to do next, beside what failed and why.
//
// It prints nothing; the command line shows the advice on a line of its own.
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

// To returns err with advice (formatted when args are given). A nil err stays nil.
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
