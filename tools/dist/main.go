// Command dist builds the release archives of keel and of the provider: for each platform a .tar.gz in the form that
// `pulumi plugin install --file` takes, its software bill of materials (CycloneDX), SHA256SUMS, and the install script.
// Two builds of the same files with the same Go version give the same bytes.
//
//	go run ./tools/dist -to dist -url https://example.com/releases/v0.1.0
//	go run ./tools/dist -to dist -platforms linux/amd64
//
// It publishes nothing.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"evenkeel/internal/version"
)

// platforms are the ones that archives are built for.
var platforms = []string{
	"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64",
}

// commands are the programs in the archives: packages of cmd, named as their executables are.
var commands = []string{"keel", "pulumi-resource-azure-dps"}

// release is one run.
type release struct {
	// root is the top of the checkout, to the folder of the archives.
	root, to string
	// url is the address of the folder that users will download the archives from; "" leaves it to the install script's
	// user.
	url       string
	platforms []string
	commands  []string
	progress  io.Writer
}

func main() {
	to := flag.String("to", "dist", "the folder of the archives")
	url := flag.String("url", "", "the address that users download the archives from, for the install script")
	chosen := flag.String("platforms", strings.Join(platforms, ","), "the platforms, as os/arch,…")
	programs := flag.String("commands", strings.Join(commands, ","), "the programs")
	flag.Parse()
	r := release{root: ".", to: *to, url: *url, platforms: strings.Split(*chosen, ","),
		commands: strings.Split(*programs, ","), progress: os.Stderr}
	if err := r.build(); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// build builds everything. It checks the arguments first.
func (r release) build() error {
	for name, wrong := range map[string][]string{
		"platform": excluding(r.platforms, platforms), "program": excluding(r.commands, commands),
	} {
		if len(wrong) > 0 {
			return fmt.Errorf("unknown %s %q\nhint: the platforms are %s, the programs %s", name, wrong[0],
				strings.Join(platforms, ", "), strings.Join(commands, ", "))
		}
	}
	if err := os.MkdirAll(r.to, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "evenkeel-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	for _, platform := range r.platforms {
		for _, command := range r.commands {
			if err := r.buildArchive(work, command, platform); err != nil {
				return fmt.Errorf("build %s for %s: %w", command, platform, err)
			}
		}
	}
	if err := r.writeInstaller(); err != nil {
		return err
	}
	return writeSums(r.to)
}

// excluding returns the elements of list that are not in known.
func excluding(list, known []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(one string) bool { return slices.Contains(known, one) })
}

// archiveName is the name in Pulumi's form, without its ending: {command}-v{version}-{os}-{arch}.
func archiveName(command, platform string) string {
	return command + "-v" + version.Version + "-" + strings.ReplaceAll(platform, "/", "-")
}

// buildArchive writes the archive of a program for a platform, and its bill of materials.
func (r release) buildArchive(work, command, platform string) error {
	system, arch, _ := strings.Cut(platform, "/")
	executable := command
	if system == "windows" {
		executable += ".exe"
	}
	name := archiveName(command, platform)
	binary := filepath.Join(work, name, executable)
	fmt.Fprintln(r.progress, "building", name)
	// -trimpath and an empty build id keep this machine out of the binary.
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags", "osusergo", "-ldflags",
		"-s -w -buildid=", "-o", binary, "./cmd/"+command)
	build.Dir, build.Stderr = r.root, r.progress
	build.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=")
	if err := build.Run(); err != nil {
		return err
	}
	materials, err := describe(binary, command)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.to, name+".sbom.json"), materials, 0o644); err != nil {
		return err
	}
	notice, err := notices(r.root, binary)
	if err != nil {
		return err
	}
	noticeFile := filepath.Join(work, name, "NOTICE")
	if err := os.WriteFile(noticeFile, notice, 0o644); err != nil {
		return err
	}
	return writeArchive(filepath.Join(r.to, name+".tar.gz"), []entry{
		{executable, binary, 0o755}, {"LICENSE", filepath.Join(r.root, "LICENSE"), 0o644},
		{"NOTICE", noticeFile, 0o644},
	})
}

// writeInstaller writes the install script with the version and the address in it.
func (r release) writeInstaller() error {
	text, err := os.ReadFile(filepath.Join(r.root, "tools", "dist", "install.sh"))
	if err != nil {
		return err
	}
	filled := strings.NewReplacer("@VERSION@", version.Version, "@URL@", r.url).Replace(string(text))
	return os.WriteFile(filepath.Join(r.to, "install.sh"), []byte(filled), 0o755)
}

// writeSums writes SHA256SUMS, in the format of sha256sum, for all other files of a folder.
func writeSums(folder string) error {
	const name = "SHA256SUMS"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, entry := range entries {
		if entry.Name() == name || !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), entry.Name())
	}
	if text.Len() == 0 {
		return errors.New("no archive was built")
	}
	return os.WriteFile(filepath.Join(folder, name), []byte(text.String()), 0o644)
}
