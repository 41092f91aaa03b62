package iothub

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Limits of the telemetry that is stored for inspection. The first one that is reached applies.
const (
	keptMessages = 1000
	keptBytes    = 16 << 20
)

// maxMessage is the size in bytes of the largest message, as size counts it. Source: "IoT Hub quotas and throttling".
const maxMessage = 256 << 10

// Message is telemetry that a hub received.
type Message struct {
	// Host of the hub, lower case.
	Host     string `json:"host"`
	DeviceID string `json:"deviceId"`
	// Protocol is "mqtt" or "https".
	Protocol string    `json:"protocol"`
	Received time.Time `json:"received"`
	Body     []byte    `json:"body"`
	// Properties are the application's properties. System are the protocol's, under their names in the MQTT property
	// bag without "$.", for example "mid" for the message id.
	Properties map[string]string `json:"properties,omitempty"`
	System     map[string]string `json:"system,omitempty"`
}

// size counts the body, the values of system properties, and names and values of the application's, as "Create and
// read IoT Hub messages" defines it. The address that the SDK sends over HTTPS with every message is not one of these
// properties.
func (m Message) size() int {
	n := len(m.Body)
	for name, value := range m.System {
		if name != sysTo {
			n += len(value)
		}
	}
	for name, value := range m.Properties {
		n += len(name) + len(value)
	}
	return n
}

// messageOverhead is roughly the memory that a message takes in addition to its texts.
const messageOverhead = 512

// held returns the memory in bytes that the message takes, including everything that a client can make it hold.
func (m Message) held() int {
	n := messageOverhead + len(m.Body)
	for _, bag := range []map[string]string{m.System, m.Properties} {
		for name, value := range bag {
			n += messageOverhead/4 + len(name) + len(value)
		}
	}
	return n
}

// checkSize refuses a message that is too large.
func (m Message) checkSize() error {
	if m.size() > maxMessage {
		return errTooLarge
	}
	return nil
}

// inbox stores the latest messages and counts all.
type inbox struct {
	mu     sync.Mutex
	kept   []Message
	bytes  int
	counts map[string]uint64
	// followers receive new messages. A follower that is too slow is closed.
	followers map[*Follower]struct{}
}

// Limits of what may wait for a follower, in addition to the stored messages that it began with. The first one that
// is reached applies.
const (
	maxBehind      = 10_000
	maxBehindBytes = 32 << 20
)

// Follower receives the messages of a hub and a device, or of all.
type Follower struct {
	inbox        *inbox
	host, device string
	// messages is closed when the follower lags behind.
	messages chan Message
	// waiting is the size in bytes of the messages that Each has not processed yet.
	waiting atomic.Int64
}

// Each calls use with the messages in the order of their arrival, until ctx is done or use returns an error, which
// Each returns. It returns ErrBehind if too many messages wait.
func (f *Follower) Each(ctx context.Context, use func(Message) error) error {
	for {
		select {
		case m, ok := <-f.messages:
			if !ok {
				return ErrBehind
			}
			f.waiting.Add(-int64(m.held()))
			if err := use(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends the follower. Stopping again does nothing.
func (f *Follower) Stop() {
	f.inbox.mu.Lock()
	defer f.inbox.mu.Unlock()
	delete(f.inbox.followers, f)
}

func newInbox() *inbox {
	return &inbox{counts: map[string]uint64{}, followers: map[*Follower]struct{}{}}
}

// follow begins with the stored messages, or with the next one.
func (b *inbox) follow(host, device string, fromStart bool) *Follower {
	f := &Follower{inbox: b, host: host, device: device, messages: make(chan Message, keptMessages+maxBehind)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if fromStart {
		for _, m := range b.kept {
			if m.of(host, device) {
				f.waiting.Add(int64(m.held()))
				f.messages <- m
			}
		}
	}
	b.followers[f] = struct{}{}
	return f
}

// notify passes a message to the followers. b.mu is held.
func (b *inbox) notify(m Message) {
	for f := range b.followers {
		if !m.of(f.host, f.device) {
			continue
		}
		if f.waiting.Add(int64(m.held())) <= keptBytes+maxBehindBytes {
			select {
			case f.messages <- m:
				continue
			default:
			}
		}
		close(f.messages)
		delete(b.followers, f)
	}
}

// of reports whether a message is of a hub and a device. Empty ones match all.
func (m Message) of(host, device string) bool {
	return (host == "" || strings.EqualFold(m.Host, host)) && (device == "" || m.DeviceID == device)
}

func (b *inbox) add(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts[m.Host]++
	b.notify(m)
	b.kept = append(b.kept, m)
	b.bytes += m.held()
	first := 0
	for len(b.kept)-first > keptMessages || b.bytes > keptBytes {
		b.bytes -= b.kept[first].held()
		b.kept[first] = Message{}
		first++
	}
	b.kept = b.kept[first:]
}

func (b *inbox) messages(host, device string) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := []Message{}
	for _, m := range b.kept {
		if m.of(host, device) {
			found = append(found, m)
		}
	}
	return found
}

func (b *inbox) received(host string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts[strings.ToLower(host)]
}

func (b *inbox) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept, b.bytes, b.counts = nil, 0, map[string]uint64{}
}

// parseBag parses the property bag of a topic: URL-encoded pairs; names of the protocol's properties begin with "$.".
// A key without "=" has a null value, stored as empty. An empty bag gives nil maps.
//
// Text that is not URL-encoded is kept as it is, as Microsoft's own parser of that format does
// (UrlEncodedDictionarySerializer of azure-iot-sdk-csharp, by Uri.UnescapeDataString). Fidelity: what IoT Hub does is
// unsure.
func parseBag(bag string) (properties, system map[string]string) {
	bag = strings.TrimPrefix(bag, "?")
	for pair := range strings.SplitSeq(bag, "&") {
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, value := unescape(rawKey), unescape(rawValue)
		if name, ok := strings.CutPrefix(key, "$."); ok {
			system = set(system, name, value)
		} else {
			properties = set(properties, key, value)
		}
	}
	return properties, system
}

// escapes are consecutive percent-encoded bytes, which together may be characters of UTF-8.
var escapes = regexp.MustCompile(`(?:%[0-9A-Fa-f]{2})+`)

// unescape decodes percent-encoded UTF-8 and keeps everything else. A plus sign, which a form would decode to a
// space, is kept.
func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(run string) string {
		if decoded, err := url.PathUnescape(run); err == nil && utf8.ValidString(decoded) {
			return decoded
		}
		return run
	})
}

func set(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}
