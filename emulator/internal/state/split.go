package state

import "strings"

// Split counts the assigned registrations of a service by the host of their hub. It scans them.
func (s *State) Split(svc string) (map[string]int, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	if _, err := s.scope(svc); err != nil {
		return nil, err
	}
	hubs := map[string]int{}
	start, end := under(tableRegistration, strings.ToLower(svc))
	err = s.store.scan(start, end, func(_, value []byte) (bool, error) {
		var r record
		if err := decode(value, &r); err != nil {
			return false, err
		}
		if r.Status == Assigned {
			hubs[strings.ToLower(r.AssignedHub)]++
		}
		return true, nil
	})
	return hubs, err
}
