package state

import "sync"

// DesiredChange is a change of a twin's desired properties.
type DesiredChange struct {
	Hub, DeviceID string
	// Patch is a JSON object that merges into the new desired properties: as sent or, after a replacement, all of them
	// and a null for each that is gone (Azure/azure-iot-sdk-csharp issue 954). Version is the version after the change.
	Patch   []byte
	Version int64
}

// feed passes changes to listeners, one at a time, on its own goroutine.
type feed struct {
	mu        sync.Mutex
	listeners map[int]func(DesiredChange)
	next      int
	queue     []DesiredChange
	wake      chan struct{} // holds one token if there may be work
	closed    bool
	done      chan struct{}
}

func newFeed() *feed {
	f := &feed{listeners: make(map[int]func(DesiredChange)), wake: make(chan struct{}, 1), done: make(chan struct{})}
	go f.run()
	return f
}

func (f *feed) run() {
	defer close(f.done)
	for range f.wake {
		f.mu.Lock()
		changes, closed := f.queue, f.closed
		f.queue = nil
		f.mu.Unlock()
		for _, c := range changes {
			for _, listener := range f.present() {
				listener(c)
			}
		}
		if closed {
			return
		}
	}
}

func (f *feed) present() []func(DesiredChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []func(DesiredChange)
	for _, listener := range f.listeners {
		out = append(out, listener)
	}
	return out
}

// push queues a change. The caller holds the twin's lock, which preserves the order.
func (f *feed) push(c DesiredChange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.listeners) == 0 {
		return
	}
	f.queue = append(f.queue, c)
	f.signal()
}

func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close delivers what is queued and ends the feed. It may be called again.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.signal()
	f.mu.Unlock()
	<-f.done
}

// OnDesired calls f after each synced change of desired properties, one at a time and in the order of each twin's
// versions, until stop is called. f may call the state, but not Close. Other changes wait while f runs, so f should
// not wait for a network.
func (s *State) OnDesired(f func(DesiredChange)) (stop func()) {
	d := s.desired
	d.mu.Lock()
	defer d.mu.Unlock()
	id := d.next
	d.next++
	d.listeners[id] = f
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.listeners, id)
	}
}
