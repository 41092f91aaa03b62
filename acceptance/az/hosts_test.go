//go:build az && ports

package az_test

import (
	"strings"
	"testing"
)

// TestTheHostsPage runs the commands of the page on host names. It needs the right to listen on Azure's ports.
func TestTheHostsPage(t *testing.T) {
	r := newReader(t, "--names", "azure")
	if out := r.follow("docs/how-to/hosts.md", "keel emulator stop"); strings.TrimSpace(
		out) != "127.0.0.1 global.azure-devices-provisioning.net" {
		t.Errorf("got %q, want the line of an emulator without hubs", out)
	}
}
