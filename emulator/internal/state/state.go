// Package state holds everything that is true in the emulated cloud: resource groups, IoT hubs, provisioning services, enrollments,
// registrations, devices and their twins, and decides what follows from them, allocation included.
//
// It speaks no protocol: no HTTP, no MQTT, no JSON of Azure's. The surfaces (ARM, DPS service, DPS device, IoT Hub) translate to and
// from it. Every method that changes something returns only after the change is synced to the store; what it returned is never lost.
// All methods may be called concurrently.
package state

import (
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say where the state lives and where its time and chance come from.
type Options struct {
	// Dir is the store's folder, made when absent. Empty: the state lives in memory and ends with Close.
	Dir string
	// FS replaces the file system under Dir; tests use one that forgets what was not synced.
	FS vfs.FS
	// Now is the clock; time.Now when nil. Times are kept in UTC.
	Now func() time.Time
	// Random is where keys, scopes and etags come from; crypto/rand when nil.
	Random io.Reader
	// Latencies say how far each Azure location is from where the emulated devices stand, for GeoLatency. Keys are location
	// names in any spelling ("West Europe", "westeurope"). A location that is not listed counts as farther than every listed one.
	Latencies map[string]time.Duration
}
