package state

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// MaxCloudMessages is the largest number of cloud-to-device messages in a device's queue. Source: "IoT Hub quotas and
// throttling".
const MaxCloudMessages = 50

// CloudMessage is a cloud-to-device message in its device's queue.
type CloudMessage struct {
	// Sequence orders the messages in a queue. It is not reused while the process runs.
	Sequence uint64
	// System are the properties of the protocol, under names that the surface chooses. Properties are the
	// application's.
	System, Properties map[string]string
	Body               []byte
	// MessageID is the sender's id for the message, which its feedback carries. Ack selects the outcomes that the
	// sender gets feedback for.
	MessageID string
	Ack       Ack
	// Enqueued is when the message was accepted. After Expiry it is no longer delivered.
	Enqueued, Expiry time.Time
	// Deliveries counts how often the device abandoned the message.
	Deliveries int64
	// Lock is the token of the client that received the message. Locks exist only in this process: a restart unlocks
	// every message.
	Lock string
	// Resent reports that the message was sent over an earlier connection and not acknowledged. A restart forgets
	// that.
	Resent bool
}

// fields omits the sequence, which is part of the key.
func (m *CloudMessage) fields(c *codec) {
	c.tags("system", &m.System)
	c.tags("properties", &m.Properties)
	c.bytes("body", &m.Body)
	c.time("enqueued", &m.Enqueued)
	c.time("expiry", &m.Expiry)
	c.int("deliveries", &m.Deliveries)
	text(c, "messageId", &m.MessageID)
	text(c, "ack", &m.Ack)
}

// cloudMessageLocks are the messages that are received but not settled, by row key.
type cloudMessageLocks struct {
	mu    sync.Mutex
	locks map[string]cloudMessageLock
	// last are the latest sequence numbers of the queues, by key prefix.
	last map[string]uint64
	// unacknowledged are the messages that were sent over a connection and not acknowledged, by row key.
	unacknowledged map[string]struct{}
}

func newCloudMessageLocks() cloudMessageLocks {
	return cloudMessageLocks{
		locks: make(map[string]cloudMessageLock), last: make(map[string]uint64),
		unacknowledged: make(map[string]struct{}),
	}
}

type cloudMessageLock struct {
	token string
	// until is zero for a lock that ends only when the message is settled.
	until time.Time
	// maxDeliveries is how often the message may be abandoned.
	maxDeliveries int64
}

func (l *cloudMessageLocks) held(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock, ok := l.locks[key]
	if ok && !lock.until.IsZero() && !now.Before(lock.until) {
		delete(l.locks, key)
		return false
	}
	return ok
}

// take locks a message and reports whether it was sent over an earlier connection and not acknowledged.
func (l *cloudMessageLocks) take(key string, lock cloudMessageLock) (resent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.locks[key] = lock
	_, resent = l.unacknowledged[key]
	return resent
}

// settled records the outcome of a message whose lock has ended.
func (l *cloudMessageLocks) settled(key string, outcome Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch outcome {
	case Unacknowledged:
		l.unacknowledged[key] = struct{}{}
	case Abandoned, Released:
	default:
		delete(l.unacknowledged, key)
	}
}

// free removes a lock and returns it. It returns false if token is not the current lock.
func (l *cloudMessageLocks) free(key, token string, now time.Time) (cloudMessageLock, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock, ok := l.locks[key]
	if ok && !lock.until.IsZero() && !now.Before(lock.until) {
		delete(l.locks, key)
		return lock, false
	}
	if !ok || lock.token != token {
		return lock, false
	}
	delete(l.locks, key)
	return lock, true
}

// number returns the next sequence number of a queue whose last message has the number waits. Source: "A number
// (unique per device-queue)", in "Create and read IoT Hub messages". Fidelity: after a restart, numbers begin with 1
// again if the queue is empty.
func (l *cloudMessageLocks) number(queue string, waits uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := max(l.last[queue], waits) + 1
	l.last[queue] = next
	return next
}

