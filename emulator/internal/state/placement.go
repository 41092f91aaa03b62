package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Azure's codes of failed registrations; sources in the constants' comments.
const (
	// codeCustomFailed: "Custom allocation failed with status code: N" (Azure/iotedge issue 3233).
	codeCustomFailed = 400207
	// codeNoHub: the C SDK's name is "hub not specified" (prov_device_ll_client.c).
	codeNoHub = 400208
	// codeHubNotFound: no hub is linked (azure-iot-cli-extension, test_dps_device_registration_unlinked_hub), or a
	// linked hub was deleted (terraform-provider-azurerm issue 10224).
	codeHubNotFound = 401001
	// codeHubUnauthorized: the linked hub refuses the link's key. The message is the hub's own (Azure/azure-iot-sdk-c
	// issue 1789).
	codeHubUnauthorized = 401002
	// codeIssuance: the device SDKs' "credential operation failed", of a renewal at the hub. Fidelity: what a
	// registration has is not documented.
	codeIssuance = 400040
)

// textHubNotFound is the message of 401001 in the same test.
const textHubNotFound = "IoTHub not found."

// Rights that the link's policy must grant to the provisioning service.
var linkRights = []string{"RegistryWrite", "ServiceConnect"}

// offered returns the links of the hubs that the entry names, or all links. Names of hubs that are not linked (any
// more) are ignored.
func (r *registering) offered() []Link {
	named := r.named()
	if len(named) == 0 {
		return r.service.Links
	}
	var out []Link
	for _, host := range named {
		if l, ok := r.link(host); ok {
			out = append(out, l)
		}
	}
	return out
}

// named returns the hubs that the entry names, in either of its two fields.
func (r *registering) named() []string {
	if len(r.Hubs) == 0 && r.IotHubHost != "" {
		return []string{r.IotHubHost}
	}
	return r.Hubs
}

func (r *registering) link(host string) (Link, bool) {
	return FindLink(r.service.Links, host)
}

// choose returns the hub that the device is to be on, by the host name under which it is linked.
func (r *registering) choose() (string, *failure) {
	if r.stays() {
		return r.keptHub(), nil
	}
	policy := r.Allocation
	switch {
	case policy != "":
	case len(r.Hubs) == 0 && r.IotHubHost != "":
		policy = Static
	default:
		policy = r.service.Allocation
	}
	if policy == Custom {
		return r.chooseCustom()
	}
	if policy == Static && len(r.named()) != 1 {
		return "", &failure{codeNoHub, "Static allocation needs exactly one IoT hub on the enrollment."}
	}
	if len(r.service.Links) == 0 {
		return "", &failure{codeHubNotFound, textHubNotFound}
	}
	var candidates []Candidate
	for _, l := range r.offered() {
		// An entry can still name a hub that is excluded from allocation.
		if l.Apply != nil && !*l.Apply && len(r.named()) == 0 {
			continue
		}
		c := Candidate{Host: l.HubHost, Weight: 1}
		if l.Weight != nil {
			c.Weight = *l.Weight
		}
		if latency, ok := r.s.latencies[r.locationOf(l)]; ok {
			c.Latency = &latency
		}
		candidates = append(candidates, c)
	}
	host, err := Allocate(policy, r.request.RegistrationID, candidates)
	if err != nil {
		return "", &failure{codeNoHub, "No linked IoT hub is eligible for allocation."}
	}
	return host, nil
}

func (r *registering) locationOf(l Link) string {
	if h := r.s.hubs[ClassicHost(l.HubHost)]; h != nil {
		return locationName(h.Location)
	}
	return locationName(l.Location)
}

func (r *registering) chooseCustom() (string, *failure) {
	switch {
	case !r.asked:
		return "", &failure{codeCustomFailed, "Custom allocation failed: the enrollment has no webhook."}
	case r.refusal != nil:
		return "", &failure{codeCustomFailed, r.refusal.Error()}
	case r.answer.HubHost == "":
		return "", &failure{codeNoHub, "Custom allocation failed: the webhook named no IoT hub."}
	}
	if l, ok := FindLink(r.offered(), r.answer.HubHost); ok {
		return l.HubHost, nil
	}
	return "", &failure{codeCustomFailed,
		"Custom allocation failed: the webhook named an IoT hub that is not among the linked hubs of the request."}
}

// deviceKeys returns the locks of the hub devices that an assignment to hub changes.
func (r *registering) deviceKeys(hub string) [][]byte {
	keys := [][]byte{deviceKey(hub, r.deviceID)}
	if r.prior.hub != "" {
		keys = append(keys, deviceKey(r.prior.hub, r.prior.device))
	}
	return keys
}

