package hublink_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"evenkeel/internal/await"
	"evenkeel/internal/azure/hublink"
)

// TestWaitingEndsWithTheCaller: each of these waits would take an hour, and the caller goes once it has begun.
func TestWaitingEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*hublink.Pace)
		// method is that of the request whose answer is waited after; answer gives it, when it is not the usual one.
		method string
		answer func(w http.ResponseWriter, f *fakeARM) bool
		sent   bool // the error reports what was written
	}{
		"before another try": {
			change: func(p *hublink.Pace) { p.FirstPause, p.MostPause = time.Hour, time.Hour }, method: http.MethodPut,
			answer: func(w http.ResponseWriter, _ *fakeARM) bool {
				refuse(w, 412, `{"code":412001,"message":"the etag is old"}`)
				return true
			},
		},
		"for the end of another change": {
			change: func(p *hublink.Pace) { p.FirstPause, p.MostPause = time.Hour, time.Hour }, method: http.MethodGet,
			answer: func(w http.ResponseWriter, f *fakeARM) bool {
				f.document["properties"].(map[string]any)["state"] = "Transitioning"
				_ = json.NewEncoder(w).Encode(f.document)
				return true
			},
		},
		"for the own change to settle": {change: func(p *hublink.Pace) { p.Settle = time.Hour }, method: http.MethodPut,
			sent: true},
		"for a long operation": {
			method: http.MethodPut, sent: true,
			answer: func(w http.ResponseWriter, f *fakeARM) bool {
				w.Header().Set("Azure-AsyncOperation", f.URL+serviceID+"/operation")
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusCreated)
				_ = json.NewEncoder(w).Encode(f.document)
				return true
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, answered := newFake(t), make(chan struct{}, 100)
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != test.method {
					return false
				}
				answered <- struct{}{}
				return test.answer != nil && test.answer(w, f)
			}
			pace := quick
			pace.Patience = 2 * time.Hour
			if test.change != nil {
				test.change(&pace)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := start(ctx, f.client(t, pace))
			await.Next(t, answered, "an answer")
			cancel()
			got := wait(t, ended)
			if !errors.Is(got.err, context.Canceled) || test.sent && !got.sent {
				t.Errorf("got sent %t, %v, want the cancellation, sent %t", got.sent, got.err, test.sent)
			}
		})
	}
}

// TestAWaitingLoginCanEndFirst: one change is held by Resource Manager, and the next one waits for it until it is
// cancelled.
func TestAWaitingLoginCanEndFirst(t *testing.T) {
	t.Parallel()
	f, arrived, release := newFake(t), make(chan struct{}, 1), make(chan struct{})
	f.before = func(http.ResponseWriter, *http.Request) bool {
		select {
		case arrived <- struct{}{}:
			await.Held(t, release)
		default:
		}
		return false
	}
	client := f.client(t, quick)
	first := start(t.Context(), client)
	await.Next(t, arrived, "the first change")
	ctx, cancel := context.WithCancel(t.Context())
	second := start(ctx, client)
	cancel()
	if got := wait(t, second); !errors.Is(got.err, context.Canceled) || got.sent {
		t.Errorf("the second: got sent %t, %v, want the cancellation of a change that was not sent", got.sent, got.err)
	}
	close(release)
	if got := wait(t, first); got.err != nil {
		t.Errorf("the first: got %v, want it done", got.err)
	}
}

type outcome struct {
	sent bool
	err  error
}

// start links the third hub.
func start(ctx context.Context, client *hublink.Client) <-chan outcome {
	ended := make(chan outcome, 1)
	go func() {
		result, err := client.Create(ctx, serviceID, three())
		ended <- outcome{result.Sent, err}
	}()
	return ended
}

func wait(t *testing.T, ended <-chan outcome) outcome {
	t.Helper()
	return await.Next(t, ended, "the end of the change")
}