// drop forgets the locks of a queue whose device still exists.
func (l *cloudMessageLocks) drop(prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.locks, func(key string, _ cloudMessageLock) bool { return strings.HasPrefix(key, prefix) })
	maps.DeleteFunc(l.unacknowledged, func(key string, _ struct{}) bool { return strings.HasPrefix(key, prefix) })
}

// forget forgets queues of deleted devices, including their numbers, or everything if the prefix is empty.
func (l *cloudMessageLocks) forget(prefix string) {
	l.drop(prefix)
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.last, func(queue string, _ uint64) bool { return strings.HasPrefix(queue, prefix) })
}

func cloudMessageKey(hub, id string, sequence uint64) []byte {
	return keyOf(tableCloudMessage, strings.ToLower(hub), id, fmt.Sprintf("%016x", sequence))
}

// queue returns the messages of a device, oldest first. The caller holds the device's lock.
func (s *State) queue(hub, id string) ([]CloudMessage, error) {
	var out []CloudMessage
	start, end := under(tableCloudMessage, strings.ToLower(hub), id)
	err := s.store.scan(start, end, func(key, value []byte) (bool, error) {
		var c CloudMessage
		if err := decode(value, &c); err != nil {
			return false, err
		}
		if _, err := fmt.Sscanf(string(key[len(key)-16:]), "%016x", &c.Sequence); err != nil {
			return false, fmt.Errorf("%w (the key of a message)", ErrCorrupt)
		}
		out = append(out, c)
		return true, nil
	})
	return out, err
}

// withQueue calls do with a device, which must exist, and its queue, and commits the batch that do fills.
func (s *State) withQueue(hub, id string, do func(d *Device, queue []CloudMessage, b *batch) error) error {
	leave, err := s.lockDevice(hub, id)
	if err != nil {
		return err
	}
	defer leave()
	var d Device
	found, err := s.store.get(deviceKey(hub, id), &d)
	if err != nil {
		return err
	}
	if !found {
		return noDevice(id)
	}
	queue, err := s.queue(hub, id)
	if err != nil {
		return err
	}
	b := s.store.batch()
	if err := do(&d, queue, b); err != nil {
		return err
	}
	return s.store.commitDevices(b)
}

// QueueCloudMessage adds a message to the queue of a device, connected or not. It returns Quota if the queue holds
// MaxCloudMessages, not counting expired ones.
func (s *State) QueueCloudMessage(hub, id string, c CloudMessage) (CloudMessage, error) {
	err := s.withQueue(hub, id, func(_ *Device, queue []CloudMessage, b *batch) error {
		now := s.Now()
		c.Enqueued, c.Deliveries, c.Lock = now, 0, ""
		waiting, last := 0, uint64(0)
		for _, before := range queue {
			last = before.Sequence
			if before.Expiry.After(now) {
				waiting++
			}
		}
		if waiting >= MaxCloudMessages {
			return &Error{Kind: Quota, Object: "the queue of " + deviceObject(id),
				Reason: fmt.Sprintf("holds %d messages already", MaxCloudMessages)}
		}
		start, _ := under(tableCloudMessage, strings.ToLower(hub), id)
		c.Sequence = s.locks.number(string(start), last)
		b.put(cloudMessageKey(hub, id, c.Sequence), &c)
		return nil
	})
	return c, err
}

// TakeCloudMessage locks the oldest unlocked message and reports whether there was one. The lock ends after lockFor,
// or only with SettleCloudMessage if lockFor is zero. Expired messages are dropped; a message that is abandoned
// maxDeliveries times will be dropped.
func (s *State) TakeCloudMessage(hub, id string, lockFor time.Duration, maxDeliveries int64) (taken CloudMessage,
	ok bool, err error) {
	err = s.withQueue(hub, id, func(d *Device, queue []CloudMessage, b *batch) error {
		now := s.Now()
		for _, c := range queue {
			key := cloudMessageKey(hub, id, c.Sequence)
			if s.locks.held(string(key), now) {
				continue
			}
			if !c.Expiry.After(now) {
				b.delete(key)
				b.addFeedback(hub, d, c, Expired, now)
				s.locks.settled(string(key), Expired)
				continue
			}
			token, err := s.token()
			if err != nil {
				return err
			}
			c.Lock = token
			lock := cloudMessageLock{token: token, maxDeliveries: maxDeliveries}
			if lockFor > 0 {
				lock.until = now.Add(lockFor)
			}
			c.Resent = s.locks.take(string(key), lock)
			taken, ok = c, true
			return nil
		}
		return nil
	})
	return taken, ok && err == nil, err
}

