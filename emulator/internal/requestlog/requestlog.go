// Package requestlog remembers the last requests that the emulator answered, so that tests and people can see what a client sent.
//
// It never holds a body, a header, a key or a token: only what was asked for and how it was answered. It is not an audit log: it is
// bounded, and forgotten when the process ends.
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

// Surfaces are all of them.
var Surfaces = []Surface{ARM, Entra, DPSService, DPSDevice, Hub, MQTTDPS, MQTTHub}

// Record is one request and how it was answered.
type Record struct {
	// Seq counts from 1 in the order of the answers, without gaps, for as long as the process runs.
	Seq     uint64  `json:"seq"`
	Surface Surface `json:"surface"`
	// Method is the HTTP method, or CONNECT, SUBSCRIBE, PUBLISH of MQTT.
	Method string `json:"method"`
	// Host is the host asked for, without port; of MQTT the host of the user name, when it has one.
	Host string `json:"host,omitempty"`
	// Path is the path with its query, or the MQTT topic.
	Path       string        `json:"path"`
	APIVersion string        `json:"apiVersion,omitempty"`
	Status     int           `json:"status"`
	Start      time.Time     `json:"start"`
	Duration   time.Duration `json:"durationNs"`
}

// Recorder takes records; Log is the one of the emulator.
type Recorder interface {
	Record(Record)
}

// Log is a bounded list of records. Its methods may be called concurrently.
type Log struct {
	mu    sync.Mutex
	ring  []Record
	next  int // where the next record goes
	count uint64
}

// New returns a log that keeps the last capacity records.
func New(capacity int) *Log {
	return &Log{ring: make([]Record, 0, capacity)}
}

// Record keeps r without the secrets in its path, with the next sequence number, and drops the oldest one when the log is full.
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

// Filter chooses records; empty members match everything. Letter case does not count.
type Filter struct {
	Surface Surface
	Method  string
	// After leaves out records up to this sequence number.
	After uint64
}

// Records returns the records that match, oldest first.
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

// Reset forgets every record. It counts on, so that whoever asks for what came After a record they know misses nothing.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.next = l.ring[:0], 0
}
