package environment_test

import (
	"fmt"
	"strings"
	"testing"

	"evenkeel/internal/keel/environment"
)

func TestEveryTextGetsItsOwnName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"anna": "anna", "Anna": "anna", "pr-12": "pr-12",
		strings.Repeat("a", 40): strings.Repeat("a", 40)} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if got := environment.NameFor(text); got != want {
				t.Errorf("%q: got %s, want it as it is", text, got)
			}
		})
	}
	seen := map[string]string{}
	for _, text := range []string{
		"", "a b", "a-b", "a.b", "a_b", "-a", "a-", `CORP\anna`, "anna", "anna@example.com", "юра", "юля", "李",
		strings.Repeat("a", 41), strings.Repeat("a", 42),
		strings.Repeat("a-", 30), "-", "--",
	} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			got := environment.NameFor(text)
			if !environment.ValidName(got) {
				t.Errorf("%q: got %q, which names no environment", text, got)
			}
			if other, taken := seen[got]; taken {
				t.Errorf("got %s for %q and %q, want two names", got, other, text)
			}
			seen[got] = text
		})
	}
	for i := range 10_000 {
		if got := environment.NameFor(fmt.Sprint("user.", i)); seen[got] != "" {
			t.Fatalf("got %s twice, for user.%d and %s", got, i, seen[got])
		} else {
			seen[got] = fmt.Sprint(i)
		}
	}
}
