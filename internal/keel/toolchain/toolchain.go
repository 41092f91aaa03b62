// Package toolchain finds the Pulumi CLI and its Go language host, or builds the pinned ones into a cache folder, and
// builds the project's own programs.
//
// It does not run Pulumi for anything but its version, and it reads no environment: the caller gives PATH, folders
// and the environment of child processes.
package toolchain

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"evenkeel/internal/hint"
)

// The Pulumi that is built when the user has none, and the range of the user's own that is accepted: MinVersion <= v
// < EndVersion.
const (
	PinnedVersion = "v3.250.0"
	MinVersion    = "v3.250.0"
	EndVersion    = "v4.0.0"
)

// ErrVersion is the cause when the version of the requested Pulumi is outside the accepted range.
var ErrVersion = errors.New("the version of pulumi must be at least " + MinVersion + " and below " + EndVersion)

// Tools are the programs a deployment runs with.
type Tools struct {
	// Pulumi and LanguageHost are absolute paths.
	Pulumi, LanguageHost string
	// Version is what that pulumi calls itself.
	Version string
	// Built is true for the pinned tools: their language host takes a program that is already built.
	Built bool
	// Note is for the user: why keel does not use their own Pulumi. Often empty.
	Note string
}

// Options are where to look for tools and where to build them.
type Options struct {
	// Root is the project's folder, with tools/pulumi and tools/language-go.
	Root string
	// Cache is the user's cache folder; the tools go into a folder of their own inside it. Empty where the user has
	// none: then nothing is found there or built.
	Cache string
	// Nameless is set when the system has no entry for the user, as in containers that run under any number (OpenShift,
	// docker run -u). Tools that ask the C library for the user do not run then.
	Nameless bool
	// Path is the list of folders to look for the user's own tools in.
	Path string
	// Explicit is the path of a pulumi that the user asked for, or "". Nothing else is tried then.
	Explicit string
	// HostBuilds is set if the language host builds the program, as that of an installed Pulumi does. Then BuildProject
	// does not, and Fresh does not look for it.
	HostBuilds bool
	// Env is the environment of child processes.
	Env []string
	// Report receives progress.
	Report Reporter
}

// Ensure returns tools that are ready to run: the explicit ones, else suitable ones on Path, else the pinned ones,
// which it builds when the cache lacks them.
func Ensure(ctx context.Context, o Options) (Tools, error) {
	tools, there, err := Look(ctx, o)
	if there || err != nil {
		return tools, err
	}
	if err := CheckGo(ctx, o.Root, o.Env); err != nil {
		return Tools{}, err
	}
	if err := buildTools(ctx, o, filepath.Dir(tools.Pulumi)); err != nil {
		return Tools{}, err
	}
	return tools, nil
}

// Look returns the tools that Ensure would return, and whether they exist. It builds nothing.
func Look(ctx context.Context, o Options) (tools Tools, there bool, err error) {
	if o.Explicit != "" {
		tools, err = explicit(ctx, o)
		return tools, err == nil, err
	}
	own, note := onPath(ctx, o)
	if own != nil {
		return *own, true, nil
	}
	if o.Cache == "" {
		return Tools{}, false, hint.To(ErrNoCache, cacheAdvice)
	}
	tools = Cached(o.Cache)
	tools.Note = note
	return tools, o.usable(tools), nil
}

// ErrNoCache is the cause when tools have to be built and the user has no cache folder.
var ErrNoCache = errors.New("no cache folder for Pulumi: neither $XDG_CACHE_HOME nor $HOME is set")

const cacheAdvice = "set HOME, or XDG_CACHE_HOME and GOPATH, to folders that you may write; or use an installed " +
	"pulumi: --pulumi FILE"

// pureUser is the build tag with which a program looks the user up without the C library: in /etc/passwd and, if
// there is no entry, in USER and HOME.
const pureUser = "osusergo"

// usable reports whether the tools are there and run for this user.
func (o Options) usable(t Tools) bool {
	return Complete(t) && o.runs(t.Pulumi) && o.runs(realHost(filepath.Dir(t.Pulumi)))
}

// runs reports whether a tool that keel built runs for this user. Earlier versions built the tools without pureUser.
func (o Options) runs(file string) bool {
	if !o.Nameless {
		return true
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return true // no build information: assume that it runs
	}
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool {
		return s.Key == "CGO_ENABLED" && s.Value == "0" ||
			s.Key == "-tags" && slices.Contains(strings.Split(s.Value, ","), pureUser)
	})
}

