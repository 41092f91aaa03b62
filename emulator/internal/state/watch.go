package state

import (
	"errors"
	"sync"
	"time"
)

// lookEvery is how often the files are checked, other than the log, which is checked after every sync. If a file is
// removed, changes that are acknowledged in between may be lost.
const lookEvery = time.Second

// watch checks the store's files, and those of Options.Beside, from time to time until the store is closed or
// read-only.
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
			// Other errors do not mean that the file is missing: for example, too many files may be open.
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
