package state

import (
	"errors"
	"sync"
	"time"
)

// lookEvery is how often the files are looked at, beside the log, which is looked at after every sync: what is
// acknowledged in between may be lost with a file that was removed.
const lookEvery = time.Second

// watch looks at the store's files now and then, and at those that beside looks at, until the store is closed or takes
// no more.
func (s *store) watch(beside func() error) {
	stop, ended := make(chan struct{}), make(chan struct{})
	tick := time.NewTicker(lookEvery)
	go func() {
		defer close(ended)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			if s.failed.Load() != nil {
				return
			}
			// Another error says nothing of the files: too many may be open.
			if err := errors.Join(s.look(), beside()); errors.Is(err, ErrRemoved) {
				s.fail(err)
			}
		}
	}()
	s.stopLooking = sync.OnceFunc(func() {
		close(stop)
		<-ended
	})
}
