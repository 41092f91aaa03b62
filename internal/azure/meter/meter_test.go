package meter_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"evenkeel/internal/azure/meter"
)

// refusing answers the first requests with 500, and then with 200.
type refusing struct{ left int }

func (r *refusing) Do(request *http.Request) (*http.Response, error) {
	answer := &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: request, Header: http.Header{}}
	if r.left > 0 {
		r.left--
		answer.StatusCode = http.StatusInternalServerError
	}
	return answer, nil
}

func pipeline(failures int, policies ...policy.Policy) runtime.Pipeline {
	return runtime.NewPipeline("test", "v1", runtime.PipelineOptions{PerRetry: policies}, &policy.ClientOptions{
		Transport: &refusing{failures}, Retry: policy.RetryOptions{RetryDelay: time.Nanosecond},
	})
}

func get(ctx context.Context, t *testing.T, p runtime.Pipeline) error {
	t.Helper()
	request, err := runtime.NewRequest(ctx, http.MethodGet, "https://example.com/")
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Do(request)
	return err
}

func TestRetriesAreCounted(t *testing.T) {
	t.Parallel()
	var counter meter.Counter
	p := pipeline(2, &counter)
	for range 2 {
		if err := get(t.Context(), t, p); err != nil {
			t.Fatal(err)
		}
	}
	if got := counter.Sent(); got != 4 {
		t.Errorf("got %d requests, want 2 calls and 2 retries", got)
	}
}

// A tenth of a minute's requests goes at once; the next one would have to wait, which the end of the context shows.
func TestRequestsBeyondThePaceWait(t *testing.T) {
	t.Parallel()
	var counter meter.Counter
	p := pipeline(0, meter.Pace(20), &counter)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // one request takes three
	defer cancel()
	for range 2 {
		if err := get(ctx, t, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := get(ctx, t, p); err == nil || errors.Is(err, context.Canceled) || counter.Sent() != 2 {
		t.Errorf("got %v after %d requests, want the third to wait longer than its context", err, counter.Sent())
	}
}

func TestNoPaceDoesNotWait(t *testing.T) {
	t.Parallel()
	p := pipeline(0, meter.Pace(0))
	for range 500 {
		if err := get(t.Context(), t, p); err != nil {
			t.Fatal(err)
		}
	}
}
