package requestlog_test

import (
	"fmt"
	"slices"
	"testing"

	"evenkeel/emulator/internal/requestlog"
)

func sequences(records []requestlog.Record) []uint64 {
	found := []uint64{}
	for _, r := range records {
		found = append(found, r.Seq)
	}
	return found
}

func TestLogKeepsTheLastRecordsInOrder(t *testing.T) {
	t.Parallel()
	l := requestlog.New(3)
	for _, method := range []string{"GET", "PUT", "GET", "PUT", "GET"} {
		l.Record(requestlog.Record{Surface: requestlog.ARM, Method: method})
	}
	l.Record(requestlog.Record{Surface: requestlog.Hub, Method: "GET"})
	for name, test := range map[string]struct {
		filter requestlog.Filter
		want   []uint64
	}{
		"all":         {requestlog.Filter{}, []uint64{4, 5, 6}},
		"a surface":   {requestlog.Filter{Surface: "ARM"}, []uint64{4, 5}},
		"a method":    {requestlog.Filter{Method: "put"}, []uint64{4}},
		"after":       {requestlog.Filter{After: 4}, []uint64{5, 6}},
		"nothing":     {requestlog.Filter{Surface: requestlog.Entra}, []uint64{}},
		"both":        {requestlog.Filter{Surface: requestlog.Hub, Method: "GET"}, []uint64{6}},
		"after a gap": {requestlog.Filter{After: 1}, []uint64{4, 5, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sequences(l.Records(test.filter)); !slices.Equal(got, test.want) {
				t.Errorf("%s: got %v, want %v", name, got, test.want)
			}
		})
	}
	l.Reset()
	l.Record(requestlog.Record{})
	// A follower requests the records after the last one that it has, whether or not the log was reset in between.
	for after, want := range map[uint64][]uint64{0: {7}, 6: {7}, 7: {}} {
		t.Run(fmt.Sprintf("after %d and a reset", after), func(t *testing.T) {
			if got := sequences(l.Records(requestlog.Filter{After: after})); !slices.Equal(got, want) {
				t.Errorf("after %d and a reset: got %v, want %v", after, got, want)
			}
		})
	}
}
