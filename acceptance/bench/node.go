package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// errNoNode is returned without Node, when there is nothing to compare with.
var errNoNode = errors.New("node and npm are not on PATH")

// node runs Azure's service SDK for Node, as the package lock of acceptance/node pins it.
type node struct {
	path, folder string
	env          []string
}

// openNode installs the SDK in a checkout unless it is installed already.
func openNode(ctx context.Context, folder string, f *fleet, caFile string) (*node, error) {
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, errNoNode
	}
	sdk := filepath.Join(folder, "acceptance", "node")
	if _, err := os.Stat(filepath.Join(sdk, "node_modules")); err != nil {
		npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		npm.Dir = sdk
		if out, err := npm.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
			return nil, errNoNode
		} else if err != nil {
			return nil, fmt.Errorf("npm ci: %w\n%s", err, out)
		}
	}
	_, port, err := net.SplitHostPort(f.data)
	if err != nil {
		return nil, err
	}
	return &node{path: path, folder: filepath.Join(folder, "acceptance", "bench"), env: append(os.Environ(),
		"NODE_PATH="+filepath.Join(sdk, "node_modules"), "NODE_EXTRA_CA_CERTS="+caFile, "EVENKEEL_DATA_PORT="+port,
		"EVENKEEL_CONNECTION_STRING="+f.connectionString)}, nil
}

// enroll creates enrollments in one of the ways of enroll.js and returns the number per second.
func (n *node) enroll(ctx context.Context, prefix string, count int, way string) (float64, error) {
	cmd := exec.CommandContext(ctx, n.path, "enroll.js", prefix, strconv.Itoa(count), way)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = n.folder, n.env, &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("create enrollments with Node, %s: %w\n%s", way, err, &stderr)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return float64(count) / seconds, err
}
