//go:build acceptance

package published_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"debug/macho"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	own "evenkeel/acceptance/checkout"
)

// buildArchives runs the release build of a checkout and returns the folder with the archives.
func buildArchives(t *testing.T, checkout, programs, platforms string, env ...string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "dist")
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("it is still running after %s", limit))
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "run", "./tools/dist", "-to", folder, "-platforms", platforms, "-commands",
		programs)
	cmd.Dir, cmd.Env = checkout, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the archives: %v (%v)\n%s", err, context.Cause(ctx), out)
	}
	return folder
}

// TestAnArchiveIsReproducible builds the provider's archive again in another folder with an empty build cache.
func TestAnArchiveIsReproducible(t *testing.T) {
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "another checkout")
	if err := own.Clone(top, again); err != nil {
		t.Fatal(err)
	}
	const program = "pulumi-resource-azure-dps"
	platform := runtime.GOOS + "/" + runtime.GOARCH
	first := buildArchives(t, top, program, platform)
	second := buildArchives(t, again, program, platform, "GOCACHE="+t.TempDir())
	files, err := os.ReadDir(first)
	if err != nil || len(files) != 4 {
		t.Fatalf("got %v, %v, want the archive, its bill of materials, the install script and SHA256SUMS", files, err)
	}
	for _, file := range files {
		one, err := os.ReadFile(filepath.Join(first, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		other, err := os.ReadFile(filepath.Join(second, file.Name()))
		if err != nil || !bytes.Equal(one, other) {
			t.Errorf("%s differs between the builds, or %v", file.Name(), err)
		}
	}
}

// TestArchivesForOtherSystemsHoldTheirPrograms builds keel and the provider for Windows and macOS. Nothing runs them.
func TestArchivesForOtherSystemsHoldTheirPrograms(t *testing.T) {
	folder := buildArchives(t, filepath.Join("..", ".."), "keel,pulumi-resource-azure-dps",
		"windows/amd64,darwin/arm64")
	for pattern, ending := range map[string]string{"*-windows-amd64.tar.gz": ".exe", "*-darwin-arm64.tar.gz": ""} {
		archives, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil || len(archives) != 2 {
			t.Fatalf("%s: got %v, %v, want keel and the provider", pattern, archives, err)
		}
		for _, archive := range archives {
			t.Run(filepath.Base(archive), func(t *testing.T) {
				files := unpack(t, archive)
				var program []byte
				for _, name := range []string{"keel" + ending, "pulumi-resource-azure-dps" + ending} {
					program = append(program, files[name]...)
				}
				if len(files["LICENSE"]) == 0 || len(files["NOTICE"]) == 0 {
					t.Error("the archive has no licence or no notice")
				}
				if ending == "" {
					if _, err = macho.NewFile(bytes.NewReader(program)); err != nil {
						t.Errorf("the program for macOS: %v", err)
					}
				} else if _, err = pe.NewFile(bytes.NewReader(program)); err != nil {
					t.Errorf("the program for Windows: %v", err)
				}
			})
		}
	}
}

// unpack returns the files of an archive by name.
func unpack(t *testing.T, archive string) map[string][]byte {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for in := tar.NewReader(unpacked); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}
