package main

import (
	"encoding/json"

	"evenkeel/internal/keel/environment"
)

// The JSON results of the verbs, except those that are declared beside their verb. docs/reference/keel.md shows them all.
// Members may be added; none is renamed or removed without a line in the changelog.

// broughtUp is what `up` prints.
type broughtUp struct {
	Stack    string                `json:"stack"`
	Emulator environment.Endpoints `json:"emulator"`
	// Outputs are the stack's; secret ones are masked.
	Outputs map[string]json.RawMessage `json:"outputs"`
}

// broughtDown is what `down` prints.
type broughtDown struct {
	Destroyed       bool `json:"destroyed"`
	EmulatorStopped bool `json:"emulatorStopped"`
}

// extended is what `extend` prints.
type extended struct {
	Name      string `json:"name"`
	ExpiresAt string `json:"expiresAt"`
}

// forgotten is what `reset` prints: how many it deleted.
type forgotten struct {
	Registrations int `json:"registrations"`
	HubDevices    int `json:"hubDevices"`
}

// reapedAll is what `reap` prints.
type reapedAll struct {
	DryRun       bool     `json:"dryRun"`
	Environments []reaped `json:"environments"`
}

// examined is what `doctor` prints.
type examined struct {
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

// builtTools is what `build` prints: which Pulumi is used, and where keel, the plugin and the program are.
type builtTools struct {
	Pulumi       string `json:"pulumi"`
	Version      string `json:"version"`
	Built        bool   `json:"built"`
	LanguageHost string `json:"languageHost"`
	Bin          string `json:"bin"`
}

// deviceSecret is what `devices key` prints.
type deviceSecret struct {
	Device string `json:"device"`
	Key    string `json:"key"`
}

// authority is what `devices ca` prints.
type authority struct {
	CAFile      string `json:"caFile"`
	Certificate string `json:"certificate"`
}

// stopped is what `emulator stop` prints.
type stopped struct {
	Stopped bool `json:"stopped"`
}

// emptied is what `emulator reset` prints.
type emptied struct {
	Reset bool `json:"reset"`
}

// snapshotDone is what `emulator snapshot save`, `restore` and `delete` print.
type snapshotDone struct {
	Snapshot string `json:"snapshot"`
	// Done is saved, restored or deleted.
	Done string `json:"done"`
}

// executed is what `exec` prints: the command's output and exit code.
type executed struct {
	Command  []string `json:"command"`
	ExitCode int      `json:"exitCode"`
	Stdout   string   `json:"stdout"`
	Stderr   string   `json:"stderr"`
}
