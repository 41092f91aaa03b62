package hint_test

import (
	"errors"
	"fmt"
	"testing"

	"evenkeel/internal/hint"
)

func TestAdviceSurvivesWrappingAndKeepsTheCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("port taken")
	err := fmt.Errorf("start: %w", hint.To(cause, "choose %d", 8080))
	if got, want := hint.Of(err), "choose 8080"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, cause) || err.Error() != "start: port taken" {
		t.Errorf("got %v, want the cause unchanged", err)
	}
	if hint.Of(cause) != "" || hint.To(nil, "x") != nil {
		t.Error("an error without advice, or no error, got some")
	}
}
