package state

import "github.com/cockroachdb/pebble/v2/vfs"

// Rows returns all rows of the store by key.
func (s *State) Rows() (map[string]string, error) {
	rows := map[string]string{}
	err := s.store.scan(following(formatKey), []byte{0xff}, func(key, value []byte) (bool, error) {
		rows[string(key)] = string(value)
		return true, nil
	})
	return rows, err
}

// Commit writes rows as one change, with suffix appended to every key, without the checks of the state.
func (s *State) Commit(rows map[string]string, suffix string) error {
	b := s.store.batch()
	for key, value := range rows {
		_ = b.Set([]byte(key+suffix), []byte(value), nil)
	}
	return s.store.commitDevices(b)
}

// HearFailure calls the state's function for failures of the database's own work.
func (s *State) HearFailure(err error) { s.store.listener().BackgroundError(err) }

// Reuse makes a log from an old one, as the database does.
func (s *State) Reuse(from, to string) error {
	f, err := s.store.disk.ReuseForWrite(from, to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return f.Close()
}

// Look runs the state's periodic check of its files.
func (s *State) Look() error { return s.store.look() }

// CloudMessageLocks returns how many messages are locked and how many queues have a number, in memory.
func (s *State) CloudMessageLocks() (locks, numbers int) {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.locks), len(s.locks.last)
}
