package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evenkeel/dpsservice"
	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/durable"
	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/hint"
)

// renewal is the remaining validity below which a certificate is replaced.
const renewal = deviceca.LeafLife / 3

func newDeviceCA(a *app) *cobra.Command {
	var devices bool
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Print the certificate that devices must trust, or the one that signs theirs",
		Long: "Print, as PEM, the certificate of the authority that signs the emulator's server certificates: the " +
			"only one that a device\n" +
			"of a local environment needs to trust. The emulator does not have to run. With --devices, print instead " +
			"that of the\n" +
			"authority that signs the certificates of the environment's devices (keel devices cert); keel creates it " +
			"if it is missing.\n" +
			"Neither is a secret.",
		Example: "  keel devices ca > ca.pem\n  keel devices ca --json\n  keel devices ca --devices > devices-ca.pem",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			if devices {
				return a.printDevicesAuthority()
			}
			return a.printServerAuthority()
		},
	}
	cmd.Flags().BoolVar(&devices, "devices", false,
		"print the certificate of the authority that signs the devices' certificates")
	a.addJSON(cmd)
	return cmd
}

func (a *app) printServerAuthority() error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(folder.Authority())
	if errors.Is(err, fs.ErrNotExist) {
		return hint.To(errors.New("no certificate exists: the emulator has not run in this checkout"),
			"start it with: keel emulator start")
	}
	if err == nil && durable.IsBlank(text) {
		err = hint.To(fmt.Errorf("%s is empty", folder.Authority()),
			"start the emulator, which creates it again or reports what to do: keel emulator start")
	}
	if err != nil {
		return fmt.Errorf("read the emulator's certificate: %w", err)
	}
	return a.printAuthority(folder.Authority(), text)
}

func (a *app) printDevicesAuthority() error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	authority, err := deviceca.Open(folder.DeviceAuthority(a.stack), time.Now())
	if err != nil {
		return err
	}
	return a.printAuthority(filepath.Join(folder.DeviceAuthority(a.stack), deviceca.CertFile), authority.PEM())
}

func (a *app) printAuthority(file string, text []byte) error {
	if a.json {
		return a.printJSON(authorityResult{file, string(text)})
	}
	_, err := a.stdout.Write(text)
	return err
}

