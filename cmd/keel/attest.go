package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"evenkeel/dpsdevice"
	"evenkeel/dpsservice"
	"evenkeel/internal/fleet/deviceca"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

// The settings of a stack whose devices authenticate with certificates.
const (
	attestationKey = "attestation"
	certificateKey = "certificate"
	byCertificate  = "x509"
)

// authoritySettings returns the setting that names the environment's own authority, for a stack whose devices have
// certificates and that names no other authority. It creates the authority's file if it does not exist.
func authoritySettings(e *environment.Environment) ([]environment.Setting, error) {
	have, err := e.Settings()
	if err != nil || !strings.EqualFold(have[attestationKey], byCertificate) {
		return nil, err
	}
	folder := e.Folder.DeviceAuthority(e.Stack)
	file := filepath.Join(folder, deviceca.CertFile)
	devices := filepath.Dir(e.Folder.Certificates(e.Stack)) + string(filepath.Separator)
	// copied from another environment
	if named := have[certificateKey]; named != "" && !strings.HasPrefix(named, devices) {
		return nil, nil
	}
	if _, err := deviceca.Open(folder, time.Now()); err != nil {
		return nil, err
	}
	return []environment.Setting{{Key: certificateKey, Value: file}}, nil
}

// credentials returns a function that returns the credential of a device of the enrollment group: a key derived from
// the group's key, or a new certificate of the environment's authority.
func (o outputs) credentials(e *environment.Environment) (func(id string) (dpsdevice.Credential, error), error) {
	if o.DeviceAuthority == "" {
		return func(id string) (dpsdevice.Credential, error) {
			key, err := o.deviceKey(id)
			return dpsdevice.SymmetricKey(key), err
		}, nil
	}
	authority, err := deviceca.Open(e.Folder.DeviceAuthority(e.Stack), time.Now())
	if err != nil {
		return nil, err
	}
	if thumbprint(authority.PEM()) != o.DeviceAuthority {
		return nil, hint.To(errors.New(
			"the devices' authority is not keel's own, so keel has no key to sign certificates with"),
			"give devices certificates of that authority, or let keel make one: keel exec -- pulumi config rm "+
				"certificate && keel up")
	}
	return func(id string) (dpsdevice.Credential, error) {
		chain, key, err := authority.Issue(id, time.Now())
		if err != nil {
			return dpsdevice.Credential{}, err
		}
		pair, err := tls.X509KeyPair(chain, key)
		if err != nil {
			return dpsdevice.Credential{}, fmt.Errorf("read the certificate made for %q: %w", id, err)
		}
		return dpsdevice.X509(pair), nil
	}, nil
}

// attestationOf returns the attestation of a device's individual enrollment. For a device of the enrollment group, it
// returns nil and the authority of the group's certificates, or nil if that is not the environment's own.
func (o outputs) attestationOf(ctx context.Context, e *environment.Environment, id string) (*dpsservice.Attestation,
	*deviceca.Authority, error) {
	client, err := o.service(e.Endpoints)
	if err != nil {
		return nil, nil, fmt.Errorf("look for the enrollment of %q: %w", id, err)
	}
	defer client.Close()
	entry, err := client.Individuals().Get(ctx, id)
	if err == nil {
		return entry.Attestation, nil, nil
	}
	if !errors.Is(err, dpsservice.ErrNotFound) {
		return nil, nil, fmt.Errorf("look for the enrollment of %q: %w", id, err)
	}
	authority, err := deviceca.Open(e.Folder.DeviceAuthority(e.Stack), time.Now())
	if err != nil || thumbprint(authority.PEM()) != o.DeviceAuthority {
		return nil, nil, err
	}
	return nil, authority, nil
}

// thumbprint is the SHA-256 thumbprint of a certificate as the stack's outputs have it.
func thumbprint(text []byte) string {
	block, _ := pem.Decode(text)
	if block == nil {
		return ""
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}
