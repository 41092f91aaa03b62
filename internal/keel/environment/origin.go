package environment

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// OriginKey is the key of the configuration, and the tag of the resource group, that identify the backend and the
// project of an environment. It distinguishes stacks of the same name in two backends, also in one subscription.
const OriginKey = "origin"

// originFile is the file, in the folder of a file backend, with the backend's identity. It is outside of Pulumi's
// .pulumi.
const originFile = "evenkeel-origin"

// Origin returns the text that identifies this backend and project: the project's name and a digest. On Pulumi Cloud
// each organization counts as a backend, and Origin asks Pulumi for the stack's.
func (e *Environment) Origin(ctx context.Context) (string, error) {
	project, _, err := e.Folder.Project()
	if err != nil {
		return "", err
	}
	id, err := e.backendID(ctx)
	if err != nil {
		return "", err
	}
	return originOf(id, project), nil
}

func originOf(backend, project string) string {
	sum := sha256.Sum256([]byte(backend + "\n" + project))
	return project + "@" + hex.EncodeToString(sum[:8])
}

// backendIdentity returns the identity of a file backend, which the first caller creates. A path would not do: two
// machines may have the same one, and two paths may resolve to one folder.
func backendIdentity(folder string) (string, error) {
	file := filepath.Join(folder, originFile)
	text, err := os.ReadFile(file)
	if err == nil && durable.IsBlank(bytes.TrimSpace(text)) {
		err = hint.To(fmt.Errorf("%s is empty", file),
			"restore it from a copy, or remove it: earlier resource groups then count as foreign until the next keel up")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return strings.TrimSpace(string(text)), wrapIdentity(err)
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	// Of two processes that create it at once, one wins, and none reads a part of it.
	if err = durable.OS.MkdirAll(folder, 0o700); err == nil {
		err = durable.OS.CreateFile(file, []byte(hex.EncodeToString(random[:])+"\n"), 0o600)
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		text, err = os.ReadFile(file)
	}
	return strings.TrimSpace(string(text)), wrapIdentity(err)
}

func wrapIdentity(err error) error {
	if err != nil {
		return fmt.Errorf("identify the backend: %w", err)
	}
	return nil
}
