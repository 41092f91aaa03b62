// Package environment manages one deployed environment: the folder with the files of a local run, the variables of
// child processes, the Pulumi stack with its configuration, and the recovery from a run that was killed.
//
// It parses no flags, prints only through the writers that it is given, and declares no resource. It knows the emulator
// only as a set of endpoints.
package environment

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
)

// Folder is a checkout of the project. Everything that a local run creates is in its folder .evenkeel, which git
// ignores; deleting that folder deletes all of it.
type Folder struct {
	// Root is the absolute path of the folder with Pulumi.yaml.
	Root string
}

// Find returns the checkout that contains start.
func Find(start string) (Folder, error) {
	start, err := filepath.Abs(start)
	if err != nil {
		return Folder{}, fmt.Errorf("find the checkout: %w", err)
	}
	for folder := start; ; {
		if fileExists(filepath.Join(folder, "Pulumi.yaml")) &&
			fileExists(filepath.Join(folder, "tools", "pulumi", "go.mod")) {
			return Folder{folder}, nil
		}
		up := filepath.Dir(folder)
		if up == folder {
			return Folder{}, hint.To(fmt.Errorf("%s is not inside a checkout of evenkeel", start),
				"change to the folder that contains Pulumi.yaml")
		}
		folder = up
	}
}

// Bin is the folder of built programs.
func (f Folder) Bin() string { return f.in("bin") }

// PulumiHome is Pulumi's home of local runs: selected stacks, plugins, logs.
func (f Folder) PulumiHome() string { return f.in("pulumi-home") }

// Backend is the folder of the file backend of local stacks.
func (f Folder) Backend() string { return f.in("backend") }

// Passphrase is the file with the secrets passphrase of local stacks, readable by its owner only.
func (f Folder) Passphrase() string { return f.in("passphrase") }

// Emulator is the emulator's data folder.
func (f Folder) Emulator() string { return f.in("emulator") }

// AzureCLI is the Azure CLI's configuration folder for this checkout, with its login to the emulator.
func (f Folder) AzureCLI() string { return f.in("azure-cli") }

// Authority is the certificate that signs the emulator's server certificates.
func (f Folder) Authority() string { return filepath.Join(f.Emulator(), "ca.pem") }

// DeviceAuthority is the folder of the authority that signs the certificates of an environment's devices.
func (f Folder) DeviceAuthority(stack string) string {
	return filepath.Join(f.in("devices"), stack, "authority")
}

// Certificates is the folder of certificates and keys of an environment's devices.
func (f Folder) Certificates(stack string) string { return filepath.Join(f.in("devices"), stack) }

// Reprovision is the file with the progress of a run that asks an environment's devices to register again.
func (f Folder) Reprovision(stack string) string {
	return filepath.Join(f.in("devices"), stack, "reprovision.jsonl")
}

// EmulatorSettings is the file with the remembered settings of the emulator.
func (f Folder) EmulatorSettings() string { return f.in("emulator-settings.json") }

// Log is the file that the emulator in the background writes to.
func (f Folder) Log() string { return f.in("emulator.log") }

// Background is the folder of the background process's lock and record.
func (f Folder) Background() string { return f.in("background") }

// Claims is the folder of the locks with which commands claim an environment.
func (f Folder) Claims() string { return f.in("claims") }

// Check is the file that names the devices of a check of an environment, as long as they are not removed.
func (f Folder) Check(stack string) string { return filepath.Join(f.in("checks"), stack+".json") }

func (f Folder) in(name string) string { return filepath.Join(f.Root, ".evenkeel", name) }

