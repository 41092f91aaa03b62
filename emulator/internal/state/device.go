package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// AuthType is how a hub device authenticates, in Azure's terms.
type AuthType string

// Authentication types of hub devices.
const (
	AuthSAS        AuthType = "sas"
	AuthSelfSigned AuthType = "selfSigned"
	AuthCA         AuthType = "certificateAuthority"
	AuthNone       AuthType = "none"
)

// Device is an entry in a hub's identity registry. Ids are case-sensitive.
type Device struct {
	ID           string
	GenerationID string
	ETag         string
	Disabled     bool
	StatusReason string
	StatusTime   time.Time
	Auth         AuthType
	Key          SymmetricKey
	// Thumbprints: SHA-1 or SHA-256, upper-case hex; for AuthSelfSigned.
	PrimaryThumbprint, SecondaryThumbprint string
	Edge                                   bool
	// ParentScope is the scope of the parent edge device, or empty.
	ParentScope string
	Created     time.Time
	// Connected, LastActivity and ConnectionTime belong to this process: after a restart every device is
	// disconnected.
	Connected      bool
	ConnectionTime time.Time
	LastActivity   time.Time
}

func (d *Device) fields(c *codec) {
	text(c, "id", &d.ID)
	text(c, "generationId", &d.GenerationID)
	text(c, "etag", &d.ETag)
	flags := []flag{{"disabled", &d.Disabled}, {"edge", &d.Edge}}
	below := d.ParentScope != ""
	if c.doc == nil {
		flags = append(flags, flag{"", &below}) // most devices have no parent, so their rows omit it
	}
	c.flags(flags...)
	text(c, "statusReason", &d.StatusReason)
	c.time("statusTime", &d.StatusTime)
	text(c, "auth", &d.Auth)
	d.Key.fields(c)
	text(c, "primaryThumbprint", &d.PrimaryThumbprint)
	text(c, "secondaryThumbprint", &d.SecondaryThumbprint)
	c.time("created", &d.Created)
	if below || c.doc != nil {
		text(c, "parentScope", &d.ParentScope)
	}
}

// scopePrefix is the prefix of every edge device's scope.
const scopePrefix = "ms-azure-iot-edge://"

// Scope identifies an edge device to its children. It contains the id and the generation. Other devices have none.
func (d Device) Scope() string {
	if !d.Edge {
		return ""
	}
	return scopePrefix + d.ID + "-" + d.GenerationID
}

// DeviceOfScope returns the edge device with that scope, or Invalid if the hub has none.
func (s *State) DeviceOfScope(hub, scope string) (Device, error) {
	name, found := strings.CutPrefix(scope, scopePrefix)
	if i := strings.LastIndexByte(name, '-'); found && i > 0 {
		d, err := s.Device(hub, name[:i])
		var refused *Error
		if err == nil && d.Scope() == scope || err != nil && !(errors.As(err, &refused) && refused.Kind == NotFound) {
			return d, err
		}
	}
	return Device{}, &Error{Kind: Invalid, Object: fmt.Sprintf("scope %q", scope),
		Reason: "does not belong to an edge device of the hub"}
}

func deviceKey(hub, id string) []byte { return keyOf(tableDevice, strings.ToLower(hub), id) }
func twinKey(hub, id string) []byte   { return keyOf(tableTwin, strings.ToLower(hub), id) }

func deviceObject(id string) string { return fmt.Sprintf("device %q", id) }

func noDevice(id string) error {
	return &Error{Kind: NotFound, Object: deviceObject(id), Reason: "is not registered"}
}

// registry refuses if the hub with that host name has no registry: it does not exist, is not active yet or is being
// deleted. The caller holds world.
func (s *State) registry(hub string) error {
	if h := s.hubs[ClassicHost(hub)]; h != nil && h.serving() {
		return nil
	}
	return &Error{Kind: ParentNotFound, Object: hubObject(hub), Reason: "does not exist"}
}

// readDevice begins a call that reads a device of a hub, its twin or its queue. It refuses as registry does.
func (s *State) readDevice(hub, id string) (leave func(), err error) {
	return s.enterDevice(hub, func() func() { return s.devices.read(deviceKey(hub, id)) })
}

// lockDevice begins a call that changes them.
func (s *State) lockDevice(hub, id string) (leave func(), err error) {
	return s.enterDevice(hub, func() func() { return s.devices.lock(deviceKey(hub, id)) })
}

func (s *State) enterDevice(hub string, lock func() (unlock func())) (leave func(), err error) {
	leaveWorld, err := s.enter()
	if err != nil {
		return nil, err
	}
	if err := s.registry(hub); err != nil {
		leaveWorld()
		return nil, err
	}
	unlock := lock()
	return func() {
		unlock()
		leaveWorld()
	}, nil
}

// serving reports whether devices and services can use the hub.
func (h *Hub) serving() bool { return h.Phase == Active || h.Phase == Transitioning }

// Device returns a device of the hub with that host name.
func (s *State) Device(hub, id string) (Device, error) {
	leave, err := s.readDevice(hub, id)
	if err != nil {
		return Device{}, err
	}
	defer leave()
	var d Device
	found, err := s.store.get(deviceKey(hub, id), &d)
	if err == nil && !found {
		err = noDevice(id)
	}
	s.presence.fill(hub, &d)
	return d, err
}

