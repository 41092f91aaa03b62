package state

import (
	"maps"
	"slices"
	"strings"
)

// Subscription is a kind of message that a device subscribes to.
type Subscription string

// Subscriptions of devices.
const (
	SubscriptionMessages    Subscription = "messages"
	SubscriptionMethods     Subscription = "methods"
	SubscriptionTwinAnswers Subscription = "twinAnswers"
	SubscriptionDesired     Subscription = "desired"
)

// Subscriptions are the subscriptions that a device keeps across connections, each with its quality of service: 0 or
// 1. They are deleted with the device.
type Subscriptions map[Subscription]byte

func (u *Subscriptions) fields(c *codec) {
	type granted struct {
		subscription Subscription
		qos          uint64
	}
	var all []granted
	for _, subscription := range slices.Sorted(maps.Keys(*u)) {
		all = append(all, granted{subscription, uint64((*u)[subscription])})
	}
	// Snapshots contain these names, and old snapshots must stay readable.
	list(c, "wishes", &all, func(g *granted) {
		text(c, "wish", &g.subscription)
		c.uint("qos", &g.qos)
	})
	if c.reading && all != nil {
		*u = make(Subscriptions, len(all))
		for _, g := range all {
			(*u)[g.subscription] = byte(g.qos)
		}
	}
}

func subscriptionKey(hub, id string) []byte {
	return keyOf(tableSubscription, strings.ToLower(hub), id)
}

// Subscriptions returns the subscriptions of a device, empty if it has none.
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

// PutSubscription stores a subscription of a registered device.
func (s *State) PutSubscription(hub, id string, subscription Subscription, qos byte) error {
	return s.changeSubscriptions(hub, id, func(u Subscriptions) { u[subscription] = qos })
}

// DropSubscription deletes a subscription of a device.
func (s *State) DropSubscription(hub, id string, subscription Subscription) error {
	return s.changeSubscriptions(hub, id, func(u Subscriptions) { delete(u, subscription) })
}

// DropSubscriptions deletes all subscriptions of a device.
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
