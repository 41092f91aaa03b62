package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// step is one program to build. It is written under a temporary name and renamed when complete, so that an interrupted
// build leaves nothing that looks finished.
type step struct {
	what, folder, out string
	args              []string
}

// buildTools builds the pinned tools into folder. The second of two builders waits for a lock and then finds the tools
// complete.
func buildTools(ctx context.Context, o Options, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return hint.To(fmt.Errorf("build Pulumi: %w", err), cacheAdvice)
	}
	unlock, err := lock(ctx, filepath.Join(folder, ".lock"), o.Report)
	if err != nil {
		return fmt.Errorf("build Pulumi: %w", err)
	}
	defer unlock()
	if o.usable(Cached(o.Cache)) {
		return nil
	}
	o.Report.say("building Pulumi " + PinnedVersion + " into " + folder +
		", once for this machine: about 5 minutes on 2 cores, up to 5 GB of disk with downloads and build cache")
	const versionFlag = "-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=" + PinnedVersion
	host := filepath.Join(o.Root, "tools", "language-go")
	for _, s := range []step{
		{"the Pulumi Go language host", host, realHost(folder),
			[]string{"-ldflags", "-s -w", "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go"}},
		{"the language host's wrapper", host, filepath.Join(folder, executable("pulumi-language-go")),
			[]string{"-ldflags", "-s -w", "./wrapper"}},
		{"the Pulumi CLI " + PinnedVersion,
			filepath.Join(o.Root, "tools", "pulumi"), filepath.Join(folder, executable("pulumi")),
			[]string{"-ldflags", versionFlag, "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"}},
	} {
		if _, err := os.Stat(s.out); err == nil && o.runs(s.out) {
			continue
		}
		temp := s.out + ".new"
		log := filepath.Join(folder, "build.log")
		if err := goBuild(ctx, o, s.what, s.folder, log, append([]string{"-o", temp}, s.args...)); err != nil {
			return err
		}
		err := durable.SyncFile(temp)
		if err == nil {
			err = os.Rename(temp, s.out)
		}
		if err != nil {
			return fmt.Errorf("build %s: %w", s.what, err)
		}
	}
	return nil
}

// CanBuild returns an error when the folder of the tools cannot be created or written. It leaves nothing there.
func CanBuild(o Options) error {
	folder := filepath.Dir(Cached(o.Cache).Pulumi)
	for {
		if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) || folder == filepath.Dir(folder) {
			break
		}
		folder = filepath.Dir(folder)
	}
	probe, err := os.CreateTemp(folder, ".evenkeel-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return hint.To(fmt.Errorf("write to the cache folder of Pulumi: %w", err), cacheAdvice)
	}
	return nil
}

// BuildProject builds the project's own programs into bin: keel, the azure-dps plugin and, unless the language host
// builds it, the program main.go. The go command decides what is stale. A lock file in bin keeps two commands of one
// checkout apart.
func BuildProject(ctx context.Context, o Options, bin string) error {
	return inBin(ctx, o, bin, func(log string) error {
		inputs, err := stamp(o) // before the build: what changes meanwhile makes the stamp stale
		if err != nil {
			inputs = "" // without a stamp, the next command builds again
		}
		tools := []string{"-o", bin + string(filepath.Separator), "./cmd/keel", "./cmd/pulumi-resource-azure-dps"}
		if err := goBuild(ctx, o, "keel and the azure-dps plugin", o.Root, log, tools); err != nil {
			return err
		}
		if o.HostBuilds {
			return setStamp(bin, inputs)
		}
		if err := goBuild(ctx, o, "the program", o.Root, log, []string{"-o", Program(bin), "."}); err != nil {
			return err
		}
		return setStamp(bin, inputs)
	})
}

// BuildKeel builds only keel, from which the background emulator runs, into bin.
func BuildKeel(ctx context.Context, o Options, bin string) error {
	return inBin(ctx, o, bin, func(log string) error {
		return goBuild(ctx, o, "keel", o.Root, log, []string{"-o", bin + string(filepath.Separator), "./cmd/keel"})
	})
}

// inBin checks Go, locks bin, removes its stamp and then builds.
func inBin(ctx context.Context, o Options, bin string, build func(log string) error) error {
	if err := CheckGo(ctx, o.Root, o.Env); err != nil {
		return err
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return fmt.Errorf("build the project: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(bin, ".lock"), o.Report)
	if err != nil {
		return fmt.Errorf("build the project: %w", err)
	}
	defer unlock()
	if err := setStamp(bin, ""); err != nil {
		return err
	}
	return build(filepath.Join(bin, "build.log"))
}

// BuildFlags returns the flags of every build: of Pulumi, its language host, keel, the plugin and the program. They
// share most of their packages, and a flag that differs compiles these again. OwnGo sets them in GOFLAGS, which also
// reaches the language host of an installed Pulumi; the Makefile sets the same.
//
// The build does not stamp the commit: that would link again after each one, and git refuses to read a checkout of
// another user. The tag is pureUser.
func BuildFlags() []string { return []string{"-buildvcs=false", "-tags=" + pureUser} }

// Program returns the path of the built program in bin.
func Program(bin string) string { return filepath.Join(bin, executable("program")) }

// goBuild runs one go build, with its output in the log file. The error names the file and quotes its first lines.
func goBuild(ctx context.Context, o Options, what, folder, logFile string, args []string) error {
	log, err := os.Create(logFile)
	if err != nil {
		return fmt.Errorf("build %s: %w", what, err)
	}
	defer func() { _ = log.Close() }()
	cmd := command(ctx, folder, o.Env, append([]string{"build"}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	done := o.Report.start(what)
	err = cmd.Run()
	done(err)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("build %s: %w", what, ctx.Err())
	}
	said := head(logFile, 20)
	err = fmt.Errorf("build %s: %w\n%s", what, err, said)
	if slices.ContainsFunc(noFolders, func(text string) bool { return strings.Contains(said, text) }) {
		return hint.To(err, "set HOME, or GOCACHE and GOPATH, to folders that you may write")
	}
	return hint.To(err, "the whole output is in %s", logFile)
}

// noFolders are messages of the go command when its cache folders are not set or not writable.
var noFolders = []string{
	"GOCACHE is not defined", "neither GOMODCACHE nor GOPATH is set", "could not create module cache",
	"failed to initialize build cache",
}

// lock takes the file lock. It reports a wait when another process holds the lock for longer than a moment.
func lock(ctx context.Context, file string, report Reporter) (func(), error) {
	held := flock.New(file)
	moment, cancel := context.WithTimeout(ctx, report.quiet())
	ok, err := held.TryLockContext(moment, 20*time.Millisecond)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		report.say("waiting for another keel that is building")
		ok, err = held.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil || !ok {
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	return func() { _ = held.Unlock() }, nil
}

func head(file string, lines int) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(io.LimitReader(f, 16<<10))
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[:min(lines, len(all))], "\n")
}