// Devices pages through a hub's devices as Enrollments does, ordered by their case-sensitive ids.
func (s *State) Devices(hub, after string, limit int) ([]Device, string, error) {
	leave, err := s.enter()
	if err != nil {
		return nil, "", err
	}
	defer leave()
	if err := s.registry(hub); err != nil {
		return nil, "", err
	}
	out, next, err := page(s.store, tableDevice, []string{strings.ToLower(hub)}, after, limit,
		func(d *Device) string { return d.ID })
	for i := range out {
		s.presence.fill(hub, &out[i])
	}
	return out, next, err
}

// PutDevice creates a device (create: Exists if it exists), or otherwise creates or updates it according to ifMatch.
// Empty keys of AuthSAS keep the present values or are generated. The state sets the generation, times and etag.
// Fidelity: whether Azure keeps the keys of a device if an update omits them is not documented.
func (s *State) PutDevice(hub string, d Device, ifMatch string, create bool) (Device, error) {
	leave, err := s.lockDevice(hub, d.ID)
	if err != nil {
		return Device{}, err
	}
	defer leave()
	key := deviceKey(hub, d.ID)
	var old Device
	found, err := s.store.get(key, &old)
	if err != nil {
		return Device{}, err
	}
	if create {
		ifMatch = MustNotExist
	}
	if err := check(deviceObject(d.ID), ifMatch, old.ETag, found); err != nil {
		return Device{}, err
	}
	var present *Device
	if found {
		present = &old
	}
	if err := s.completeDevice(&d, present); err != nil {
		return Device{}, err
	}
	b := s.store.batch()
	b.put(key, &d)
	if err := s.store.commitDevices(b); err != nil {
		return Device{}, err
	}
	s.expelChanged(hub, &old, &d)
	s.presence.fill(hub, &d)
	return d, nil
}

// expelChanged ends the connection of a device whose change from old, which is synced, revoked it. The caller holds
// the device's lock.
func (s *State) expelChanged(hub string, old, d *Device) {
	if d.Disabled || !d.sameCredentials(old) {
		s.presence.expel(hub, d.ID, s.Now())
	}
}

// sameCredentials reports whether both devices have the same credentials.
func (d *Device) sameCredentials(other *Device) bool {
	return d.Auth == other.Auth && d.Key == other.Key &&
		strings.EqualFold(d.PrimaryThumbprint, other.PrimaryThumbprint) &&
		strings.EqualFold(d.SecondaryThumbprint, other.SecondaryThumbprint)
}

// completeDevice completes a new version of a device. old is nil if the device is new.
func (s *State) completeDevice(d, old *Device) error {
	now := s.Now()
	d.Created, d.StatusTime, d.GenerationID = now, time.Time{}, generation(now)
	if d.Auth == "" {
		d.Auth = AuthSAS
	}
	if old != nil {
		d.Created, d.StatusTime, d.GenerationID = old.Created, old.StatusTime, old.GenerationID
		if d.Disabled != old.Disabled {
			d.StatusTime = now
		}
		if d.Auth == AuthSAS && d.Key == (SymmetricKey{}) {
			d.Key = old.Key
		}
	}
	if d.Auth == AuthSAS {
		if err := s.completePair(&d.Key); err != nil {
			return err
		}
	}
	if old != nil {
		if number, ok := numberOf(old.ETag); ok {
			d.ETag = numberETag(number + 1)
			return nil
		}
	}
	var b [4]byte
	if _, err := io.ReadFull(s.random, b[:]); err != nil {
		return fmt.Errorf("generate etag: %w", err)
	}
	d.ETag = numberETag(uint64(binary.BigEndian.Uint32(b[:])))
	return nil
}

// generation counts units of 100 ns since the year 1, as .NET does.
func generation(t time.Time) string {
	const unixEpoch = 621355968000000000
	return strconv.FormatInt(unixEpoch+t.UnixNano()/100, 10)
}

// DeleteDevice deletes a device, its twin and its queued messages. Unconditional means MustExist.
func (s *State) DeleteDevice(hub, id, ifMatch string) error {
	leave, err := s.lockDevice(hub, id)
	if err != nil {
		return err
	}
	defer leave()
	key := deviceKey(hub, id)
	var old Device
	found, err := s.store.get(key, &old)
	if err != nil {
		return err
	}
	if ifMatch == Unconditional {
		ifMatch = MustExist
	}
	if err := check(deviceObject(id), ifMatch, old.ETag, found); err != nil {
		return err
	}
	b := s.store.batch()
	b.delete(key)
	b.delete(twinKey(hub, id))
	b.delete(subscriptionKey(hub, id))
	if err := s.dropQueue(b, hub, id); err != nil {
		return err
	}
	if err := s.store.commitDevices(b); err != nil {
		return err
	}
	s.presence.forget(hub, id)
	return nil
}

// Statistics counts a hub's devices.
type Statistics struct {
	Total, Enabled, Disabled, Connected int
}

// Statistics counts a hub's devices by scanning them.
func (s *State) Statistics(hub string) (Statistics, error) {
	leave, err := s.enter()
	if err != nil {
		return Statistics{}, err
	}
	defer leave()
	if err := s.registry(hub); err != nil {
		return Statistics{}, err
	}
	n := Statistics{Connected: s.presence.connected(hub)}
	start, end := under(tableDevice, strings.ToLower(hub))
	err = s.store.scan(start, end, func(_, value []byte) (bool, error) {
		var d Device
		if err := decode(value, &d); err != nil {
			return false, err
		}
		n.Total++
		if d.Disabled {
			n.Disabled++
		}
		return true, nil
	})
	n.Enabled = n.Total - n.Disabled
	return n, err
}
