package iothub

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestTheMemoryForTelemetryIsLimitedBySize: properties count like bodies, both for the stored messages and for a
// follower that does not read.
func TestTheMemoryForTelemetryIsLimitedBySize(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 200<<10)
	many := map[string]string{}
	for i := range 2000 {
		many[fmt.Sprint("name-", i)] = strings.Repeat("x", 100)
	}
	for name, m := range map[string]Message{
		"a body":               {Body: []byte(large)},
		"an application's":     {Properties: map[string]string{"a": large}},
		"the protocol's":       {System: map[string]string{"mid": large}},
		"an address":           {System: map[string]string{sysTo: large}},
		"a name":               {Properties: map[string]string{large: ""}},
		"many small ones":      {Properties: many},
		"nothing but a device": {DeviceID: "d"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newInbox()
			stalled := b.follow("", "", true)
			for range 2 * (keptMessages + maxBehind) {
				b.add(m)
				if len(b.followers) == 0 && len(b.kept) > 0 && b.counts[""] > 2*keptMessages {
					break
				}
			}
			if held := len(b.kept) * m.held(); held > keptBytes || len(b.kept) == 0 || len(b.kept) > keptMessages {
				t.Errorf("%s: got %d messages of %d bytes remembered, want at most %d bytes", name, len(b.kept), held,
					keptBytes)
			}
			if waiting := len(stalled.messages) * m.held(); waiting > keptBytes+maxBehindBytes {
				t.Errorf("%s: got %d bytes waiting for a follower that does not read, want at most %d", name, waiting,
					keptBytes+maxBehindBytes)
			}
			if err := stalled.Each(t.Context(), func(Message) error { return nil }); !errors.Is(err, ErrBehind) {
				t.Errorf("%s: got %v for the follower, want %v", name, err, ErrBehind)
			}
			reading := b.follow("", "", false)
			for range 200 { // more than may wait, sequentially
				b.add(m)
				if got := <-reading.messages; got.DeviceID != m.DeviceID {
					t.Fatalf("%s: got %v", name, got.DeviceID)
				}
				reading.waiting.Add(-int64(m.held()))
			}
			if len(b.followers) != 1 || reading.waiting.Load() != 0 {
				t.Errorf("%s: got a follower that reads closed, with %d bytes waiting", name, reading.waiting.Load())
			}
		})
	}
}
