package state

import "strings"

// Subscription is a device's lasting wish for messages: it outlives connections, and ends with its device.
type Subscription struct {
	// QoS is the quality of service in which messages go out: 0 or 1.
	QoS byte
}

func (u *Subscription) fields(c *codec) {
	n := uint64(u.QoS)
	c.uint("qos", &n)
	u.QoS = byte(n)
}

func subscriptionKey(hub, id string) []byte {
	return keyOf(tableSubscription, strings.ToLower(hub), id)
}

// Subscription returns what a device subscribed to, and whether it did.
func (s *State) Subscription(hub, id string) (u Subscription, found bool, err error) {
	leave, err := s.enter()
	if err != nil {
		return u, false, err
	}
	defer leave()
	defer s.devices.read(deviceKey(hub, id))()
	found, err = s.store.get(subscriptionKey(hub, id), &u)
	return u, found, err
}

// PutSubscription keeps what a registered device subscribes to; nil forgets it.
func (s *State) PutSubscription(hub, id string, wanted *Subscription) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer s.devices.lock(deviceKey(hub, id))()
	key := subscriptionKey(hub, id)
	var present Subscription
	found, err := s.store.get(key, &present)
	if err != nil || found == (wanted != nil) && (!found || present == *wanted) {
		return err
	}
	b := s.store.batch()
	if wanted == nil {
		b.delete(key)
		return s.store.commit(b)
	}
	var d Device
	registered, err := s.store.get(deviceKey(hub, id), &d)
	if err != nil {
		return err
	}
	if !registered {
		return noDevice(id)
	}
	b.put(key, wanted)
	return s.store.commit(b)
}
