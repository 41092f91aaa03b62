// Package requestlog stores the latest requests that the emulator answered, so that tests and users can see what a
// client sent.
//
// It never holds a body, a header, a key or a token: only the request line and the status. It is not an audit log:
// its size is limited, and it is lost when the process ends.
package requestlog

import (
	"strings"
	"sync"
	"time"
)

// Surface names a front of the emulator in records and holds.
type Surface string

// Surfaces of the emulator.
const (
	ARM        Surface = "arm"
	Entra      Surface = "entra"
	DPSService Surface = "dps-service"
	DPSDevice  Surface = "dps-device"
	Hub        Surface = "hub"
	MQTTDPS    Surface = "mqtt-dps"
	MQTTHub    Surface = "mqtt-hub"
)

// Surfaces lists all surfaces.
var Surfaces = []Surface{ARM, Entra, DPSService, DPSDevice, Hub, MQTTDPS, MQTTHub}

// Record is a request and its status.
type Record struct {
	// Seq counts from 1 in the order of the answers, without gaps, while the process runs.
	Seq     uint64  `json:"seq"`
	Surface Surface `json:"surface"`
	// Method is the HTTP method, or CONNECT, SUBSCRIBE, PUBLISH of MQTT.
	Method string `json:"method"`
	// Host is the requested host without its port; for MQTT the host in the user name, if any.
	Host string `json:"host,omitempty"`
	// Path is the path with its query, or the MQTT topic.
	Path       string        `json:"path"`
	APIVersion string        `json:"apiVersion,omitempty"`
	Status     int           `json:"status"`
	Start      time.Time     `json:"start"`
	Duration   time.Duration `json:"durationNs"`
}

// Recorder receives records. Log is the emulator's.
type Recorder interface {
	Record(Record)
}

// Log is a list of records of limited size. Its methods may be called concurrently.
type Log struct {
	mu    sync.Mutex
	ring  []Record
	next  int // index of the next record
	count uint64
}

// New returns a log that keeps the latest capacity records.
func New(capacity int) *Log {
	return &Log{ring: make([]Record, 0, capacity)}
}

// Record stores r with the next sequence number and without the secrets in its path, and drops the oldest record if
// the log is full.
func (l *Log) Record(r Record) {
	r.Path = Redact(r.Path)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	r.Seq = l.count
	if len(l.ring) < cap(l.ring) {
		l.ring = append(l.ring, r)
		return
	}
	l.ring[l.next] = r
	l.next = (l.next + 1) % len(l.ring)
}

// Filter selects records, case-insensitively. Empty fields match everything.
type Filter struct {
	Surface Surface
	Method  string
	// After excludes records up to this sequence number.
	After uint64
}

// Records returns the matching records, oldest first.
func (l *Log) Records(f Filter) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := []Record{}
	for i := range l.ring {
		r := l.ring[(l.next+i)%len(l.ring)]
		if r.Seq <= f.After ||
			f.Surface != "" && !strings.EqualFold(string(r.Surface), string(f.Surface)) ||
			f.Method != "" && !strings.EqualFold(r.Method, f.Method) {
			continue
		}
		found = append(found, r)
	}
	return found
}

// Reset deletes every record. Sequence numbers continue, so that clients that pass After miss nothing.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.next = l.ring[:0], 0
}
