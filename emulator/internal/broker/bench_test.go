package broker_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"evenkeel/emulator/internal/broker"
)

// BenchmarkConversation is what a registering device does, without TLS and without the work behind it: connect,
// subscribe, publish, read the answer, leave.
func BenchmarkConversation(b *testing.B) {
	s := serve(b, func(o *broker.Options) { o.Log = nil })
	go func() {
		for range s.front.events {
		}
	}()
	var names atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := s.connect(b, "ours/"+strconv.FormatInt(names.Add(1), 10))
			c.subscribe([]string{"echo/#"}, 1)
			c.publish("echo/1", "hello", 1)
			c.read()
			c.read()
			_ = c.Close()
		}
	})
}
