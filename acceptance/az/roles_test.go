//go:build az

package az_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// withConfig gives the operations of Debian's azure-mgmt-authorization the attribute that its Azure CLI reads.
const withConfig = `
try:
    import importlib, pkgutil, azure.mgmt.authorization as _authorization
except ImportError:
    pass  # another Python than the Azure CLI's
else:
    for _version in pkgutil.iter_modules(_authorization.__path__):
        if not _version.name.startswith("v20"):
            continue
        _operations = importlib.import_module("azure.mgmt.authorization." + _version.name + ".operations")
        for _name in ("RoleAssignmentsOperations", "RoleDefinitionsOperations"):
            if hasattr(_operations, _name) and not hasattr(getattr(_operations, _name), "config"):
                setattr(getattr(_operations, _name), "config", property(lambda self: self._config))
`

// patch adds to what the Azure CLI's Python runs first.
func (c *cli) patch(code string) {
	c.Helper()
	for _, variable := range c.environment {
		dir, ok := strings.CutPrefix(variable, "PYTHONPATH=")
		if !ok {
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, "sitecustomize.py"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			continue // the caller's own
		}
		_, err = file.WriteString(code)
		if closing := file.Close(); err != nil || closing != nil {
			c.Fatal(err, closing)
		}
	}
}

// TestRolesByTheAzureCLI gives a user-assigned identity and a provisioning service's own the role that links by managed
// identities need. The core of the Azure CLI has no command for the service's identity: the request is that of the
// extension azure-iot 0.31 for 2026-08-31.
func TestRolesByTheAzureCLI(t *testing.T) {
	c := newCLI(t)
	c.patch(withConfig)
	c.az(nil, "group", "create", "-n", group, "-l", "westeurope")
	var hub, dps struct {
		ID       string
		Identity struct{ PrincipalID string }
	}
	c.az(&hub, "iot", "hub", "create", "-g", group, "-n", "az-hub-1", "--sku", "S1", "--partition-count", "4")
	c.az(&dps, "iot", "dps", "create", "-g", group, "-n", service)
	c.az(&dps, "rest", "--method", "put", "--url", c.at.ARM+dps.ID+"?api-version=2026-08-31", "--body",
		`{"location":"westeurope","sku":{"name":"S1","capacity":1},"properties":{},"identity":{"type":"SystemAssigned"}}`)
	var identity struct{ ID, PrincipalID string }
	c.az(&identity, "identity", "create", "-g", group, "-n", "links")
	const role = "IoT Hub Data Contributor"
	principals := []string{dps.Identity.PrincipalID, identity.PrincipalID}
	for i, scope := range []string{hub.ID, strings.Split(hub.ID, "/providers/")[0]} {
		arguments := []string{"role", "assignment", "create", "--role", role, "--assignee-object-id", principals[i],
			"--assignee-principal-type", "ServicePrincipal", "--scope", scope}
		var made struct{ PrincipalID, Scope, ID string }
		c.az(&made, arguments...)
		if made.PrincipalID != principals[i] || made.Scope != scope {
			t.Errorf("got the assignment %+v, want %s at %s", made, principals[i], scope)
		}
	}
	// "role assignment list" looks the names of principals up in Microsoft Graph, which the emulator does not have.
	var list struct {
		Value []struct{ ID string }
	}
	assignments := c.at.ARM + hub.ID + "/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01"
	c.az(&list, "rest", "--url", assignments)
	if len(list.Value) != len(principals) {
		t.Fatalf("got the assignments %v at the hub, want those at it and above it", list)
	}
	c.refused("UnmatchedPrincipalType", "role", "assignment", "create", "--role", role, "--assignee-object-id",
		principals[0], "--assignee-principal-type", "User", "--scope", hub.ID)
	var roles []struct{ RoleName string }
	c.az(&roles, "role", "definition", "list", "--name", role)
	if len(roles) != 1 || roles[0].RoleName != role {
		t.Errorf("got the roles %v, want %s", roles, role)
	}
	for _, assignment := range list.Value {
		c.az(nil, "role", "assignment", "delete", "--ids", assignment.ID)
	}
	if c.az(&list, "rest", "--url", assignments); len(list.Value) != 0 {
		t.Errorf("got the assignments %v after their deletion, want none", list)
	}
	c.az(nil, "identity", "delete", "-g", group, "-n", "links")
	c.refused("was not found", "identity", "show", "-g", group, "-n", "links")
}
