package main

import (
	"encoding/json"

	"evenkeel/internal/keel/environment"
)

// The JSON results of the verbs, except those that are declared beside their verb. docs/reference/keel.md shows them
// all. Members may be added; none is renamed or removed without a line in the changelog.

// upResult is what `up` prints.
type upResult struct {
	Stack    string                `json:"stack"`
	Emulator environment.Endpoints `json:"emulator"`
	// Outputs are the stack's; secret ones are masked.
	Outputs map[string]json.RawMessage `json:"outputs"`
	// Check is the result of --check.
	Check *provisionResult `json:"check,omitempty"`
}

// downResult is what `down` prints.
type downResult struct {
	Destroyed       bool `json:"destroyed"`
	EmulatorStopped bool `json:"emulatorStopped"`
}

// extendResult is what `extend` prints.
type extendResult struct {
	Name      string `json:"name"`
	ExpiresAt string `json:"expiresAt"`
}

// resetResult is what `reset` prints: how many it deleted.
type resetResult struct {
	Registrations int `json:"registrations"`
	HubDevices    int `json:"hubDevices"`
}

// reapResult is what `reap` prints.
type reapResult struct {
	DryRun       bool     `json:"dryRun"`
	Environments []reaped `json:"environments"`
}

// doctorResult is what `doctor` prints.
type doctorResult struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

// buildResult is what `build` prints: which Pulumi is used, and where keel, the plugin and the program are.
type buildResult struct {
	Pulumi       string `json:"pulumi"`
	Version      string `json:"version"`
	Built        bool   `json:"built"`
	LanguageHost string `json:"languageHost"`
	Bin          string `json:"bin"`
}

// deviceKeyResult is what `devices key` prints.
type deviceKeyResult struct {
	Device string `json:"device"`
	Key    string `json:"key"`
}

// authorityResult is what `devices ca` prints.
type authorityResult struct {
	CAFile      string `json:"caFile"`
	Certificate string `json:"certificate"`
}

// emulatorStopResult is what `emulator stop` prints.
type emulatorStopResult struct {
	Stopped bool `json:"stopped"`
}

// emulatorResetResult is what `emulator reset` prints.
type emulatorResetResult struct {
	Reset bool `json:"reset"`
}

// snapshotResult is what `emulator snapshot save`, `restore` and `delete` print.
type snapshotResult struct {
	Snapshot string `json:"snapshot"`
	// Done is saved, restored or deleted.
	Done string `json:"done"`
}

// execResult is what `exec` prints: the command's output and exit code.
type execResult struct {
	Command  []string `json:"command"`
	ExitCode int      `json:"exitCode"`
	Stdout   string   `json:"stdout"`
	Stderr   string   `json:"stderr"`
}
