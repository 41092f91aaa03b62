package emulator

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"evenkeel/internal/hint"
)

// ControlTokenFile is the name of the file in Options.Dir that holds the token of the control port.
const ControlTokenFile = "control-token"

// controlTokenBytes makes the token impossible to guess.
const controlTokenBytes = 32

// openControlToken reads the token from the data folder, or creates it. Folders of earlier versions have none.
func (e *Emulator) openControlToken() error {
	if e.options.Dir == "" {
		e.controlToken = newControlToken()
		return nil
	}
	file := filepath.Join(e.options.Dir, ControlTokenFile)
	data, again, err := e.options.disk.ReadOrCreate(file, 0o600, func() ([]byte, error) {
		return []byte(newControlToken() + "\n"), nil
	})
	if err != nil {
		return fmt.Errorf("read or create the token of the control port: %w", err)
	}
	if again {
		e.options.Logger.Warn(
			"the token file was empty and is recreated: clients of the control port need the new token",
			"file", file)
	}
	e.controlToken = strings.TrimSpace(string(data))
	raw, err := base64.RawURLEncoding.DecodeString(e.controlToken)
	if err != nil || len(raw) != controlTokenBytes {
		return hint.To(fmt.Errorf("read %s: %w", file, errors.New("not a token of the emulator")),
			"restore the file from a backup, or remove it to get a new token, which clients of the control port must "+
				"then use")
	}
	e.keep(ControlTokenFile)
	return nil
}

func newControlToken() string {
	var raw [controlTokenBytes]byte
	_, _ = rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
