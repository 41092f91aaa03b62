package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"path/filepath"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/durable"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// skippedPolicy is why a device is skipped with --csr.
const skippedPolicy = "its enrollment names no certificate policy"

// issuedFiles returns the names of the files with the certificate that the provisioning service issued to a device, and
// its key. They differ from those of certificateFiles, with which a device may register.
func issuedFiles(folder, device string) issuedCertificate {
	return certificateFiles(folder, device+"-issued")
}

// askForCertificates makes the fleet's devices ask for certificates and keep them in the environment's folder. It fails
// if the enrollment group names no certificate policy.
func (f *fleet) askForCertificates(ctx context.Context, e *environment.Environment) error {
	f.certificates = e.Folder.Certificates(e.Stack)
	if err := durable.OS.MkdirAll(f.certificates, 0o700); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	if f.stack.ServiceConnectionString == "" {
		return nil // the service refuses the devices, if it has to
	}
	client, err := f.stack.service(e.Endpoints)
	if err != nil {
		return fmt.Errorf("read the enrollment group: %w", err)
	}
	defer client.Close()
	group, err := client.Groups().WithIssuance().Get(ctx, f.stack.EnrollmentGroup)
	if err != nil {
		return fmt.Errorf("read the enrollment group: %w", err)
	}
	if !namesPolicy(group) {
		return hint.To(fmt.Errorf("the enrollment group %s names no certificate policy, so the service issues no "+
			"certificates", f.stack.EnrollmentGroup),
			"give the setting enrollmentGroup namespaceName, certificateAuthorityName and certificatePolicyName "+
				"(docs/how-to/x509.md), then: keel up")
	}
	return nil
}

// namesPolicy reports whether devices of an entry can ask for certificates.
func namesPolicy(e dpsservice.Enrollment) bool {
	return e.NamespaceName != nil && e.CertificateAuthorityName != nil && e.CertificatePolicyName != nil
}

// individuals are the service's individual enrollments, with their certificate policies if they matter.
func (f *fleet) individuals(client *dpsservice.Client) dpsservice.Collection {
	if f.certificates != "" {
		return client.Individuals().WithIssuance()
	}
	return client.Individuals()
}

// register registers a device, and returns what it authenticates with at its hub: the certificate that the service
// issued, which is kept, or the credential with which it registered.
func (f *fleet) register(ctx context.Context, o dpsdevice.Options) (dpsdevice.Registration, dpsdevice.Credential,
	error) {
	if f.certificates == "" {
		registration, err := dpsdevice.Register(ctx, o)
		return registration, o.Credential, err
	}
	csr, key, err := dpsdevice.NewCSR(o.RegistrationID)
	if err != nil {
		return dpsdevice.Registration{}, dpsdevice.Credential{}, err
	}
	o.CSR = csr
	registration, err := dpsdevice.Register(ctx, o)
	if err != nil {
		return registration, dpsdevice.Credential{}, err
	}
	certificate, err := registration.Certificate(key)
	if err == nil {
		err = keepIssued(issuedFiles(f.certificates, o.RegistrationID), certificate)
	}
	return registration, dpsdevice.X509(certificate), err
}

// keepIssued writes an issued certificate with its chain, and its key.
func keepIssued(to issuedCertificate, certificate tls.Certificate) error {
	key, is := certificate.PrivateKey.(crypto.Signer)
	if !is {
		return fmt.Errorf("keep the certificate in %s: its key cannot sign", filepath.Base(to.CertFile))
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	var chain []byte
	for _, one := range certificate.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one})...)
	}
	if err == nil {
		err = durable.OS.WriteFile(to.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	}
	if err == nil {
		err = durable.OS.WriteFile(to.CertFile, chain, 0o644)
	}
	if err != nil {
		return fmt.Errorf("keep the certificate in %s: %w", to.CertFile, err)
	}
	return nil
}

// sayIssued prints where the issued certificates are.
func (a *app) sayIssued(f *fleet) {
	if f.certificates == "" || f.assigned+f.kept+f.moved == 0 {
		return
	}
	files := issuedFiles(f.certificates, "DEVICE")
	a.say("certificates that the service issued, for the hubs: %s and %s", files.CertFile, filepath.Base(files.KeyFile))
}

// issued adds the files of a certificate that the service issued to the device, for its hub.
func (h *clientConfig) issued(e *environment.Environment, id string) {
	files := issuedFiles(e.Folder.Certificates(e.Stack), id)
	if leaf := files.leaf(); leaf != nil {
		h.comment("The provisioning service issued this device a certificate for its hub, until %s: %s and %s. If the "+
			"device asked for one when it last registered, its hub accepts nothing else.",
			leaf.NotAfter.Format(time.DateOnly), quote(files.CertFile), quote(files.KeyFile))
	}
}