func newDeviceCert(a *app) *cobra.Command {
	var out string
	var renew bool
	cmd := &cobra.Command{
		Use:   "cert DEVICE",
		Short: "Create a certificate with which a device authenticates",
		Long: "Create a certificate and key for a device, signed by the authority of the environment's devices, and " +
			"print the names of\n" +
			"the files: DEVICE-cert.pem, the device's certificate and that of the authority, and DEVICE-key.pem, " +
			"which is a secret.\n" +
			"A certificate that is valid for two more months is kept. A device can authenticate with it once its " +
			"authority, or the\n" +
			"certificate itself, is enrolled: keel devices ca --devices.",
		Example: "  keel devices cert device-1\n  keel devices cert device-1 --out certs --json\n  keel devices cert " +
			"device-1 --renew",
		Args: oneArg("a device"),
		RunE: func(_ *cobra.Command, args []string) error {
			if faults := enrollment.CheckRegistrationID("device", args[0]); len(faults) > 0 {
				return usageError{fmt.Errorf("device %q: %s", args[0], faults[0].Message)}
			}
			return a.deviceCert(args[0], out, renew)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to write to (default: the environment's own, under .evenkeel)")
	cmd.Flags().BoolVar(&renew, "renew", false, "replace a certificate that is still valid")
	a.addJSON(cmd)
	return cmd
}

// issuedCertificate is what `devices cert` prints as JSON.
type issuedCertificate struct {
	Device   string    `json:"device"`
	CertFile string    `json:"certFile"`
	KeyFile  string    `json:"keyFile"`
	Expires  time.Time `json:"expiresAt"`
	// Kept is true if the certificate existed already.
	Kept bool `json:"kept"`
}

func (a *app) deviceCert(device, out string, renew bool) error {
	folder, err := a.checkout()
	if err != nil {
		return err
	}
	if out == "" {
		out = folder.Certificates(a.stack)
	}
	if out, err = filepath.Abs(out); err != nil {
		return fmt.Errorf("create the certificate of %q: %w", device, err)
	}
	made, err := keepOrIssue(folder.DeviceAuthority(a.stack), certificateFiles(out, device), renew, time.Now())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(made)
	}
	return table(a.stdout, func(row func(...string)) {
		row("certificate", made.CertFile)
		row("key", made.KeyFile)
		row("expires", made.Expires.Local().Format(time.DateTime))
	})
}

// certificateFiles returns the names of the files of a device's certificate in a folder.
func certificateFiles(folder, device string) issuedCertificate {
	return issuedCertificate{Device: device, CertFile: filepath.Join(folder, device+"-cert.pem"),
		KeyFile: filepath.Join(folder, device+"-key.pem")}
}

// leaf returns the device's certificate, or nil if the files of the certificate and its key do not exist.
func (i issuedCertificate) leaf() *x509.Certificate {
	pair, err := tls.LoadX509KeyPair(i.CertFile, i.KeyFile)
	if err != nil {
		return nil
	}
	return pair.Leaf
}

// isSignedBy reports whether the authority signed the certificate in the files.
func (i issuedCertificate) isSignedBy(authority *deviceca.Authority) bool {
	block, _ := pem.Decode(authority.PEM())
	leaf := i.leaf()
	if leaf == nil || block == nil {
		return false
	}
	root, err := x509.ParseCertificate(block.Bytes)
	return err == nil && leaf.CheckSignatureFrom(root) == nil
}

// isNamedBy reports whether an individual enrollment names the certificate in the files.
func (i issuedCertificate) isNamedBy(by *dpsservice.Attestation) bool {
	leaf := i.leaf()
	if leaf == nil || by == nil || by.X509 == nil || by.X509.ClientCertificates == nil {
		return false
	}
	sum := sha256.Sum256(leaf.Raw)
	for _, c := range []*dpsservice.X509Certificate{by.X509.ClientCertificates.Primary,
		by.X509.ClientCertificates.Secondary} {
		if c != nil && c.Info != nil && strings.EqualFold(c.Info.SHA256Thumbprint, hex.EncodeToString(sum[:])) {
			return true
		}
	}
	return false
}

// keepOrIssue returns the certificate in the files if it is valid for long enough and renew is false. Otherwise it
// creates a new one.
func keepOrIssue(authority string, made issuedCertificate, renew bool, now time.Time) (issuedCertificate, error) {
	pair, err := tls.LoadX509KeyPair(made.CertFile, made.KeyFile)
	switch {
	case err == nil && pair.Leaf.NotAfter.Sub(now) > renewal && !renew:
		made.Expires, made.Kept = pair.Leaf.NotAfter.UTC(), true
		return made, nil
	case err == nil || errors.Is(err, fs.ErrNotExist):
		made.Expires, err = issue(authority, made, now)
		return made, err
	}
	return made, hint.To(fmt.Errorf("read the certificate of %q: %w", made.Device, err),
		"remove %s and %s, and run the command again to create new ones", made.CertFile, made.KeyFile)
}

// issue creates a certificate and writes it and its key.
func issue(authority string, to issuedCertificate, now time.Time) (expires time.Time, err error) {
	signer, err := deviceca.Open(authority, now)
	if err != nil {
		return time.Time{}, err
	}
	chain, key, err := signer.Issue(to.Device, now)
	if err == nil {
		err = durable.OS.MkdirAll(filepath.Dir(to.CertFile), 0o700)
	}
	if err == nil {
		err = durable.OS.WriteFile(to.KeyFile, key, 0o600)
	}
	if err == nil {
		err = durable.OS.WriteFile(to.CertFile, chain, 0o644)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("create the certificate of %q: %w", to.Device, err)
	}
	return now.Add(deviceca.LeafLife).UTC().Truncate(time.Second), nil
}
