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

	"evenkeel/internal/azure/domain"
	"evenkeel/emulator"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
	"evenkeel/internal/keel/toolchain"
)

// examination is what the checks of doctor look at. They change nothing but a file that they remove again.
type examination struct {
	// host is the address that the emulator listens on; empty for its default.
	host    string
	folder  environment.Folder
	options toolchain.Options
	process background.Process
	now     func() time.Time
	// remote is the environment on Azure that is looked at, nil when it is none.
	remote *environment.Environment
	// azure logs in to Azure; nil where nothing is deployed there. The check of the login leaves cloud and account behind.
	azure   func(context.Context) (*environment.ResourceManager, error)
	cloud   *environment.ResourceManager
	account environment.Account
}

func (a *app) newExamination() (*examination, error) {
	folder, err := a.checkout()
	if err != nil {
		return nil, err
	}
	options, err := a.toolOptions(folder)
	if err != nil {
		return nil, err
	}
	d := &examination{folder: folder, options: options, process: a.process(folder), now: time.Now}
	if d.remote, err = a.remoteOf(folder); err != nil {
		return nil, err
	}
	if d.remote != nil {
		d.azure = d.remote.Subscription
	}
	return d, nil
}

func (d *examination) checkGo(ctx context.Context) finding {
	if err := toolchain.CheckGo(ctx, d.options.Root, d.options.Env); err != nil {
		return wrong(err, "")
	}
	return ok("new enough")
}

func (d *examination) pulumi(ctx context.Context) finding {
	tools, there, err := toolchain.Look(ctx, d.options)
	if err == nil && there && d.remote != nil {
		d.remote.Pulumi = tools.Pulumi
	}
	switch {
	case err != nil:
		return wrong(err, "")
	case !there && toolchain.CanBuild(d.options) != nil:
		return wrong(toolchain.CanBuild(d.options), "")
	case !there:
		return absentYet("keel build makes it; it takes some minutes, once", "%s is not built yet", tools.Pulumi)
	case tools.Note != "":
		return absentYet("", "%s; using %s", tools.Note, tools.Pulumi)
	}
	return ok("%s, %s", tools.Version, tools.Pulumi)
}

func (d *examination) programs(context.Context) finding {
	if !toolchain.Fresh(d.options, d.folder.Bin()) {
		return absentYet("the next keel up or keel build makes them", "keel, the plugin or the program is not built from the present sources")
	}
	return ok("as new as their sources")
}

func (d *examination) backend(ctx context.Context) finding {
	if d.remote != nil {
		return d.remoteBackend(ctx)
	}
	project, _, err := d.folder.Project()
	if err != nil {
		return wrong(err, "put Pulumi.yaml right: git diff Pulumi.yaml shows what has changed")
	}
	names, err := d.folder.Stacks()
	if err != nil {
		return wrong(err, "")
	}
	for _, name := range names {
		if _, err := (&environment.Environment{Folder: d.folder, Stack: name}).Summary(ctx); err != nil {
			return wrong(err, "the file of the stack in "+d.folder.Backend()+" or in stacks/ is damaged; Pulumi keeps the one before beside it, as .bak")
		}
	}
	file, err := os.CreateTemp(d.folder.Backend(), "doctor-*")
	if errors.Is(err, fs.ErrNotExist) {
		return absentYet("keel up makes it", "there is no backend yet")
	}
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(file.Name()))
	}
	if err != nil {
		return wrong(fmt.Errorf("write to the backend: %w", err), "it must belong to you, and its disk must have room")
	}
	return ok("project %s, %d environments, %s", project, len(names), d.folder.Backend())
}

// othersCheckout is the advice of a check that finds files of another user.
const othersCheckout = "run keel as that user, or in a checkout of your own"

func (d *examination) passphrase(ctx context.Context) finding {
	if d.remote != nil {
		return d.remotePassphrase(ctx)
	}
	info, err := os.Stat(d.folder.Passphrase())
	names, _ := d.folder.Stacks() // the check of the backend tells what is wrong with it
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(names) == 0:
		return absentYet("keel up makes it", "there is no passphrase yet")
	case errors.Is(err, fs.ErrNotExist):
		return wrong(fmt.Errorf("%s is gone, and with it the key to the secrets of: %s", d.folder.Passphrase(), strings.Join(names, ", ")),
			"put it back, or begin anew: keel emulator stop, and remove .evenkeel")
	case errors.Is(err, fs.ErrPermission) || err == nil && !isMine(info):
		return wrong(fmt.Errorf("%s belongs to another user", d.folder.Passphrase()), othersCheckout)
	case err != nil:
		return wrong(fmt.Errorf("look at the passphrase: %w", err), "")
	case info.Size() == 0:
		return wrong(fmt.Errorf("%s is empty", d.folder.Passphrase()),
			"put it back, or begin again: keel emulator stop, and remove .evenkeel")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return wrong(fmt.Errorf("others may read %s: its mode is %o", d.folder.Passphrase(), info.Mode().Perm()), "chmod 600 "+quote(d.folder.Passphrase()))
	}
	return ok("only you can read it")
}

