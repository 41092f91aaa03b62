package provider_test

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
)

// messages are the provider's messages for users, by the URN of the resource: without an engine they go to the default
// logger.
type messages struct {
	slog.Handler
	mu    sync.Mutex
	byURN map[string][]string
}

var logged = &messages{Handler: slog.DiscardHandler, byURN: map[string][]string{}}

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(logged))
	os.Exit(m.Run())
}

// Enabled accepts every level.
func (*messages) Enabled(context.Context, slog.Level) bool { return true }

// Handle records a message.
func (m *messages) Handle(_ context.Context, record slog.Record) error {
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "urn" {
			m.mu.Lock()
			defer m.mu.Unlock()
			urn := a.Value.String()
			m.byURN[urn] = append(m.byURN[urn], record.Level.String()+" "+record.Message)
		}
		return true
	})
	return nil
}

// messages returns the messages about the resource since the last call.
func (m *managed) messages() []string {
	logged.mu.Lock()
	defer logged.mu.Unlock()
	list := slices.Clone(logged.byURN[string(m.urn)])
	delete(logged.byURN, string(m.urn))
	return list
}