// hubRefusal returns why the provisioning service cannot use the hub, or nil.
func (r *registering) hubRefusal(host string) *failure {
	h := r.s.hubs[ClassicHost(host)]
	if h == nil || !h.serving() {
		return &failure{codeHubNotFound, textHubNotFound}
	}
	l, linked := r.link(host)
	if l.Identity != "" {
		return r.identityRefusal(h, l)
	}
	// A hub without local authentication takes no key ("Link and manage IoT hubs" of the DPS documentation).
	if linked && !h.Settings.DisableLocalAuth {
		for _, p := range h.Policies {
			known := strings.EqualFold(p.Name, l.KeyName) && (p.PrimaryKey == l.Key || p.SecondaryKey == l.Key)
			if known && !slices.ContainsFunc(linkRights,
				func(right string) bool { return !slices.Contains(p.Rights, right) }) {
				return nil
			}
		}
	}
	return &failure{codeHubUnauthorized, r.hubUnauthorized()}
}

// identityRefusal returns why the provisioning service cannot use the hub by its identity, or nil. A hub without local
// authentication takes it ("Link and manage IoT hubs" of the DPS documentation). Fidelity: which code a registration
// ends with on Azure is not known; it has that of a refused key here.
func (r *registering) identityRefusal(h *Hub, l Link) *failure {
	principal := r.service.Principals.Of(l)
	switch {
	case principal == "",
		l.Identity == UserAssigned && r.s.isGone(r.service.ID.Subscription, l.User, principal):
		return &failure{codeHubUnauthorized, r.hubUnauthorized()}
	case r.s.RequiresRoles() && !r.s.isGranted(principal, RoleHubData, scopeOf(hubKind, h.ID)):
		return &failure{codeHubUnauthorized, r.hubError("IotHubUnauthorized;Principal " + principal +
			" is not authorized for PUT on /devices/" + r.deviceID + " due to no assigned permissions")}
	}
	return nil
}

// hubUnauthorized is the error document of a hub that refuses the key of a link.
func (r *registering) hubUnauthorized() string {
	return r.hubError("IotHubUnauthorizedAccess;Unauthorized")
}

// hubError is the error document of a hub. Its form, and the text about roles, are from Azure/azure-iot-sdk-csharp
// issue 3344.
func (r *registering) hubError(reason string) string {
	var tracking [16]byte
	_, _ = io.ReadFull(r.s.random, tracking[:])
	message, _ := json.Marshal("ErrorCode:" + reason) // a text always encodes
	return fmt.Sprintf(`{"Message":%s,"ExceptionMessage":"Tracking ID:%x-G:0-TimeStamp:%s"}`,
		message, tracking, r.now.Format("01/02/2006 15:04:05"))
}

// place puts the device on the hub that is linked under that host name, and returns the registration's result, which
// has that name. The caller holds the locks of deviceKeys.
func (r *registering) place(linked string) (Registration, error) {
	hub := ClassicHost(linked)
	result := Registration{Status: Assigned, AssignedHub: linked, DeviceID: r.deviceID, Substatus: SameAssignment,
		Payload: slices.Clone(r.answer.Payload)}
	if failed := r.hubRefusal(linked); failed != nil {
		if r.stays() {
			// The hub is not contacted: the record holds the device's hub.
			return result, nil
		}
		return Registration{Status: Failed, ErrorCode: failed.code, ErrorMessage: failed.message}, nil
	}
	device, twin, there, err := r.s.twin(hub, r.deviceID)
	if err != nil {
		return Registration{}, err
	}
	first := r.prior.hub == ""
	moves := !first && (r.prior.hub != hub || r.prior.device != r.deviceID)
	next, changed := r.credentials(device, there)
	switch {
	case first:
		result.Substatus = InitialAssignment
		if !there {
			twin, err = r.initial(next)
		}
	case moves:
		var migrated bool
		twin, migrated, err = r.move(&next, twin, there)
		changed = true
		if result.Substatus = DataReset; migrated {
			result.Substatus = DataMigrated
		}
	case !there:
		twin, err = r.initial(next)
	case r.answer.InitialTwin != nil || r.resets() && !r.stays():
		twin, err = r.reset(twin)
	}
	var refused *Error
	if errors.As(err, &refused) {
		return r.twinRefused(refused), nil
	}
	if err != nil {
		return Registration{}, err
	}
	if changed {
		if err := r.putDevice(hub, device, &next, there); err != nil {
			return Registration{}, err
		}
	}
	if twin.changed() {
		r.batch.put(twinKey(hub, r.deviceID), &twin)
	}
	return result, nil
}

