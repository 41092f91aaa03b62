package state

import "strings"

// Split counts the registrations of a service that are assigned, by the classic host name of their hub. It counts by
// scanning.
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
			hubs[ClassicHost(r.AssignedHub)]++
		}
		return true, nil
	})
	return hubs, err
}
