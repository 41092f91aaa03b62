package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"evenkeel/emulator"
	"evenkeel/internal/azure/domain"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
)

// diagnosis holds what the checks of doctor examine. They change nothing, except a file that they remove again.
type diagnosis struct {
	// host is the address that the emulator listens on; empty for its default.
	host    string
	folder  environment.Folder
	options toolchain.Options
	process background.Process
	now     func() time.Time
	// selected is the environment to check, and remote the same if it is on Azure, otherwise nil.
	selected, remote *environment.Environment
	// azure logs in to Azure; nil for a local environment. The check of the login sets cloud and account.
	azure   func(context.Context) (*environment.ResourceManager, error)
	cloud   *environment.ResourceManager
	account environment.Account
	// read is what the environment has; nil before the first check of it. unread tells why it could not be read.
	read   *deployed
	unread *finding
}

func (a *app) newDiagnosis() (*diagnosis, error) {
	folder, err := a.checkout()
	if err != nil {
		return nil, err
	}
	options, err := a.toolOptions(folder)
	if err != nil {
		return nil, err
	}
	d := &diagnosis{folder: folder, options: options, process: a.process(folder), now: time.Now}
	if d.remote, err = a.azureEnvironment(folder); err != nil {
		return nil, err
	}
	d.selected = &environment.Environment{Folder: folder, Stack: a.stack, Backend: a.backend, Inherited: a.environ}
	if d.remote != nil {
		d.selected, d.azure = d.remote, d.remote.Subscription
	}
	return d, nil
}

func (d *diagnosis) checkGo(ctx context.Context) finding {
	if err := toolchain.CheckGo(ctx, d.options.Root, d.options.Env); err != nil {
		return failedFinding(err, "")
	}
	return ok("new enough")
}

func (d *diagnosis) pulumi(ctx context.Context) finding {
	tools, there, err := toolchain.Look(ctx, d.options)
	if err == nil && there && d.selected != nil {
		d.selected.Pulumi = tools.Pulumi
	}
	switch {
	case err != nil:
		return failedFinding(err, "")
	case !there && toolchain.CanBuild(d.options) != nil:
		return failedFinding(toolchain.CanBuild(d.options), "")
	case !there:
		return noteFinding("build it with: keel build; it takes some minutes, once", "%s is not built yet",
			tools.Pulumi)
	case tools.Note != "":
		return noteFinding("", "%s; using %s", tools.Note, tools.Pulumi)
	}
	return ok("%s, %s", tools.Version, tools.Pulumi)
}

func (d *diagnosis) programs(ctx context.Context) finding {
	options := d.options
	if tools, there, err := toolchain.Look(ctx, options); err == nil && there {
		options.HostBuilds = !tools.Built
	}
	if !toolchain.Fresh(options, d.folder.Bin()) {
		return noteFinding("build them with: keel build, or keel up",
			"keel, the plugin or the program is missing or older than its sources")
	}
	return ok("as new as their sources")
}

func (d *diagnosis) backend(ctx context.Context) finding {
	if d.remote != nil {
		return d.remoteBackend(ctx)
	}
	project, _, err := d.folder.Project()
	if err != nil {
		return failedFinding(err, "correct Pulumi.yaml; to see what changed: git diff Pulumi.yaml")
	}
	names, err := d.folder.Stacks()
	if err != nil {
		return failedFinding(err, "")
	}
	for _, name := range names {
		if _, err := (&environment.Environment{Folder: d.folder, Stack: name}).Summary(ctx); err != nil {
			return failedFinding(err, "the file of the stack in "+d.folder.Backend()+
				" or in stacks/ is damaged; restore Pulumi's previous version, the file beside it that ends in .bak")
		}
	}
	file, err := os.CreateTemp(d.folder.Backend(), "doctor-*")
	if errors.Is(err, fs.ErrNotExist) {
		return noteFinding("keel up creates it", "the backend does not exist yet")
	}
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return failedFinding(fmt.Errorf("write to the backend: %w", err), "make the folder yours, or free disk space")
	}
	return ok("project %s, %d environments, %s", project, len(names), d.folder.Backend())
}

// otherUserAdvice is the advice of a check that finds files of another user.
const otherUserAdvice = "run keel as that user, or in a checkout of your own"

func (d *diagnosis) passphrase(ctx context.Context) finding {
	if d.remote != nil {
		return d.remotePassphrase(ctx)
	}
	info, err := os.Stat(d.folder.Passphrase())
	names, _ := d.folder.Stacks() // the check of the backend reports the error
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(names) == 0:
		return noteFinding("keel up creates it", "there is no passphrase yet")
	case errors.Is(err, fs.ErrNotExist):
		return failedFinding(fmt.Errorf("%s does not exist, and without it the secrets of these stacks cannot be "+
			"read: %s", d.folder.Passphrase(), strings.Join(names, ", ")),
			"restore it from a copy, or start over: keel emulator stop, then remove .evenkeel")
	case errors.Is(err, fs.ErrPermission) || err == nil && !isMine(info):
		return failedFinding(fmt.Errorf("%s belongs to another user", d.folder.Passphrase()), otherUserAdvice)
	case err != nil:
		return failedFinding(fmt.Errorf("read the passphrase file: %w", err), "")
	case info.Size() == 0:
		return failedFinding(fmt.Errorf("%s is empty", d.folder.Passphrase()),
			"restore it from a copy, or start over: keel emulator stop, then remove .evenkeel")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return failedFinding(fmt.Errorf("others may read %s: its mode is %o", d.folder.Passphrase(),
			info.Mode().Perm()), "chmod 600 "+quote(d.folder.Passphrase()))
	}
	return ok("only you can read it")
}