// token returns a lock token: 16 random bytes in hex.
func (s *State) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return "", fmt.Errorf("generate lock token: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// SettleCloudMessage ends the lock of a message. Success and Rejected remove the message; Abandoned, Released and
// Unacknowledged unlock it. A message that is abandoned too often ends as DeliveryCountExceeded. It returns NotFound
// if the lock has ended.
func (s *State) SettleCloudMessage(hub, id, lock string, outcome Outcome) error {
	return s.withQueue(hub, id, func(d *Device, queue []CloudMessage, b *batch) error {
		now := s.Now()
		for _, c := range queue {
			key := cloudMessageKey(hub, id, c.Sequence)
			held, ok := s.locks.free(string(key), lock, now)
			if !ok {
				continue
			}
			if outcome == Abandoned {
				if c.Deliveries++; c.Deliveries < held.maxDeliveries {
					b.put(key, &c)
					return nil
				}
				outcome = DeliveryCountExceeded
			}
			s.locks.settled(string(key), outcome)
			if outcome != Released && outcome != Unacknowledged {
				b.delete(key)
				b.addFeedback(hub, d, c, outcome, now)
			}
			return nil
		}
		return &Error{Kind: NotFound, Object: "the lock of a message to " + deviceObject(id), Reason: "has ended"}
	})
}

// PurgeCloudMessages drops all messages of a device, locked or not, and returns their number.
func (s *State) PurgeCloudMessages(hub, id string) (n int, err error) {
	err = s.withQueue(hub, id, func(d *Device, queue []CloudMessage, b *batch) error {
		n = len(queue)
		now := s.Now()
		for _, c := range queue {
			b.addFeedback(hub, d, c, Purged, now)
		}
		start, _ := under(tableCloudMessage, strings.ToLower(hub), id)
		s.locks.drop(string(start))
		return s.emptyQueue(b, hub, id)
	})
	return n, err
}

// dropQueue adds the removal of a deleted device's queue to b. The caller holds the device's lock and commits b.
func (s *State) dropQueue(b *batch, hub, id string) error {
	start, _ := under(tableCloudMessage, strings.ToLower(hub), id)
	s.locks.forget(string(start))
	return s.emptyQueue(b, hub, id)
}

func (s *State) emptyQueue(b *batch, hub, id string) error {
	queue, err := s.queue(hub, id)
	for _, c := range queue {
		b.delete(cloudMessageKey(hub, id, c.Sequence))
	}
	return err
}

// CloudMessages returns the queued messages of a device, oldest first, including locked ones but not expired ones.
func (s *State) CloudMessages(hub, id string) ([]CloudMessage, error) {
	leave, err := s.readDevice(hub, id)
	if err != nil {
		return nil, err
	}
	defer leave()
	queue, err := s.queue(hub, id)
	now := s.Now()
	return slices.DeleteFunc(queue, func(c CloudMessage) bool { return !c.Expiry.After(now) }), err
}

// CloudMessageCounts returns the number of queued messages of each device of a hub, by id. Devices without messages
// are omitted.
func (s *State) CloudMessageCounts(hub string) (map[string]int, error) {
	now, counts := s.Now(), map[string]int{}
	err := s.scanCloudMessages(hub, func(device string, c CloudMessage) {
		if c.Expiry.After(now) {
			counts[device]++
		}
	})
	return counts, err
}

// scanCloudMessages calls its function for all messages of a hub, grouped by device.
func (s *State) scanCloudMessages(hub string, each func(device string, c CloudMessage)) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	start, end := under(tableCloudMessage, strings.ToLower(hub))
	return s.store.scan(start, end, func(key, value []byte) (bool, error) {
		var c CloudMessage
		if err := decode(value, &c); err != nil {
			return false, err
		}
		each(string(key[len(start):len(key)-17]), c) // before a separator and 16 digits
		return true, nil
	})
}
