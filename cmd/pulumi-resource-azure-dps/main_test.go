package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"evenkeel/internal/await"
)

// asPlugin in the environment makes the test binary run as the plugin.
const asPlugin = "EVENKEEL_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestThePluginEndsWithItsEngine(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), await.Limit)
	defer cancel()
	plugin := exec.CommandContext(ctx, os.Args[0], "127.0.0.1:1") // nothing listens there
	plugin.Env = append(os.Environ(), asPlugin+"=1")
	engine, err := plugin.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := plugin.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := plugin.Start(); err != nil {
		t.Fatal(err)
	}
	port, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(strings.TrimSpace(port)); err != nil {
		t.Errorf("first line: got %q, want the port it serves", port)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, output)
	if err := plugin.Wait(); ctx.Err() != nil {
		t.Errorf("the plugin outlived its engine: %v", err)
	}
}

// The script that Pulumi.yaml names, in a checkout whose path contains spaces. Not parallel: a process that another
// test starts meanwhile would inherit the script open for writing, and the script could not be executed.
func TestTheScriptStartsTheProviderOrNamesTheBuildCommand(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a check out")
	script := filepath.Join(root, "tools", "plugin", "pulumi-resource-azure-dps")
	text, err := os.ReadFile(filepath.Join("..", "..", "tools", "plugin", "pulumi-resource-azure-dps"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, script, string(text))

	output, err := exec.CommandContext(await.Context(t), script, "127.0.0.1:1").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 ||
		!strings.Contains(string(output), "run 'make build' (or 'go run ./cmd/keel build') in "+root) {
		t.Errorf("without the binary: got %v, %q, want exit code 1 and the command that builds it", err, output)
	}
	write(t, filepath.Join(root, ".evenkeel", "bin", "pulumi-resource-azure-dps"),
		"#!/bin/sh\necho \"$#: $1\"\nexit 7\n")
	output, err = exec.CommandContext(await.Context(t), script, "127.0.0.1:1 x").Output()
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || string(output) != "1: 127.0.0.1:1 x\n" {
		t.Errorf("with the binary: got %v, %q, want its own output and exit code", err, output)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