// putDevice stores the hub device. old is its previous version, or nil.
func (r *registering) putDevice(hub string, old Device, next *Device, there bool) error {
	if !there {
		if err := r.s.completeDevice(next, nil); err != nil {
			return err
		}
	} else {
		if err := r.s.completeDevice(next, &old); err != nil {
			return err
		}
		r.settled = append(r.settled, func() { r.s.expelChanged(hub, &old, next) })
	}
	r.batch.put(deviceKey(hub, r.deviceID), next)
	return nil
}

// twinRefused fails a registration whose initial twin is invalid or too large.
func (r *registering) twinRefused(why *Error) Registration {
	code := codeNoHub
	if r.answer.InitialTwin != nil {
		code = codeCustomFailed
	}
	return r.undone(code, "The initial twin was refused: "+why.Reason)
}

// changed reports whether the twin differs from that of a new device and must be stored.
func (t *Twin) changed() bool { return t.Version != firstTwinVersion || t.ETag != versionETag(1) }

// credentials returns the hub device with its new credentials, and whether that changes it. What an operator set
// (status) is kept.
func (r *registering) credentials(device Device, there bool) (Device, bool) {
	next := device
	next.ID, next.Edge = r.deviceID, r.Edge
	next.Auth, next.Key, next.PrimaryThumbprint, next.SecondaryThumbprint = AuthSAS, r.request.Keys, "", ""
	switch {
	case r.request.Issue != nil:
		next.Auth, next.Key = AuthCA, SymmetricKey{}
	case r.request.PrimaryThumbprint != "":
		next.Auth, next.Key = AuthSelfSigned, SymmetricKey{}
		next.PrimaryThumbprint, next.SecondaryThumbprint = r.request.PrimaryThumbprint, r.request.SecondaryThumbprint
	}
	return next, !there || next != device
}

// initial returns the twin of a device that is new to its hub.
func (r *registering) initial(d Device) (Twin, error) { return r.reset(newTwin(d.ID, r.now)) }

// reset sets a twin to its initial content: the webhook's, or else the entry's. A new twin without initial content is
// unchanged.
func (r *registering) reset(t Twin) (Twin, error) {
	source := r.InitialTwin
	if r.answer.InitialTwin != nil {
		source = r.answer.InitialTwin
	}
	p, err := initialTwin(source)
	if err != nil {
		return t, &Error{Kind: Invalid, Object: "initial twin", Reason: err.Error()}
	}
	if !t.changed() && p.Tags == nil && p.Desired == nil {
		return t, nil
	}
	if t.changed() {
		p = TwinPatch{Tags: orEmpty(p.Tags), Desired: orEmpty(p.Desired), Reported: []byte("{}"), Replace: true}
		return t, t.apply(p, r.now)
	}
	// A device is created with its initial twin, so this is still the first version.
	t.Version--
	t.DesiredVersion--
	if p.Desired == nil {
		p.Desired = []byte("{}")
	}
	return t, t.apply(p, r.now)
}

func orEmpty(doc []byte) []byte {
	if doc == nil {
		return []byte("{}")
	}
	return doc
}

// move removes the device from its previous hub. It returns its twin on the new hub, and whether its data was
// migrated.
func (r *registering) move(next *Device, target Twin, there bool) (Twin, bool, error) {
	old, twin, found, err := r.s.twin(r.prior.hub, r.prior.device)
	if err != nil {
		return Twin{}, false, err
	}
	reachable := found && r.hubRefusal(r.prior.hub) == nil
	if reachable {
		r.settled = append(r.settled, func() { r.s.presence.forget(r.prior.hub, r.prior.device) })
		r.batch.delete(deviceKey(r.prior.hub, r.prior.device))
		r.batch.delete(twinKey(r.prior.hub, r.prior.device))
		r.batch.delete(subscriptionKey(r.prior.hub, r.prior.device))
		if err := r.s.dropQueue(r.batch, r.prior.hub, r.prior.device); err != nil {
			return Twin{}, false, err
		}
	}
	if reachable && !r.resets() && r.answer.InitialTwin == nil {
		next.Edge = old.Edge
		twin.DeviceID = r.deviceID
		twin.raise()
		return twin, true, nil
	}
	if there {
		target, err = r.reset(target)
	} else {
		target, err = r.initial(*next)
	}
	return target, false, err
}
