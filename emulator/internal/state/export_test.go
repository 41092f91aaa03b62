package state

// Rows are all rows of the store, by key.
func (s *State) Rows() (map[string]string, error) {
	rows := map[string]string{}
	err := s.store.scan(following(formatKey), []byte{0xff}, func(key, value []byte) (bool, error) {
		rows[string(key)] = string(value)
		return true, nil
	})
	return rows, err
}

// Commit writes rows as one change, with suffix added to every key, past all rules of the state.
func (s *State) Commit(rows map[string]string, suffix string) error {
	b := s.store.batch()
	for key, value := range rows {
		_ = b.Set([]byte(key+suffix), []byte(value), nil)
	}
	return s.store.commitDevices(b)
}

// CommandLocks are how many messages are locked and how many queues have a number, in memory.
func (s *State) CommandLocks() (locks, numbers int) {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.locks), len(s.locks.last)
}
