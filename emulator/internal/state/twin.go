package state

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"
)

// Twin is a device's twin. Documents are JSON objects without the $ members. Versions begin at 1.
type Twin struct {
	DeviceID string
	// ETag changes with tags and desired properties, Version with every change.
	ETag                            string
	Version                         int64
	Tags, Desired, Reported         []byte
	DesiredVersion, ReportedVersion int64
	// DesiredMeta, ReportedMeta: the $metadata objects, JSON.
	DesiredMeta, ReportedMeta []byte
	// ModelID is the model that the device named when it connected, a DTMI, or empty.
	ModelID string
}

// firstTwinVersion is the version of a twin that was never changed.
const firstTwinVersion = 2

// fields omits the device id, which is part of the key.
func (t *Twin) fields(c *codec) {
	text(c, "etag", &t.ETag)
	c.int("version", &t.Version)
	c.int("desiredVersion", &t.DesiredVersion)
	c.int("reportedVersion", &t.ReportedVersion)
	c.bytes("tags", &t.Tags)
	c.bytes("desired", &t.Desired)
	c.bytes("reported", &t.Reported)
	c.bytes("desiredMeta", &t.DesiredMeta)
	c.bytes("reportedMeta", &t.ReportedMeta)
	text(c, "modelId", &t.ModelID)
}

// newTwin returns the twin of a new device. It is stored once it differs from that.
func newTwin(id string, made time.Time) Twin {
	meta := stamp{at: made}.alone()
	return Twin{
		DeviceID: id, ETag: versionETag(1), Version: firstTwinVersion,
		Tags: []byte("{}"), Desired: []byte("{}"), Reported: []byte("{}"),
		DesiredVersion: 1, ReportedVersion: 1, DesiredMeta: meta, ReportedMeta: meta,
	}
}

// raise increments the etag.
func (t *Twin) raise() {
	var n uint64
	if b, err := base64.StdEncoding.DecodeString(t.ETag); err == nil && len(b) == 8 {
		n = binary.BigEndian.Uint64(b)
	}
	t.ETag = versionETag(n + 1)
}

// twin reads a device and its twin. The caller holds the device's lock.
func (s *State) twin(hub, id string) (Device, Twin, bool, error) {
	var d Device
	found, err := s.store.get(deviceKey(hub, id), &d)
	if err != nil || !found {
		return d, Twin{}, false, err
	}
	var t Twin
	kept, err := s.store.get(twinKey(hub, id), &t)
	if err != nil {
		return d, Twin{}, false, err
	}
	if !kept {
		t = newTwin(id, d.Created)
	}
	t.DeviceID = id
	return d, t, true, nil
}

// Twin returns a device's twin.
func (s *State) Twin(hub, id string) (Twin, error) {
	leave, err := s.readDevice(hub, id)
	if err != nil {
		return Twin{}, err
	}
	defer leave()
	_, t, found, err := s.twin(hub, id)
	if err == nil && !found {
		err = noDevice(id)
	}
	return t, err
}

// TwinPatch changes a twin. Members are JSON objects; nil means no change. Without Replace, a JSON null as Tags or
// Desired removes everything.
type TwinPatch struct {
	Tags, Desired, Reported []byte
	// Replace replaces the present objects. Otherwise the objects are merged, and nulls delete members.
	Replace bool
}

// part returns a part of the patch as an object, and whether it replaces the present one.
func (p TwinPatch) part(sent []byte) (patch []byte, replace bool) {
	if !p.Replace && string(bytes.TrimSpace(sent)) == "null" {
		return []byte("{}"), true
	}
	return sent, p.Replace
}

// PatchTwin changes a twin. It returns Invalid if a member is not an object or exceeds the limits of Azure's twins.
func (s *State) PatchTwin(hub, id string, p TwinPatch, ifMatch string) (Twin, error) {
	leave, err := s.lockDevice(hub, id)
	if err != nil {
		return Twin{}, err
	}
	defer leave()
	_, t, found, err := s.twin(hub, id)
	if err != nil {
		return Twin{}, err
	}
	if !found {
		return Twin{}, noDevice(id)
	}
	if err := check("twin of "+deviceObject(id), ifMatch, t.ETag, true); err != nil {
		return Twin{}, err
	}
	before := t.Desired
	if err := t.apply(p, s.Now()); err != nil {
		return Twin{}, err
	}
	var told []byte
	if p.Desired != nil {
		if told, err = p.told(before, t.Desired); err != nil {
			return Twin{}, err
		}
	}
	b := s.store.batch()
	b.put(twinKey(hub, id), &t)
	if err := s.store.commitDevices(b); err != nil {
		return Twin{}, err
	}
	if told != nil {
		s.desired.push(DesiredChange{
			Hub: strings.ToLower(hub), DeviceID: id, Patch: told, Version: t.DesiredVersion,
		})
	}
	return t, nil
}

// told returns the patch that the device receives: the one that was sent or, for a replacement, one that merges into
// the same, with a null for each property that is gone.
func (p TwinPatch) told(before, after []byte) ([]byte, error) {
	if _, replaced := p.part(p.Desired); replaced {
		return difference(before, after)
	}
	return append([]byte(nil), p.Desired...), nil
}

// SetModelID stores the model that a device named. It does not change the versions of the twin.
func (s *State) SetModelID(hub, id, model string) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	defer s.devices.lock(deviceKey(hub, id))()
	_, t, found, err := s.twin(hub, id)
	if err != nil {
		return err
	}
	if !found {
		return noDevice(id)
	}
	if t.ModelID == model {
		return nil
	}
	t.ModelID = model
	b := s.store.batch()
	b.put(twinKey(hub, id), &t)
	return s.store.commitDevices(b)
}

// apply changes t. If it returns a refusal, t is unusable.
func (t *Twin) apply(p TwinPatch, now time.Time) error {
	refuse := func(part string, err error) error {
		return &Error{Kind: Invalid, Object: "twin of " + deviceObject(t.DeviceID), Reason: part + ": " + err.Error()}
	}
	var err error
	if p.Tags != nil {
		patch, replace := p.part(p.Tags)
		if t.Tags, _, err = change(t.Tags, nil, patch, replace, stamp{}, maxTags); err != nil {
			return refuse("tags", err)
		}
	}
	if p.Desired != nil {
		t.DesiredVersion++
		at := stamp{at: now, version: t.DesiredVersion}
		patch, replace := p.part(p.Desired)
		if t.Desired, t.DesiredMeta, err = change(t.Desired, t.DesiredMeta, patch, replace, at,
			maxProperties); err != nil {
			return refuse("desired properties", err)
		}
	}
	if p.Reported != nil {
		t.ReportedVersion++
		at := stamp{at: now}
		if t.Reported, t.ReportedMeta, err = change(t.Reported, t.ReportedMeta, p.Reported, p.Replace, at,
			maxProperties); err != nil {
			return refuse("reported properties", err)
		}
	}
	t.Version++
	if p.Tags != nil || p.Desired != nil {
		t.raise()
	}
	return nil
}
