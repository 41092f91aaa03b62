package broker

// Listeners returns the number of listeners that the broker serves.
func (b *Broker) Listeners() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.listeners)
}