func explicit(ctx context.Context, o Options) (Tools, error) {
	path, err := filepath.Abs(o.Explicit)
	if err != nil {
		return Tools{}, fmt.Errorf("use pulumi %q: %w", o.Explicit, err)
	}
	version, err := pulumiVersion(ctx, path, o.Env)
	if err != nil {
		return Tools{}, fmt.Errorf("use pulumi %q: %w", o.Explicit, err)
	}
	if !Accepted(version) {
		return Tools{}, hint.To(fmt.Errorf("use pulumi %q: it is %s: %w", o.Explicit, version, ErrVersion),
			"omit --pulumi and EVENKEEL_PULUMI: keel then builds %s", PinnedVersion)
	}
	host := languageHost(path, o.Path)
	if host == "" {
		return Tools{}, hint.To(fmt.Errorf("use pulumi %q: no pulumi-language-go beside it or on PATH", o.Explicit),
			"install the whole Pulumi archive, which holds both")
	}
	return Tools{Pulumi: path, LanguageHost: host, Version: version}, nil
}

// onPath returns the user's own tools, or nil and a note for the user when there are some that do not fit.
func onPath(ctx context.Context, o Options) (*Tools, string) {
	path := look(o.Path, "pulumi")
	if path == "" {
		return nil, ""
	}
	version, err := pulumiVersion(ctx, path, o.Env)
	switch {
	case err != nil:
		return nil, fmt.Sprintf("%s is not used: %v", path, err)
	case !Accepted(version):
		return nil, fmt.Sprintf("%s is not used: it is %s; %v", path, version, ErrVersion)
	}
	host := languageHost(path, o.Path)
	if host == "" {
		return nil, path + " is not used: no pulumi-language-go beside it or on PATH"
	}
	return &Tools{Pulumi: path, LanguageHost: host, Version: version}, ""
}

// Cached returns the paths of the pinned tools, built or not, under a user's cache folder.
func Cached(cache string) Tools {
	folder := filepath.Join(cache, "evenkeel", "pulumi-"+PinnedVersion+"-"+runtime.GOOS+"-"+runtime.GOARCH)
	return Tools{
		Pulumi:       filepath.Join(folder, executable("pulumi")),
		LanguageHost: filepath.Join(folder, executable("pulumi-language-go")),
		Version:      PinnedVersion, Built: true,
	}
}

// Complete reports whether every file of the tools exists. Builds rename complete files into place, so that a file that
// exists is complete.
func Complete(t Tools) bool {
	files := []string{t.Pulumi, t.LanguageHost}
	if t.Built {
		files = append(files, realHost(filepath.Dir(t.Pulumi)))
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// Accepted reports whether a Pulumi of that version (as `pulumi version` prints it) may be used.
func Accepted(version string) bool {
	return semver.IsValid(version) && semver.Compare(version, MinVersion) >= 0 &&
		semver.Compare(version, EndVersion+"-0") < 0
}

func pulumiVersion(ctx context.Context, path string, env []string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env, cmd.Stderr = append(env, "PULUMI_SKIP_UPDATE_CHECK=true"), &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ask its version: %w %s", err, firstLine(stderr.String()))
	}
	version := strings.TrimSpace(string(out))
	if !strings.HasPrefix(version, "v") {
		version = "v" + version
	}
	if !semver.IsValid(version) {
		return "", errors.New("ask its version: the answer is not a version")
	}
	return version, nil
}

// languageHost looks beside the CLI first, as the CLI itself does.
func languageHost(pulumi, path string) string {
	beside := filepath.Dir(pulumi)
	if resolved, err := filepath.EvalSymlinks(pulumi); err == nil {
		beside += string(filepath.ListSeparator) + filepath.Dir(resolved)
	}
	return look(beside+string(filepath.ListSeparator)+path, "pulumi-language-go")
}

func look(path, name string) string {
	for _, folder := range filepath.SplitList(path) {
		if !filepath.IsAbs(folder) {
			continue // like os/exec: nothing out of the current folder
		}
		file := filepath.Join(folder, executable(name))
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() &&
			(runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
			return file
		}
	}
	return ""
}

func executable(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

func realHost(folder string) string {
	return filepath.Join(folder, executable("pulumi-language-go-real"))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
