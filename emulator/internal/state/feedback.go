package state

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Outcome is how the delivery of a message ended, in Azure's terms. Source: "Send cloud-to-device messages from an
// IoT hub".
type Outcome string

// Outcomes of messages. The last three unlock the message instead of ending it. A device abandons a message, which is
// counted. The end of its connection releases messages that were not sent, and leaves those that were sent
// unacknowledged. Source: "Understand cloud-to-device messaging from an IoT hub".
const (
	Success               Outcome = "Success"
	Rejected              Outcome = "Rejected"
	Expired               Outcome = "Expired"
	DeliveryCountExceeded Outcome = "DeliveryCountExceeded"
	Purged                Outcome = "Purged"
	Abandoned             Outcome = ""
	Released              Outcome = "Released"
	Unacknowledged        Outcome = "Unacknowledged"
)

// Ack selects the outcomes that the sender of a message gets feedback for. Empty means AckNone.
type Ack string

// Kinds of Ack.
const (
	AckNone     Ack = "none"
	AckPositive Ack = "positive"
	AckNegative Ack = "negative"
	AckFull     Ack = "full"
)

func (a Ack) wants(o Outcome) bool {
	return a == AckFull || a == AckPositive && o == Success || a == AckNegative && o != Success
}

// Feedback reports the outcome of a message to its sender.
type Feedback struct {
	MessageID, DeviceID, GenerationID string
	Outcome                           Outcome
	// Time is when the message ended.
	Time time.Time
	// Lock is the token of the client that received the feedback. It exists only in this process.
	Lock string
}

func (f *Feedback) fields(c *codec) {
	text(c, "messageId", &f.MessageID)
	text(c, "deviceId", &f.DeviceID)
	text(c, "generationId", &f.GenerationID)
	text(c, "outcome", &f.Outcome)
	c.time("time", &f.Time)
}

// addFeedback adds the feedback on a message to b if its sender requested it. Keys are ordered by the time of the
// outcome.
func (b *batch) addFeedback(hub string, d *Device, c CloudMessage, o Outcome, now time.Time) {
	if !c.Ack.wants(o) {
		return
	}
	b.put(keyOf(tableFeedback, strings.ToLower(hub), fmt.Sprintf("%016x", now.UnixNano()), d.ID,
		fmt.Sprintf("%016x", c.Sequence)),
		&Feedback{MessageID: c.MessageID, DeviceID: d.ID, GenerationID: d.GenerationID, Outcome: o, Time: now})
}

// TakeFeedback locks up to limit unlocked records of a hub, oldest first, with one lock, which ends after lockFor or
// with SettleFeedback. Records older than keep, and records of deleted devices, are dropped. It also detects messages
// that have expired.
func (s *State) TakeFeedback(hub string, limit int, lockFor, keep time.Duration) ([]Feedback, error) {
	if err := s.expireCloudMessages(hub); err != nil {
		return nil, err
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	var taken []Feedback
	err = s.withFeedback(hub, func(key string, f Feedback, now time.Time) (drop bool) {
		switch {
		case s.locks.held(key, now):
		case now.Sub(f.Time) >= keep, !s.isCurrent(hub, f):
			return true
		case len(taken) < limit:
			s.locks.take(key, cloudMessageLock{token: token, until: now.Add(lockFor)})
			f.Lock = token
			taken = append(taken, f)
		}
		return false
	})
	return taken, err
}

// isCurrent reports whether the device of a record is still the one that the message was sent to: feedback is deleted
// with its device.
func (s *State) isCurrent(hub string, f Feedback) bool {
	var d Device
	found, err := s.store.get(deviceKey(hub, f.DeviceID), &d)
	return err != nil || found && d.GenerationID == f.GenerationID
}

// SettleFeedback ends a lock of TakeFeedback: with done its records are removed, otherwise they are unlocked. It
// returns NotFound if the lock has ended.
func (s *State) SettleFeedback(hub, lock string, done bool) error {
	found := false
	err := s.withFeedback(hub, func(key string, _ Feedback, now time.Time) (drop bool) {
		_, held := s.locks.free(key, lock, now)
		found = found || held
		return held && done
	})
	if err == nil && !found {
		err = &Error{Kind: NotFound, Object: "the lock of feedback of " + hubObject(hub), Reason: "has ended"}
	}
	return err
}

// withFeedback passes the feedback of a hub to a function, oldest first, and removes the records that the function
// selects.
func (s *State) withFeedback(hub string, each func(key string, f Feedback, now time.Time) (drop bool)) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := s.registry(hub); err != nil {
		return err
	}
	start, end := under(tableFeedback, strings.ToLower(hub))
	defer s.devices.lock(start)()
	now, b, drops := s.Now(), s.store.batch(), false
	err = s.store.scan(start, end, func(key, value []byte) (bool, error) {
		var f Feedback
		if err := decode(value, &f); err != nil {
			return false, err
		}
		if each(string(key), f, now) {
			b.delete(append([]byte(nil), key...))
			drops = true
		}
		return true, nil
	})
	if err != nil || !drops {
		return err
	}
	return s.store.commitDevices(b)
}

// expireCloudMessages drops expired messages of a hub whose senders requested feedback on that.
func (s *State) expireCloudMessages(hub string) error {
	devices, err := s.expiredCloudMessages(hub)
	for _, id := range devices {
		if err != nil {
			break
		}
		err = s.withQueue(hub, id, func(d *Device, queue []CloudMessage, b *batch) error {
			now := s.Now()
			for _, c := range queue {
				if key := cloudMessageKey(hub, id, c.Sequence); !c.Expiry.After(now) &&
					!s.locks.held(string(key), now) {
					b.delete(key)
					b.addFeedback(hub, d, c, Expired, now)
				}
			}
			return nil
		})
		if refusal := (*Error)(nil); errors.As(err, &refusal) && refusal.Kind == NotFound {
			err = nil // deleted meanwhile
		}
	}
	return err
}

// expiredCloudMessages returns the devices of a hub that have such messages.
func (s *State) expiredCloudMessages(hub string) (devices []string, err error) {
	now := s.Now()
	err = s.scanCloudMessages(hub, func(device string, c CloudMessage) {
		if !c.Expiry.After(now) && c.Ack.wants(Expired) && (len(devices) == 0 || devices[len(devices)-1] != device) {
			devices = append(devices, device)
		}
	})
	return devices, err
}
