package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// storeProbe is the test binary with the benchmarks of the emulator's store, built once. Only the emulator may import
// its store, so the store's own package measures it.
type storeProbe struct{ binary, temporary string }

func buildStoreProbe(ctx context.Context, folder string) (storeProbe, error) {
	p := storeProbe{filepath.Join(folder, ".evenkeel", "bin", "state.test"),
		filepath.Join(folder, ".evenkeel", "bench")}
	if err := os.MkdirAll(p.temporary, 0o700); err != nil {
		return p, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", p.binary, "./emulator/internal/state")
	cmd.Dir, cmd.Stderr = folder, os.Stderr
	if err := cmd.Run(); err != nil {
		return p, fmt.Errorf("build the benchmark of the store: %w", err)
	}
	return p, nil
}

// command runs one of the benchmarks on the disk of the emulator's store.
func (p storeProbe) command(ctx context.Context, benchmark, span string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, "-test.run=^$", "-test.bench=^"+benchmark+"$", "-test.benchtime="+span)
	cmd.Env = append(os.Environ(), "TMPDIR="+p.temporary)
	return cmd
}

// commits measures the number of bare commits per second.
func (p storeProbe) commits(ctx context.Context, span time.Duration) (float64, *CommitSize, error) {
	out, err := p.command(ctx, "BenchmarkCommit", span.String()).Output()
	if err != nil {
		return 0, nil, fmt.Errorf("measure commits: %w\n%s", err, out)
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !strings.HasPrefix(fields[0], "BenchmarkCommit") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if metrics[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return 0, nil, fmt.Errorf("measure commits: read %q: %w", line, err)
			}
		}
	}
	rate := metrics["commits/s"]
	if rate <= 0 {
		return 0, nil, fmt.Errorf("measure commits: no rate in %q", out)
	}
	return rate, &CommitSize{Rows: int(metrics["rows"]), Bytes: int(metrics["bytes"])}, nil
}
