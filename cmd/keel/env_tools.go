package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

// errNotRunning is the error of commands that need a running emulator and start none.
func errNotRunning() error {
	return hint.To(errors.New("the emulator is not running"), "start it with: keel emulator start")
}

// runningEmulator returns the endpoints of the checkout's emulator, and an error unless it runs and answers. It builds
// and starts nothing.
func (a *app) runningEmulator(ctx context.Context) (environment.Folder, environment.Endpoints, error) {
	folder, err := a.checkout()
	if err != nil {
		return folder, environment.Endpoints{}, err
	}
	record, err := a.runningProcess(ctx, folder)
	if err != nil {
		return folder, environment.Endpoints{}, err
	}
	endpoints, err := decode(record)
	return folder, endpoints, err
}

// runningProcess returns the record of a checkout's emulator, and an error unless it runs and answers.
func (a *app) runningProcess(ctx context.Context, folder environment.Folder) (background.Record, error) {
	record, err := a.process(folder).Find()
	if err == nil {
		err = record.Check(ctx)
	}
	switch {
	case err == nil:
		return record, nil
	case errors.Is(err, background.ErrStopped):
		return record, errNotRunning()
	case errors.Is(err, fs.ErrPermission):
		return record, err // with its hint; keel cannot find out whether it runs
	}
	return record, hint.To(fmt.Errorf("the emulator does not answer: %w", err),
		"see %s, or stop it: keel emulator stop", folder.Log())
}

// envTool prints the variables that an Azure tool needs to work with the emulator or, with unset, commands that unset
// them.
func (a *app) envTool(ctx context.Context, unset bool, of func(*clientConfig, environment.Folder,
	environment.Endpoints) error) error {
	folder, e, err := a.runningEmulator(ctx)
	if err != nil {
		return err
	}
	var h clientConfig
	if err := of(&h, folder, e); err != nil {
		return err
	}
	if !unset {
		return a.print(h)
	}
	if a.json {
		return usageError{errors.New("--unset prints shell commands, not JSON")}
	}
	for _, v := range h.variables {
		fmt.Fprintf(a.stdout, "unset %s\n", v.Name)
	}
	return nil
}

// azureCLI is what the Azure CLI needs. It gets its own folder, so that no login of the user's is touched.
func (a *app) azureCLI(h *clientConfig, folder environment.Folder, e environment.Endpoints) error {
	config := folder.AzureCLI()
	// With ARM_CLOUD_METADATA_URL, the Azure CLI does not make it.
	if err := os.MkdirAll(config, 0o700); err != nil {
		return fmt.Errorf("create the Azure CLI's folder: %w", err)
	}
	// It keeps what it read of the cloud, ports included, and reads it again when that is missing.
	if err := os.Remove(filepath.Join(config, "cloudEndpoints.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the cached endpoints of an earlier emulator: %w", err)
	}
	h.set("AZURE_CONFIG_DIR", config)
	if a.variable("AZURE_EXTENSION_DIR") == "" {
		if home, err := os.UserHomeDir(); err == nil {
			h.set("AZURE_EXTENSION_DIR", filepath.Join(home, ".azure", "cliextensions"))
		}
	}
	h.set("ARM_CLOUD_METADATA_URL", e.ARM+"/metadata/endpoints?api-version=2019-05-01")
	h.set("AZURE_CORE_INSTANCE_DISCOVERY", "false")
	h.set("AZURE_CORE_COLLECT_TELEMETRY", "no")
	h.set("REQUESTS_CA_BUNDLE", e.CAFile)
	h.set("SSL_CERT_FILE", e.CAFile)
	h.set("EVENKEEL_DATA_ENDPOINT", e.Data)
	h.comment("Log in: az login --service-principal -u %s -p=\"$(cat %s)\" --tenant %s", e.ClientID,
		quote(e.SecretFile), e.TenantID)
	h.comment("In this shell, az trusts only the emulator. Install extensions in another shell: az extension add " +
		"--name azure-iot")
	h.comment("az before 2.53 does not know AZURE_CORE_INSTANCE_DISCOVERY and asks Azure about the emulator: " +
		"docs/how-to/azure-cli.md")
	h.dataNames(e)
	return nil
}

// terraform is what azurerm and azuread need, in Terraform and OpenTofu.
func (a *app) terraform(h *clientConfig, _ environment.Folder, e environment.Endpoints) error {
	h.set("ARM_METADATA_HOSTNAME", strings.TrimPrefix(e.ARM, "https://"))
	h.set("ARM_TENANT_ID", e.TenantID)
	h.set("ARM_SUBSCRIPTION_ID", e.SubscriptionID)
	h.set("ARM_CLIENT_ID", e.ClientID)
	h.set("ARM_CLIENT_SECRET_FILE_PATH", e.SecretFile)
	h.set("ARM_USE_CLI", "false")
	h.set("SSL_CERT_FILE", e.CAFile)
	if runtime.GOOS != "linux" {
		h.comment("Go reads SSL_CERT_FILE only on Linux. Add %s to the keychain or the certificate store.",
			quote(e.CAFile))
	}
	h.comment("State stays on this machine: the azurerm backend needs Azure Storage.")
	return nil
}

// dataNames adds a remark on how commands find hubs and provisioning services.
func (h *clientConfig) dataNames(e environment.Endpoints) {
	if e.Names == "" || e.Names == "map" {
		h.comment("Commands for resources work. Those for devices and enrollments need --names azure and the hosts " +
			"file: keel hosts --help")
		return
	}
	h.comment("Commands for devices and enrollments need the lines of keel hosts in the hosts file.")
}
