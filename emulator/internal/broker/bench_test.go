package broker_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"evenkeel/emulator/internal/broker"
)

// BenchmarkConversation is the conversation of a registering device, without TLS and without the work of a
// registration: connect, subscribe, publish, read the answer, disconnect.
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
