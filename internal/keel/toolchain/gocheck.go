package toolchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/version"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"evenkeel/internal/hint"
)

// ErrGo is the cause when the Go on PATH is missing or older than go.mod asks for.
var ErrGo = errors.New("go is missing or too old")

const goAdvice = "install %s or newer from https://go.dev/dl and put its bin folder first on PATH"

// CheckGo reports whether the go command works in root and is at least the version of root's go.mod.
func CheckGo(ctx context.Context, root string, env []string) error {
	want, err := goLine(filepath.Join(root, "go.mod"))
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd := command(ctx, root, env, "env", "GOVERSION")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if text := firstLine(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return hint.To(fmt.Errorf("%w: %w", ErrGo, err), goAdvice, want)
	}
	// A development version ("devel go1.27-...") counts as new enough: version.Compare cannot order it.
	have := strings.TrimSpace(string(out))
	if version.IsValid(have) && version.Compare(have, want) < 0 {
		return hint.To(fmt.Errorf("%w: %s is on PATH, %s is needed", ErrGo, have, want), goAdvice, want)
	}
	return nil
}

// goLine returns the version that a go.mod's go line asks for, in the form "go1.26.0".
func goLine(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the Go version of the project: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "go "); ok {
			return "go" + strings.TrimSpace(rest), nil
		}
	}
	return "", fmt.Errorf("read the Go version of the project: %s has no go line", file)
}

// command runs the go of env's PATH, not that of this process.
func command(ctx context.Context, folder string, env []string, args ...string) *exec.Cmd {
	name := goCommand(env)
	if name == "" {
		name = "go"
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = folder, OwnGo(env)
	return cmd
}

// keptFlags are the parts of GOFLAGS that change how the go command works and not what it builds.
var keptFlags = []string{"-p=", "-v", "-x", "-modcacherw"}

// OwnGo returns an environment in which the go command builds this project's modules for this machine, with BuildFlags,
// and ignores settings of other projects: a workspace above the checkout, GOFLAGS, another system. It sets the
// variables instead of removing them, because `go env -w` may have set them too.
func OwnGo(env []string) []string {
	flags := append([]string{"-mod=readonly"}, BuildFlags()...)
	for _, flag := range strings.Fields(variable(env, "GOFLAGS")) {
		if slices.ContainsFunc(keptFlags, func(kept string) bool {
			return flag == kept || strings.HasSuffix(kept, "=") && strings.HasPrefix(flag, kept)
		}) {
			flags = append(flags, flag)
		}
	}
	return append(
		slices.Clone(env),
		"GOWORK=off",
		"GO111MODULE=on",
		"GOFLAGS="+strings.Join(flags, " "),
		"GOOS="+runtime.GOOS,
		"GOARCH="+runtime.GOARCH,
	)
}

// goCommand returns the path of the go command on env's PATH, or "".
func goCommand(env []string) string {
	if path := variable(env, "PATH"); path != "" {
		return look(path, "go")
	}
	return ""
}

// variable returns the last value of a name in an environment; "" when the name is missing.
func variable(env []string, name string) string {
	for _, pair := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
