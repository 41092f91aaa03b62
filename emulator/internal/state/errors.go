package state

import "fmt"

// Kind is the reason of a refusal, from which a surface chooses its wire error.
type Kind int

// Kinds of refusal.
const (
	// NotFound: the object does not exist.
	NotFound Kind = iota + 1
	// ParentNotFound: the parent (resource group, hub, provisioning service) does not exist.
	ParentNotFound
	// Exists: an object of that name exists.
	Exists
	// Precondition: the given etag is not the object's current one.
	Precondition
	// Invalid: the request is inconsistent or violates a rule.
	Invalid
	// Busy: the resource is in transition.
	Busy
	// Quota: a limit of the service is reached.
	Quota
)

// Error is a refusal. It implies that nothing was changed.
type Error struct {
	Kind Kind
	// Object names the refused object, for example "enrollment \"x\"".
	Object string
	// Reason is a sentence without a full stop. It contains no key.
	Reason string
}

// Error returns the object and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Object, e.Reason) }
