package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"evenkeel/internal/keel/environment"
)

// maxSkew is how far a clock may be off: Azure rejects tokens from about five minutes on.
const maxSkew = 5 * time.Minute

// plugins checks that Pulumi finds the plugins that it starts or attaches to: the provider azure-dps and, while the
// emulator runs, the local azure-native plugin.
func (d *diagnosis) plugins(context.Context) finding {
	name := "pulumi-resource-azure-dps"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	info, err := os.Stat(filepath.Join(d.folder.Bin(), name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return noteFinding("build it with: keel build", "the provider azure-dps is not built")
	case err != nil:
		return failedFinding(err, "build it again: keel build")
	case info.Mode()&0o111 == 0 && runtime.GOOS != "windows":
		return failedFinding(fmt.Errorf("%s is not executable: its mode is %o", name, info.Mode().Perm()),
			"remove it and build it again: keel build")
	}
	record, err := d.process.Find()
	if err != nil {
		return ok("azure-dps is built; the emulator, which does not run, serves the local azure-native plugin")
	}
	endpoints, err := decode(record)
	if err != nil {
		return failedFinding(err, startOverAdvice)
	}
	connection, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(endpoints.PluginPort)),
		5*time.Second)
	if err != nil {
		return failedFinding(fmt.Errorf("the local azure-native plugin does not answer: %w", err),
			"keel emulator stop, then keel emulator start")
	}
	_ = connection.Close()
	return ok("azure-dps is built, and the local azure-native plugin answers")
}

// skippedLocally is the finding of the checks of Azure for a local environment.
func skippedLocally(advice string) finding {
	return noteFinding(advice, "not checked: the environment is not on Azure")
}

const loginAdvice = "run az login, or set the ARM_ variables of a service principal, as for any azure-native program"

// login checks that Azure accepts the user's login, which the later checks need.
func (d *diagnosis) login(ctx context.Context) finding {
	if d.azure == nil {
		return skippedLocally("check it with: keel doctor --target azure")
	}
	azure, err := d.azure(ctx)
	if err == nil {
		d.account, err = azure.Account(ctx)
	}
	if err != nil {
		return failedFinding(err, loginAdvice)
	}
	d.cloud = azure
	return ok("Azure answers for subscription %s", d.account.ID)
}

// subscription checks that resources can be created in the subscription.
func (d *diagnosis) subscription(context.Context) finding {
	switch {
	case d.azure == nil:
		return skippedLocally("")
	case d.cloud == nil:
		return noteFinding("first: "+loginAdvice, "not checked: there is no login")
	case d.account.State != "Enabled":
		return failedFinding(fmt.Errorf("subscription %s (%s) is %s", d.account.Name, d.account.ID, d.account.State),
			"its owner can enable it in the portal; or choose another: pulumi config set azure-native:subscriptionId ID")
	}
	return ok("%s (%s)", d.account.Name, d.account.ID)
}

// registration checks that the subscription is registered for the resource provider of hubs and provisioning services.
func (d *diagnosis) registration(ctx context.Context) finding {
	switch {
	case d.azure == nil:
		return skippedLocally("")
	case d.cloud == nil:
		return noteFinding("first: "+loginAdvice, "not checked: there is no login")
	}
	const advice = "az provider register --namespace Microsoft.Devices --wait"
	state, err := d.cloud.Registration(ctx)
	if err != nil {
		return failedFinding(err, advice)
	}
	if state != "Registered" {
		return failedFinding(fmt.Errorf("the subscription is not registered for Microsoft.Devices: %s", state), advice)
	}
	return ok("Microsoft.Devices is registered")
}

// skew compares the clock with Azure's; isOff is false for a clock that agrees.
func (d *diagnosis) skew() (f finding, isOff bool) {
	if d.cloud == nil || d.account.Now.IsZero() {
		return finding{}, false
	}
	if off := d.now().Sub(d.account.Now).Abs(); off > maxSkew {
		return failedFinding(fmt.Errorf("the clock is %s off Azure's", off.Round(time.Second)),
			"correct the clock of this machine: Azure rejects tokens otherwise"), true
	}
	return finding{}, false
}

// remoteBackend asks Pulumi for the backend of an environment on Azure.
func (d *diagnosis) remoteBackend(ctx context.Context) finding {
	if d.remote.Pulumi == "" {
		return noteFinding("build it with: keel build", "not checked: there is no pulumi")
	}
	const advice = "run pulumi login, or set PULUMI_BACKEND_URL"
	if err := d.remote.Login(ctx); err != nil {
		return failedFinding(err, advice)
	}
	names, err := d.remote.Names(ctx)
	if err != nil {
		return failedFinding(err, advice)
	}
	return ok("%d environments, %s", len(names), d.remote.BackendName())
}

// remotePassphrase checks that a passphrase is available, if the stack's secrets are encrypted with one.
func (d *diagnosis) remotePassphrase(context.Context) finding {
	needed, err := d.remote.HasPassphrase()
	if err != nil {
		return failedFinding(err, "")
	}
	const advice = "set PULUMI_CONFIG_PASSPHRASE_FILE to the file that holds it, or set PULUMI_CONFIG_PASSPHRASE"
	file, named := d.variable("PULUMI_CONFIG_PASSPHRASE_FILE")
	_, said := d.variable("PULUMI_CONFIG_PASSPHRASE")
	switch {
	case named:
		if _, err := os.ReadFile(file); err != nil {
			return failedFinding(fmt.Errorf("read the passphrase: %w", err), advice)
		}
	case needed && !said:
		return failedFinding(fmt.Errorf("the secrets of stack %s need a passphrase, and none is set", d.remote.Stack),
			advice)
	case !needed && !said:
		return ok("not needed: the backend keeps the secrets, or the stack does not exist yet")
	}
	return ok("it is set")
}

func (d *diagnosis) variable(name string) (value string, set bool) {
	for _, pair := range slices.Backward(d.remote.Inherited) {
		if value, set := strings.CutPrefix(pair, name+"="); set {
			return value, true
		}
	}
	return "", false
}

// azureEnvironment returns the selected environment if it is on Azure, else nil.
func (a *app) azureEnvironment(folder environment.Folder) (*environment.Environment, error) {
	azure, err := a.isOnAzure(folder)
	if err != nil || !azure {
		return nil, err
	}
	return &environment.Environment{Folder: folder, Stack: a.stack, Target: environment.Azure, Backend: a.backend,
		Inherited: a.environ}, nil
}