func (d *examination) emulator(ctx context.Context) finding {
	record, err := d.process.Find()
	if errors.Is(err, background.ErrStopped) {
		return absentYet("keel emulator start, or keel up", "it does not run")
	}
	if err == nil {
		err = record.Check(ctx)
	}
	if err != nil {
		return wrong(err, "keel emulator stop, then keel emulator start; its log: keel emulator logs")
	}
	return ok("process %d answers, since %s", record.PID, record.Started.Local().Format(time.DateTime))
}

// ports looks whether the emulator can have the ports that it remembers; when it runs, it has them.
func (d *examination) ports(context.Context) finding {
	switch _, err := d.process.Find(); {
	case err == nil:
		return ok("the emulator has them")
	case errors.Is(err, fs.ErrPermission):
		return wrong(err, othersCheckout)
	}
	ports, err := d.remembered()
	if err != nil {
		return wrong(err, "keel emulator start --new-ports")
	}
	if len(ports) == 0 {
		return absentYet("", "none are chosen yet")
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", d.listenedOn(port))
		if err == nil {
			err = listener.Close()
		}
		if err == nil {
			continue
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) {
			return wrong(emulator.ExplainListen(d.listenedOn(port), err), "")
		}
		if holder := background.Holder(port); holder != "" {
			err = fmt.Errorf("%w: held by %s", err, holder)
		}
		return wrong(err, "stop that process, or choose new ports: keel emulator start --new-ports")
	}
	return ok("free, as the emulator left them")
}

// listenedOn is the address on which the emulator listens at a port.
func (d *examination) listenedOn(port int) string {
	return net.JoinHostPort(cmp.Or(d.host, emulator.DefaultHost), strconv.Itoa(port))
}

// remembered are the ports of the emulator's first start; none when there was no start.
func (d *examination) remembered() ([]int, error) {
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

// authority reads the emulator's certificate; nil when there is none yet.
func (d *examination) authority() (*x509.Certificate, error) {
	text, err := os.ReadFile(d.folder.Authority())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the emulator's certificate: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read the emulator's certificate: %s holds none", d.folder.Authority())
	}
	return x509.ParseCertificate(block.Bytes)
}

const anew = "begin anew: keel down, keel emulator stop, then remove .evenkeel/emulator"

// certificate looks whether what the emulator serves is signed by the authority that clients are told to trust.
func (d *examination) certificate(ctx context.Context) finding {
	authority, err := d.authority()
	if err != nil {
		return wrong(err, anew)
	}
	if authority == nil {
		return absentYet("", "there is none yet")
	}
	record, err := d.process.Find()
	if err != nil {
		return ok("signed by %s, until %s; not tried, as the emulator does not run", authority.Subject.CommonName, authority.NotAfter.Format(time.DateOnly))
	}
	endpoints, err := decode(record)
	if err != nil {
		return wrong(err, anew)
	}
	data, err := url.Parse(endpoints.Data)
	if err != nil {
		return wrong(fmt.Errorf("read the emulator's endpoints: %w", err), anew)
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 5 * time.Second},
		Config:    &tls.Config{RootCAs: roots, ServerName: domain.GlobalHost, MinVersion: tls.VersionTLS12, Time: d.now},
	}
	connection, err := dialer.DialContext(ctx, "tcp", data.Host)
	if err != nil {
		return wrong(fmt.Errorf("the emulator is not trusted: %w", err), "keel emulator stop, then keel emulator start; if that does not help, "+anew)
	}
	_ = connection.Close()
	return ok("signed by %s, until %s", authority.Subject.CommonName, authority.NotAfter.Format(time.DateOnly))
}

// clock compares the time with Azure's, if that was asked, and with the validity of the certificate: tokens and certificates are void for a clock that is far off.
func (d *examination) clock(context.Context) finding {
	if off, found := d.skew(); found {
		return off
	}
	authority, err := d.authority()
	if err != nil || authority == nil { // told by the check of the certificate
		return ok("nothing to compare it with yet")
	}
	now := d.now()
	switch {
	case now.Before(authority.NotBefore):
		return wrong(fmt.Errorf("it is %s, before the emulator's certificate was made (%s)", now.Format(time.DateTime), authority.NotBefore.Format(time.DateTime)),
			"set the clock right")
	case now.After(authority.NotAfter):
		return wrong(fmt.Errorf("it is %s, and the emulator's certificate ended at %s", now.Format(time.DateTime), authority.NotAfter.Format(time.DateTime)),
			"set the clock right; if it is, "+anew)
	}
	return ok("it agrees with the emulator's certificate")
}
