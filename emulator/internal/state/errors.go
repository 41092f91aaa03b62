package state

import "fmt"

// Kind says what a surface must know of a refusal to choose its wire error.
type Kind int

// Kinds of refusal.
const (
	// NotFound: the object is not there.
	NotFound Kind = iota + 1
	// ParentNotFound: what the object would lie in (resource group, hub, provisioning service) is not there.
	ParentNotFound
	// Exists: an object of that name is there already.
	Exists
	// Precondition: the etag given is not the object's present one.
	Precondition
	// Invalid: the request contradicts itself or the rules.
	Invalid
	// Busy: the resource is in transition.
	Busy
	// Quota: a limit of the service is reached.
	Quota
)

// Error is a refusal. Nothing was changed.
type Error struct {
	Kind Kind
	// Object names what was refused, as "enrollment \"x\"".
	Object string
	// Reason is a sentence without a full stop; it holds no key.
	Reason string
}

// Error returns the object and the reason.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Object, e.Reason) }
