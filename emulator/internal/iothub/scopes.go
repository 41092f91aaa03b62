package iothub

import (
	"cmp"
	"errors"

	"evenkeel/emulator/internal/state"
)

// Edge devices have a scope that the service generates. Other devices name it to become their children. Source:
// Devices_CreateOrUpdateIdentity, 2021-04-12, and "Device scopes" of the Azure CLI's documentation. Fidelity: a scope
// has no other effect here, a device has at most one parent, and what Azure refuses with InvalidDeviceScope, and with
// which number, is unsure.

// deviceScope is an edge device's own scope, or the one that another device is in.
func deviceScope(d state.Device) string { return cmp.Or(d.Scope(), d.ParentScope) }

// parentScopes are the scopes of the edge devices above a device.
func parentScopes(d state.Device) []string {
	if d.ParentScope == "" {
		return []string{}
	}
	return []string{d.ParentScope}
}

// parent returns the scope of the parent that a client requests for device d of the hub. The service generates an
// edge device's own scope: one that a client sends is ignored, also for a device that is no longer an edge device and
// sends back its old scope.
func (h *Hubs) parent(host string, in identityInput, d state.Device) (string, error) {
	scope := d.ParentScope
	own := d
	own.Edge = true
	switch {
	case !d.Edge && in.DeviceScope != nil && *in.DeviceScope != own.Scope():
		scope = *in.DeviceScope
	case len(in.ParentScopes) > 1:
		return "", invalidScope("A device can have only one parent")
	case len(in.ParentScopes) == 1:
		scope = in.ParentScopes[0]
	case in.ParentScopes != nil:
		scope = ""
	}
	if scope == "" || scope == d.ParentScope {
		return scope, nil
	}
	above, err := h.state.DeviceOfScope(host, scope)
	if refused := (*state.Error)(nil); errors.As(err, &refused) && refused.Kind == state.Invalid {
		return "", invalidScope(refused.Error())
	}
	if err == nil && above.ID == d.ID {
		return "", invalidScope("A device cannot be its own parent")
	}
	return scope, err
}

func invalidScope(text string) error { return &wireError{400028, "InvalidDeviceScope", text} }
