package dpsservice_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"evenkeel/dpsservice"
	"evenkeel/internal/await"
)

// endingContext ends on demand, but too late for a request that waits for its end: as when the answer and a
// cancellation arrive at the same time.
type endingContext struct {
	context.Context
	ended atomic.Bool
}

func (c *endingContext) Err() error {
	if c.ended.Load() {
		return context.Canceled
	}
	return c.Context.Err()
}

// TestAnAnswerThatArrivesWithACancellationCounts: the client returns what the service acknowledged, although the
// context has ended since.
func TestAnAnswerThatArrivesWithACancellationCounts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status          int
		done, uncertain bool
	}{
		"done":      {status: http.StatusOK, done: true},
		"refused":   {status: http.StatusUnauthorized},
		"throttled": {status: http.StatusTooManyRequests},
		"a fault":   {status: http.StatusInternalServerError, uncertain: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := &endingContext{Context: t.Context()}
			var calls atomic.Int32
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				ctx.ended.Store(true)
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, `{"errors":[{"registrationId":"b","errorCode":409201}]}`)
			})
			result, err := client.Individuals().Bulk(ctx, dpsservice.BulkCreate,
				[]dpsservice.Enrollment{{ID: "a"}, {ID: "b"}})
			if test.done != (err == nil && len(result.Failures) == 1) ||
				errors.Is(err, dpsservice.ErrUncertain) != test.uncertain {
				t.Errorf("got %v, %v; want done %t, uncertain %t", result, err, test.done, test.uncertain)
			}
			if test.status == http.StatusUnauthorized && !errors.Is(err, dpsservice.ErrUnauthorized) {
				t.Errorf("got %v, want the refusal", err)
			}
			if got := calls.Load(); got != 1 {
				t.Errorf("got %d calls, want one: the operation is over", got)
			}
		})
	}
}

// TestACancelledCallEndsAtOnce: the call ends while the server still holds it, and before the pause that the
// server asked for is over.
func TestACancelledCallEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]func(w http.ResponseWriter, release <-chan struct{}){
		"an answer that does not come": func(_ http.ResponseWriter, release <-chan struct{}) { <-release },
		"an answer that comes in part": func(w http.ResponseWriter, release <-chan struct{}) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"registrationId":`)
			_ = http.NewResponseController(w).Flush()
			<-release
		},
		"a pause after 429": func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"a pause after 503": func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release, arrived := make(chan struct{}), make(chan struct{}, 1)
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				arrived <- struct{}{}
				held(w, release)
			})
			defer close(release) // before the server closes, which waits for its requests
			endsWhenCancelled(t, arrived, func(ctx context.Context) error {
				_, err := client.Individuals().Get(ctx, "a")
				return err
			})
		})
	}
	t.Run("a server that sends nothing", func(t *testing.T) {
		t.Parallel()
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		client, err := dpsservice.New(dpsservice.Options{Host: host, PolicyName: "enrollments", Key: key,
			Endpoint: "https://" + silent.Addr().String()})
		if err != nil {
			t.Fatal(err)
		}
		arrived := make(chan struct{})
		go func() {
			connection, err := silent.Accept()
			if err == nil {
				defer connection.Close()
				close(arrived)
				<-t.Context().Done() // no TLS handshake
			}
		}()
		endsWhenCancelled(t, arrived, func(ctx context.Context) error {
			_, err := client.Individuals().Get(ctx, "a")
			return err
		})
	})
	t.Run("a turn under the rate limit", func(t *testing.T) {
		t.Parallel()
		arrived := make(chan struct{}, 1)
		client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			arrived <- struct{}{}
			_, _ = io.WriteString(w, `{}`)
		}, func(o *dpsservice.Options) { o.RateLimit = 1 })
		endsWhenCancelled(t, arrived, func(ctx context.Context) error {
			for { // the second one waits for a minute
				if _, err := client.Individuals().Get(ctx, "a"); err != nil {
					return err
				}
			}
		})
	})
}

// endsWhenCancelled cancels a call that has arrived, and fails unless the call then ends.
func endsWhenCancelled(t *testing.T, arrived <-chan struct{}, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- call(ctx) }()
	enough := time.After(await.Limit)
	select {
	case <-arrived:
	case <-enough:
		t.Fatal("the call never arrived")
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the cancellation", err)
		}
	case <-enough:
		t.Fatal("the call still runs after it was cancelled")
	}
}