// Prepare creates the folders and, the first time, the passphrase. It reports whether the passphrase is new.
func (f Folder) Prepare() (fresh bool, err error) {
	for _, folder := range []string{f.Bin(), f.PulumiHome(), f.Backend()} {
		if err := durable.OS.MkdirAll(folder, 0o700); err != nil {
			return false, err
		}
	}
	if err := f.turnOffLogs(); err != nil {
		return false, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	err = durable.OS.CreateFile(f.Passphrase(), []byte(hex.EncodeToString(random[:])+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, f.checkPassphrase()
	}
	if err != nil {
		return false, fmt.Errorf("create the passphrase file: %w", err)
	}
	return true, nil
}

// checkPassphrase returns an error for a passphrase file that a loss of power left empty, which Pulumi would report as
// a wrong passphrase.
func (f Folder) checkPassphrase() error {
	text, err := os.ReadFile(f.Passphrase())
	if err == nil && durable.IsBlank(bytes.TrimSpace(text)) {
		err = hint.To(fmt.Errorf("%s is empty, and without the passphrase the secrets of local stacks cannot be read",
			f.Passphrase()),
			"restore it from a copy, or start over without these stacks: keel emulator stop, then remove .evenkeel")
	}
	return err
}

// noLogsText is the content of the file at the path where Pulumi would create the folder of its logs.
const noLogsText = "Pulumi's automatic logs are off for local environments. To turn them on, replace this file by a " +
	"folder.\n"

// turnOffLogs turns off Pulumi's logs of every property of a local stack, which take up to 500 MB and half of the time
// that a set of thousands of devices adds to a preview. Pulumi (3.250) has no setting for it, but continues without
// logs if it cannot create their folder.
func (f Folder) turnOffLogs() error {
	err := durable.OS.CreateFile(filepath.Join(f.PulumiHome(), "logs"), []byte(noLogsText), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) { // it may be the folder of a user who wants the logs
		return fmt.Errorf("turn off Pulumi's logs: %w", err)
	}
	return nil
}

// Project returns the project's name and the folder of its stack files, as Pulumi.yaml has them.
func (f Folder) Project() (name, stacks string, err error) {
	p, err := f.project()
	if err != nil {
		return "", "", err
	}
	return p.Name, filepath.Join(f.Root, p.StackConfigDir), nil
}

// MaxLifetime returns the longest lifetime that the team allows; 0 means no limit.
func (f Folder) MaxLifetime() (time.Duration, error) {
	value, said, err := f.teamSetting(MaxLifetimeKey)
	if !said || err != nil {
		return 0, err
	}
	most, err := ParseTTL(fmt.Sprint(value))
	if err != nil {
		return 0, fmt.Errorf("read Pulumi.yaml: config.%s: %w", MaxLifetimeKey, err)
	}
	return most, nil
}

// MaxServices returns the limit of provisioning services of the team's subscription; 0 if Pulumi.yaml does not set it.
func (f Folder) MaxServices() (int, error) {
	value, said, err := f.teamSetting(MaxServicesKey)
	if !said || err != nil {
		return 0, err
	}
	most, err := strconv.Atoi(fmt.Sprint(value))
	if err != nil || most < 1 {
		return 0, fmt.Errorf("read Pulumi.yaml: config.%s: got %v, want a number from 1", MaxServicesKey, value)
	}
	return most, nil
}

// teamSetting returns the value of a key in the configuration of Pulumi.yaml, which the whole team shares, and whether
// it is set.
func (f Folder) teamSetting(key string) (value any, said bool, err error) {
	p, err := f.project()
	if err != nil {
		return nil, false, err
	}
	if value, said = p.Config[key]; !said {
		value, said = p.Config[p.Name+":"+key]
	}
	if declared, isMap := value.(map[string]any); isMap { // Pulumi accepts a value in three forms
		if value = declared["value"]; value == nil {
			value = declared["default"]
		}
	}
	return value, said, nil
}

// projectFile is the part of Pulumi.yaml that keel reads.
type projectFile struct {
	Name           string         `yaml:"name"`
	StackConfigDir string         `yaml:"stackConfigDir"`
	Config         map[string]any `yaml:"config"`
}

func (f Folder) project() (projectFile, error) {
	var p projectFile
	text, err := os.ReadFile(filepath.Join(f.Root, "Pulumi.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("read Pulumi.yaml: %w", err)
	}
	if strings.TrimSpace(p.Name) == "" {
		return p, errors.New("read Pulumi.yaml: it has no name")
	}
	return p, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
