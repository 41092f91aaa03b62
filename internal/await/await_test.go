package await

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// judged is a test that records its failure.
type judged struct {
	testing.TB
	said string
}

func (j *judged) Helper() {}

func (j *judged) Fatalf(format string, args ...any) {
	j.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure returns the message of a failing test.
func failure(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	j := &judged{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(j)
	}()
	Closed(t, done, "the test that is to fail")
	return j.said
}

const soon = 10 * time.Millisecond

func TestAWaitThatTimesOutReportsWhatWasMissing(t *testing.T) {
	t.Parallel()
	never := make(chan int)
	closed := make(chan int)
	close(closed)
	stream, begun := io.Pipe()
	go func() { _, _ = io.WriteString(begun, "one\ntwo\n") }()
	for name, tc := range map[string]struct {
		test func(testing.TB)
		want []string
	}{
		"nothing comes": {func(t testing.TB) { next(t, never, "the answer", soon) },
			[]string{"the answer: nothing came in 10ms", "goroutine"}},
		"a closed channel": {func(t testing.TB) { Next(t, closed, "the answer") },
			[]string{"the answer: the channel was closed"}},
		"it never holds": {func(t testing.TB) {
			until(t, "the count", func() error { return errors.New("got 3") }, soon)
		}, []string{"the count: not after 10ms: got 3"}},
		"a line too few": {func(t testing.TB) {
			l := newLines(t, "the log", stream, func() { _ = begun.Close() }, soon*100)
			l.Next()
			l.Next()
			l.Next()
		}, []string{"the log: no line 3: nothing came", "one\ntwo"}},
		"a stream that ends": {func(t testing.TB) { NewLines(t, "the log", strings.NewReader(""), func() {}).Next() },
			[]string{"the log: no line 1: EOF"}},
		"a stream that continues": {func(t testing.TB) {
			NewLines(t, "the log", strings.NewReader("more\n"), func() {}).End()
		}, []string{`the log: got "more"`}},
		"a stream that fails": {func(t testing.TB) { NewLines(t, "the log", failing{}, func() {}).End() },
			[]string{"the line is cut"}},
	} {
		t.Run(name, func(t *testing.T) {
			said := failure(t, tc.test)
			for _, want := range tc.want {
				if !strings.Contains(said, want) {
					t.Errorf("%s: got the failure %q, want %q in it", name, said, want)
				}
			}
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the line is cut") }

func TestReceivedValuesAreReturned(t *testing.T) {
	t.Parallel()
	one := make(chan int, 1)
	one <- 7
	if got := Next(t, one, "a number"); got != 7 {
		t.Errorf("got %d, want 7", got)
	}
	one <- 8
	close(one)
	Closed(t, one, "the end of the numbers")
	looks := 0
	Until(t, "the third look", func() error {
		if looks++; looks < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	lines := NewLines(t, "two lines", strings.NewReader("a\nb"), func() {})
	if got := lines.Next() + lines.Next(); got != "ab" {
		t.Errorf("got %q, want the two lines", got)
	}
	lines.End()
	if deadline, ok := Context(t).Deadline(); !ok || time.Until(deadline) > Limit {
		t.Errorf("got a context until %v, %t, want one that ends", deadline, ok)
	}
}
