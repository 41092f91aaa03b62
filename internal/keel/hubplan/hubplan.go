// Package hubplan works out what it means for the devices of an environment that a hub is drained, removed or added,
// from the registrations and enrollments at its provisioning service.
//
// It is pure: it reads and changes nothing.
package hubplan

import (
	"math"
	"slices"
	"strings"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/keel/assignment"
)

// Change is what happens to the hub.
type Change string

// The changes. Accept undoes Drain.
const (
	Drain  Change = "drain"
	Remove Change = "remove"
	Add    Change = "add"
	Accept Change = "accept"
)

// Hub is a hub of the environment before the change.
type Hub struct {
	// Name is the hub's name in the stack, Host its host name as domain.ClassicHost returns it; "" for a new hub.
	Name, Host string
	Weight     int
	// Drain is true if no new devices are assigned to it.
	Drain bool
}

// Input is what a plan is made from.
type Input struct {
	Change Change
	// Hub is the hub that changes. Hubs are those of the environment, with it unless it is new.
	Hub  Hub
	Hubs []Hub
	// Policy is the allocation policy of the service.
	Policy string
	Census assignment.Census
	// IsDeclared reports whether the stack declares the enrollment: then keel up changes the hubs that it names.
	IsDeclared func(assignment.Enrollment) bool
	// FollowsHubs is true if keel up lists all hubs of the stack in the enrollments that it declares, as it does at a
	// shared service.
	FollowsHubs bool
	// InRegistry is the number of devices that the hub itself has; negative if it is not known.
	InRegistry int
}

// Plan is what the change means.
type Plan struct {
	// Devices is how many devices are assigned to the hub now, by their registration records.
	Devices int `json:"devices"`
	// InRegistry is how many devices the hub itself has; absent for a new hub.
	InRegistry *int `json:"devicesInRegistry,omitempty"`
	// MustRegisterAgain is how many devices have no hub until they register again.
	MustRegisterAgain int `json:"mustRegisterAgain"`
	// MayMove is how many devices the allocation policy may assign to another hub when they register again.
	MayMove int `json:"mayMove"`
	// Expected is how many devices a new hub has when all devices have registered again, by the weights.
	Expected *int `json:"expected,omitempty"`
	// Enrollments are those with devices on the hub, those that name it, and, for a new hub, those that cannot use it.
	Enrollments []Entry `json:"enrollments"`
	// Unknown is what neither Azure nor the plan knows, as sentences.
	Unknown []string `json:"unknown"`
}

// Effect is what the change means for the devices of an enrollment that register again.
type Effect string

// The effects.
const (
	// Reassigned: the allocation policy chooses among the hubs that accept devices.
	Reassigned Effect = "reassigned"
	// Unassignable: the enrollment names no other hub, so that its devices fail to register.
	Unassignable Effect = "unassignable"
	// UpRefuses: the stack declares the enrollment with no other hub, so that keel up refuses the change.
	UpRefuses Effect = "up refuses"
	// StillAssigned: the enrollment names the drained hub, so that its devices are still assigned to it.
	StillAssigned Effect = "still assigned"
	// KeepsHub: its reprovision policy is never.
	KeepsHub Effect = "keeps hub"
	// CannotRegister: the enrollment is disabled.
	CannotRegister Effect = "cannot register"
	// Webhook: a webhook chooses the hub.
	Webhook Effect = "webhook decides"
	// NotOffered: the enrollment names hubs, and not the new one.
	NotOffered Effect = "not offered"
)

// Entry is what the change means for an enrollment.
type Entry struct {
	// Enrollment is the id of a group, or of an individual enrollment.
	Enrollment string `json:"enrollment"`
	Individual bool   `json:"individual"`
	// Devices is how many of its devices are assigned to the hub now.
	Devices int `json:"devices"`
	// NamesHub is true if the enrollment names the hub.
	NamesHub bool `json:"namesHub"`
	// OtherHubs are the other hubs of the environment that it names and that accept devices.
	OtherHubs []string `json:"otherHubs"`
	Effect    Effect   `json:"effect"`
}

