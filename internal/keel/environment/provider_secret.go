package environment

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"evenkeel/internal/hint"
)

// SecretRefusal is how the local azure-native plugin refuses an engine; cmd/keel has a test that the two agree.
const SecretRefusal = "azure-native provider does not hold the emulator's client secret"

// runProgram has Pulumi run the program at refresh and destroy, as at up.
const runProgram = "PULUMI_RUN_PROGRAM"

// lacksSecret reports whether the state of a local stack is of a time when its azure-native provider held no secret. A
// refresh or destroy takes the provider from the state, and the plugin refuses that one; when Pulumi runs the program
// too, it takes it from there. Only the file backend is looked at: elsewhere it would take a run of Pulumi each time.
func (e *Environment) lacksSecret() bool {
	if e.Target == Azure || e.fileBackend() == "" {
		return false
	}
	project, _, err := e.Folder.Project()
	if err != nil {
		return false
	}
	file, err := os.Open(e.stateFile(project))
	if err != nil {
		return false // there is no state yet
	}
	defer func() { _ = file.Close() }()
	provider, err := localProvider(file)
	return err == nil && provider != nil && provider["clientSecret"] == nil
}

// localProvider returns the inputs of the first explicit azure-native provider of a checkpoint, or nil. The provider is
// among the first resources, and the rest, which may be large, is not read.
func localProvider(checkpoint io.Reader) (map[string]json.RawMessage, error) {
	decoder := json.NewDecoder(checkpoint)
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if token != "resources" {
			continue
		}
		if token, err = decoder.Token(); token != json.Delim('[') || err != nil {
			continue
		}
		for decoder.More() {
			var r struct {
				URN    string                     `json:"urn"`
				Type   string                     `json:"type"`
				Inputs map[string]json.RawMessage `json:"inputs"`
			}
			if err := decoder.Decode(&r); err != nil {
				return nil, err
			}
			if r.Type == "pulumi:providers:azure-native" && strings.HasSuffix(r.URN, "::emulator") {
				return r.Inputs, nil
			}
		}
		return nil, nil
	}
}

// adviseSecret says how the state gets the secret.
func (e *Environment) adviseSecret(err error) error {
	return hint.To(err, "the state of stack %s gets the secret by: keel up %[1]s", e.Stack)
}
