package main

import (
	"encoding/json"
	"fmt"

	"evenkeel/internal/keel/environment"
)

// The settings of stacks that share one provisioning service: the owner's, and those of its users.
const (
	sharedKey   = "shared"
	existingKey = "provisioningService"
	emulatorKey = "emulator"
)

// loginSettings returns the setting with which a stack that shares a provisioning service, or once did, logs in to the
// emulator's Azure Resource Manager, where it links its hubs. The client's secret stays in its file.
func loginSettings(e *environment.Environment) ([]environment.Setting, error) {
	have, err := e.Settings()
	if err != nil || have[sharedKey] != "true" && have[existingKey] == "" && have[emulatorKey] == "" {
		return nil, err
	}
	text, err := json.Marshal(map[string]string{
		"arm": e.Endpoints.ARM, "tenantId": e.Endpoints.TenantID, "clientId": e.Endpoints.ClientID,
		"secretFile": e.Endpoints.SecretFile,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the login of stack %q: %w", e.Stack, err)
	}
	return []environment.Setting{{Key: emulatorKey, Value: string(text)}}, nil
}

// upArgs returns the arguments of a pulumi up that asks nothing. A stack whose service is shared, or once was,
// refreshes first, because other stacks created some of the links.
func upArgs(e *environment.Environment) ([]string, error) {
	have, err := e.Settings()
	args := []string{"up", "--yes", "--skip-preview"}
	if have[emulatorKey] != "" && have[existingKey] == "" {
		args = append(args, "--refresh")
	}
	return args, err
}