func (d *diagnosis) emulator(ctx context.Context) finding {
	record, err := d.process.Find()
	if errors.Is(err, background.ErrStopped) {
		return noteFinding("keel emulator start, or keel up", "not running")
	}
	if err == nil {
		err = record.Check(ctx)
	}
	if err != nil {
		return failedFinding(err, "keel emulator stop, then keel emulator start; its log: keel emulator logs")
	}
	return ok("process %d answers, since %s", record.PID, record.Started.Local().Format(time.DateTime))
}

// ports checks that the remembered ports are free for the emulator, or in use by it.
func (d *diagnosis) ports(context.Context) finding {
	switch _, err := d.process.Find(); {
	case err == nil:
		return ok("in use by the emulator")
	case errors.Is(err, fs.ErrPermission):
		return failedFinding(err, otherUserAdvice)
	}
	ports, err := d.rememberedPorts()
	if err != nil {
		return failedFinding(err, "keel emulator start --new-ports")
	}
	if len(ports) == 0 {
		return noteFinding("", "not chosen yet")
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", d.listenAddress(port))
		if err == nil {
			err = listener.Close()
		}
		if err == nil {
			continue
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return failedFinding(emulator.ExplainListen(d.listenAddress(port), err), "")
		}
		if holder := background.Holder(port); holder != "" {
			err = fmt.Errorf("%w: held by %s", err, holder)
		}
		return failedFinding(err, "stop that process, or choose new ports: keel emulator start --new-ports")
	}
	return ok("free for the emulator")
}

// listenAddress is the address on which the emulator listens at a port.
func (d *diagnosis) listenAddress(port int) string {
	return net.JoinHostPort(cmp.Or(d.host, emulator.DefaultHost), strconv.Itoa(port))
}

// rememberedPorts returns the ports of the emulator's first start; none before that.
func (d *diagnosis) rememberedPorts() ([]int, error) {
	byName := map[string]int{}
	for _, name := range portFiles {
		text, err := os.ReadFile(filepath.Join(d.folder.Emulator(), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the remembered ports: %w", err)
		}
		if name == pluginPortFile {
			byName["plugin"], err = strconv.Atoi(strings.TrimSpace(string(text)))
		} else {
			err = json.Unmarshal(text, &byName)
		}
		if err != nil {
			return nil, fmt.Errorf("read the remembered ports of %s: %w", name, err)
		}
	}
	var ports []int
	for _, port := range byName {
		ports = append(ports, port)
	}
	slices.Sort(ports)
	return ports, nil
}

// authority reads the emulator's certificate; nil if it does not exist yet.
func (d *diagnosis) authority() (*x509.Certificate, error) {
	text, err := os.ReadFile(d.folder.Authority())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the emulator's certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read the emulator's certificate: no certificate in %s", d.folder.Authority())
	}
	return x509.ParseCertificate(block.Bytes)
}

const startOverAdvice = "start over: keel down, keel emulator stop, then remove .evenkeel/emulator"

// certificate checks that the authority that clients trust signed the emulator's server certificate.
func (d *diagnosis) certificate(ctx context.Context) finding {
	authority, err := d.authority()
	if err != nil {
		return failedFinding(err, startOverAdvice)
	}
	if authority == nil {
		return noteFinding("", "not created yet")
	}
	record, err := d.process.Find()
	if err != nil {
		return ok("signed by %s, until %s; no connection tried: the emulator does not run",
			authority.Subject.CommonName, authority.NotAfter.Format(time.DateOnly))
	}
	endpoints, err := decode(record)
	if err != nil {
		return failedFinding(err, startOverAdvice)
	}
	data, err := url.Parse(endpoints.Data)
	if err != nil {
		return failedFinding(fmt.Errorf("read the emulator's endpoints: %w", err), startOverAdvice)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 5 * time.Second},
		Config: &tls.Config{RootCAs: roots, ServerName: domain.GlobalHost, MinVersion: tls.VersionTLS12,
			Time: d.now},
	}
	connection, err := dialer.DialContext(ctx, "tcp", data.Host)
	if err != nil {
		return failedFinding(fmt.Errorf("the emulator is not trusted: %w", err),
			"keel emulator stop, then keel emulator start; if that does not help, "+startOverAdvice)
	}
	_ = connection.Close()
	return ok("signed by %s, until %s", authority.Subject.CommonName, authority.NotAfter.Format(time.DateOnly))
}

// clock compares the time with Azure's, if a check has asked Azure, and with the validity of the certificate: tokens
// and certificates are invalid for a clock that is far off.
func (d *diagnosis) clock(context.Context) finding {
	if off, found := d.skew(); found {
		return off
	}
	authority, err := d.authority()
	if err != nil || authority == nil { // the check of the certificate reports the error
		return ok("nothing to compare it with yet")
	}
	now := d.now()
	switch {
	case now.Before(authority.NotBefore):
		return failedFinding(fmt.Errorf("it is %s, before the emulator's certificate was created (%s)",
			now.Format(time.DateTime), authority.NotBefore.Format(time.DateTime)),
			"correct the clock of this machine")
	case now.After(authority.NotAfter):
		return failedFinding(fmt.Errorf("it is %s, and the emulator's certificate expired at %s",
			now.Format(time.DateTime), authority.NotAfter.Format(time.DateTime)),
			"correct the clock of this machine; if it is right, "+startOverAdvice)
	}
	return ok("it agrees with the emulator's certificate")
}