// New returns the plan.
func New(in Input) Plan {
	p := Plan{Enrollments: []Entry{}, Devices: in.Census.On(in.Hub.Host)}
	if in.Change == Remove {
		p.MustRegisterAgain = p.Devices
	}
	if in.InRegistry >= 0 && in.Hub.Host != "" {
		p.InRegistry = &in.InRegistry
	}
	candidates := 0 // devices that may come to a new hub
	for _, e := range in.Census.Enrollments {
		entry := in.entry(e)
		if entry.Effect == Reassigned {
			p.MayMove += entry.Devices
			candidates += total(e)
		}
		gains := in.Change == Add || in.Change == Accept
		isLeftOut := gains && (len(e.Hubs) > 0 && total(e) > 0 || entry.Effect == KeepsHub)
		if entry.Devices > 0 || entry.NamesHub || isLeftOut {
			p.Enrollments = append(p.Enrollments, entry)
		}
	}
	if in.Change == Add {
		p.MayMove = candidates
		p.Expected = new(int)
		*p.Expected = in.expected(candidates)
	}
	p.Unknown = in.unknown(p)
	return p
}

// total is the number of devices of an enrollment that are assigned to any hub.
func total(e assignment.Enrollment) int {
	n := 0
	for _, devices := range e.Devices {
		n += devices
	}
	return n
}

func (in Input) entry(e assignment.Enrollment) Entry {
	entry := Entry{
		Enrollment: e.ID, Individual: e.Individual, OtherHubs: []string{},
		Devices: e.Devices[in.Hub.Host], NamesHub: in.Hub.Host != "" && e.Names(in.Hub.Host),
	}
	for _, h := range in.Hubs {
		if h.Host != in.Hub.Host && !h.Drain && e.Names(h.Host) {
			entry.OtherHubs = append(entry.OtherHubs, h.Name)
		}
	}
	entry.Effect = in.effect(e, entry)
	return entry
}

func (in Input) effect(e assignment.Enrollment, entry Entry) Effect {
	gains := in.Change == Add || in.Change == Accept
	isForced := in.Change == Remove && entry.NamesHub && len(entry.OtherHubs) == 0 && !in.namesForeign(e)
	isStuck := entry.NamesHub && len(entry.OtherHubs) == 0
	isDeclared := in.IsDeclared != nil && in.IsDeclared(e)
	switch {
	case e.Disabled:
		return CannotRegister
	case isForced && !isDeclared:
		return Unassignable
	case isStuck && isDeclared && !gains:
		return UpRefuses
	case in.Change == Drain && entry.NamesHub && !isDeclared:
		return StillAssigned
	case e.Never:
		return KeepsHub
	case e.Policy == enrollment.Custom || e.Policy == "" && strings.EqualFold(in.Policy, enrollment.Custom):
		return Webhook
	case gains && len(e.Hubs) > 0 && !entry.NamesHub && !(isDeclared && in.FollowsHubs && in.namesAll(e)):
		return NotOffered
	}
	return Reassigned
}

// namesAll reports whether an enrollment names all hubs of the environment that accept devices.
func (in Input) namesAll(e assignment.Enrollment) bool {
	return !slices.ContainsFunc(in.Hubs, func(h Hub) bool {
		return !h.Drain && h.Host != in.Hub.Host && !e.Names(h.Host)
	})
}

// namesForeign reports whether an enrollment names a hub that is not of this environment, as stacks that share a
// service do.
func (in Input) namesForeign(e assignment.Enrollment) bool {
	return slices.ContainsFunc(e.Hubs, func(host string) bool {
		return !slices.ContainsFunc(in.Hubs, func(h Hub) bool { return h.Host == host })
	})
}

// expected is the share of a new hub in the devices that may be assigned to it.
func (in Input) expected(devices int) int {
	weights := in.Hub.Weight
	for _, h := range in.Hubs {
		if !h.Drain && h.Host != in.Hub.Host {
			weights += h.Weight
		}
	}
	if weights == 0 {
		return 0
	}
	return int(math.Round(float64(devices) * float64(in.Hub.Weight) / float64(weights)))
}

// unknown lists what the numbers do not say.
func (in Input) unknown(p Plan) []string {
	list := []string{
		"Azure assigns a device again only when it registers. Until then its record names the old hub, and Azure does " +
			"not tell the device.",
		"The numbers are those of registration records. They include devices that were deleted at the hub since, and " +
			"leave out those whose last registration failed.",
	}
	if in.Change == Add || in.Change == Accept {
		list = append(list, "Azure's hash is not public: which devices move, and how many, shows only when they "+
			"register.")
	}
	if p.InRegistry != nil {
		list = append(list, "The hub's own count may be minutes old.")
	}
	if p.InRegistry != nil && *p.InRegistry > p.Devices && in.Change == Remove {
		list = append(list, "Some devices of the hub have no registration record here. They are deleted with the hub, "+
			"and registering again does not bring them back unless they are enrolled.")
	}
	for _, e := range p.Enrollments {
		if e.Effect == Webhook {
			list = append(list, "Webhooks of custom allocation decide when a device registers.")
			break
		}
	}
	return list
}
