package state

import (
	"maps"
	"slices"
	"strings"
)

// Wish is what a device wants to be sent.
type Wish string

// The wishes of a device.
const (
	WishMessages    Wish = "messages"
	WishMethods     Wish = "methods"
	WishTwinAnswers Wish = "twinAnswers"
	WishDesired     Wish = "desired"
)

// Subscriptions are a device's lasting wishes, each with the quality of service in which to send: 0 or 1. They outlive connections, and end
// with their device.
type Subscriptions map[Wish]byte

func (u *Subscriptions) fields(c *codec) {
	type wanted struct {
		wish Wish
		qos  uint64
	}
	var all []wanted
	for _, wish := range slices.Sorted(maps.Keys(*u)) {
		all = append(all, wanted{wish, uint64((*u)[wish])})
	}
	list(c, "wishes", &all, func(w *wanted) {
		text(c, "wish", &w.wish)
		c.uint("qos", &w.qos)
	})
	if c.reading && all != nil {
		*u = make(Subscriptions, len(all))
		for _, w := range all {
			(*u)[w.wish] = byte(w.qos)
		}
	}
}

func subscriptionKey(hub, id string) []byte {
	return keyOf(tableSubscription, strings.ToLower(hub), id)
}

// Subscriptions returns what a device subscribed to; empty when to nothing.
func (s *State) Subscriptions(hub, id string) (Subscriptions, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	defer s.devices.read(deviceKey(hub, id))()
	var u Subscriptions
	_, err = s.store.get(subscriptionKey(hub, id), &u)
	return u, err
}

// PutSubscription keeps a wish of a registered device.
func (s *State) PutSubscription(hub, id string, wish Wish, qos byte) error {
	return s.changeSubscriptions(hub, id, func(u Subscriptions) { u[wish] = qos })
}

// DropSubscription forgets a wish of a device.
func (s *State) DropSubscription(hub, id string, wish Wish) error {
	return s.changeSubscriptions(hub, id, func(u Subscriptions) { delete(u, wish) })
}

// DropSubscriptions forgets all wishes of a device.
func (s *State) DropSubscriptions(hub, id string) error {
	return s.changeSubscriptions(hub, id, func(u Subscriptions) { clear(u) })
}

// changeSubscriptions writes only what changed.
func (s *State) changeSubscriptions(hub, id string, change func(Subscriptions)) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer s.devices.lock(deviceKey(hub, id))()
	key := subscriptionKey(hub, id)
	var before Subscriptions
	if _, err := s.store.get(key, &before); err != nil {
		return err
	}
	after := Subscriptions{}
	maps.Copy(after, before)
	change(after)
	if maps.Equal(before, after) {
		return nil
	}
	b := s.store.batch()
	if len(after) == 0 {
		b.delete(key)
		return s.store.commitDevices(b)
	}
	var d Device
	registered, err := s.store.get(deviceKey(hub, id), &d)
	if err != nil {
		return err
	}
	if !registered {
		return noDevice(id)
	}
	b.put(key, &after)
	return s.store.commitDevices(b)
}
