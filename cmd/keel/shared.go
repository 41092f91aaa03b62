package main

import (
	"encoding/json"
	"fmt"

	"evenkeel/internal/keel/environment"
)

// The settings by which stacks share one provisioning service: its owner's, and those of who uses it.
const (
	sharedKey   = "shared"
	existingKey = "provisioningService"
	emulatorKey = "emulator"
)

// loginSettings leads a stack that shares a provisioning service, or once did, to the emulator's Azure Resource Manager, where its hubs
// are linked. The client's secret stays in its file.
func loginSettings(e *environment.Environment) ([]environment.Setting, error) {
	have, err := e.Settings()
	if err != nil || have[sharedKey] != "true" && have[existingKey] == "" && have[emulatorKey] == "" {
		return nil, err
	}
	text, err := json.Marshal(map[string]string{
		"arm": e.Endpoints.ARM, "tenantId": e.Endpoints.TenantID, "clientId": e.Endpoints.ClientID, "secretFile": e.Endpoints.SecretFile,
	})
	if err != nil {
		return nil, fmt.Errorf("configure the login of stack %q: %w", e.Stack, err)
	}
	return []environment.Setting{{Key: emulatorKey, Value: string(text)}}, nil
}

// upArgs are the arguments of an up without questions. The links of a service that is shared, or once was, are looked at first: others made
// some of them.
func upArgs(e *environment.Environment) ([]string, error) {
	have, err := e.Settings()
	args := []string{"up", "--yes", "--skip-preview"}
	if have[emulatorKey] != "" && have[existingKey] == "" {
		args = append(args, "--refresh")
	}
	return args, err
}
