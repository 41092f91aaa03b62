package state

import "github.com/cockroachdb/pebble/v2/vfs"

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

// HearFailure is what the state does when the database fails in its own work.
func (s *State) HearFailure(err error) { s.store.listener().BackgroundError(err) }

// Reuse makes a log out of an old one, as the database does.
func (s *State) Reuse(from, to string) error {
	f, err := s.store.disk.ReuseForWrite(from, to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return f.Close()
}

// Look looks at the files of the store, as the state does now and then.
func (s *State) Look() error { return s.store.look() }

// CloudMessageLocks are how many messages are locked and how many queues have a number, in memory.
func (s *State) CloudMessageLocks() (locks, numbers int) {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.locks), len(s.locks.last)
}
