//go:build swtpm

package tpmseal_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"evenkeel/emulator/internal/tpmseal"
)

// TestATPMAcceptsTheKey gives the blob to the TPM simulator swtpm, in the steps of Azure's device SDKs. It runs only
// with the build tag swtpm (`make tpm`), since the simulator is a package of the system.
func TestATPMAcceptsTheKey(t *testing.T) {
	t.Parallel()
	tpm := simulator(t)
	endorsement := primary(t, tpm, tpm2.TPMRHEndorsement, tpm2.RSAEKTemplate)
	root := primary(t, tpm, tpm2.TPMRHOwner, tpm2.RSASRKTemplate)
	text := func(p tpm2.TPM2BPublic) string { return base64.StdEncoding.EncodeToString(tpm2.Marshal(p)) }
	key := bytes.Repeat([]byte{7, 9}, 16)
	blob, err := tpmseal.Seal(public(t, text(endorsement.OutPublic)), public(t, text(root.OutPublic)), key, "x")
	if err != nil {
		t.Fatal(err)
	}
	parts := split(t, blob)
	activated, err := tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle: tpm2.AuthHandle{Handle: endorsement.ObjectHandle, Name: endorsement.Name,
			Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, func(tpm transport.TPM, session tpm2.TPMISHPolicy,
				nonce tpm2.TPM2BNonce) error {
				_, err := tpm2.PolicySecret{AuthHandle: tpm2.TPMRHEndorsement, PolicySession: session,
					NonceTPM: nonce}.Execute(tpm)
				return err
			})},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: parts[0]}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: parts[1]},
	}.Execute(tpm)
	if err != nil {
		t.Fatalf("activate the credential: %v", err)
	}
	imported, err := tpm2.Import{
		ParentHandle:  tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
		EncryptionKey: tpm2.TPM2BData{Buffer: activated.CertInfo.Buffer},
		ObjectPublic:  tpm2.BytesAs2B[tpm2.TPMTPublic](parts[4]),
		Duplicate:     tpm2.TPM2BPrivate{Buffer: parts[2]}, InSymSeed: tpm2.TPM2BEncryptedSecret{Buffer: parts[3]},
		Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgAES,
			KeyBits: tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(128)),
			Mode:    tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB)},
	}.Execute(tpm)
	if err != nil {
		t.Fatalf("import the key: %v", err)
	}
	loaded, err := tpm2.Load{
		ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
		InPrivate:    imported.OutPrivate, InPublic: tpm2.BytesAs2B[tpm2.TPMTPublic](parts[4]),
	}.Execute(tpm)
	if err != nil {
		t.Fatalf("load the key: %v", err)
	}
	signed, err := tpm2.Hmac{
		Handle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tpm2.PasswordAuth(nil)},
		Buffer: tpm2.TPM2BMaxBuffer{Buffer: []byte("what a token signs")}, HashAlg: tpm2.TPMAlgSHA256,
	}.Execute(tpm)
	want := hmac.New(sha256.New, key)
	want.Write([]byte("what a token signs"))
	if err != nil || !bytes.Equal(signed.OutHMAC.Buffer, want.Sum(nil)) {
		t.Errorf("got %v, want the HMAC with the sealed key", err)
	}
}

// split returns the blob's six parts, each of which follows its length.
func split(t *testing.T, blob []byte) [][]byte {
	t.Helper()
	var parts [][]byte
	for len(blob) >= 2 {
		n := int(binary.BigEndian.Uint16(blob))
		if len(blob) < 2+n {
			t.Fatalf("a part of %d bytes ends after %d", n, len(blob)-2)
		}
		parts, blob = append(parts, blob[2:2+n]), blob[2+n:]
	}
	if len(parts) != 6 || len(blob) != 0 {
		t.Fatalf("got %d parts and %d bytes more, want 6", len(parts), len(blob))
	}
	return parts
}

func primary(t *testing.T, tpm transport.TPM, hierarchy tpm2.TPMHandle,
	template tpm2.TPMTPublic) *tpm2.CreatePrimaryResponse {
	t.Helper()
	made, err := tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(template)}.Execute(tpm)
	if err != nil {
		t.Fatalf("make a primary key: %v", err)
	}
	return made
}

// simulator starts swtpm on a new socket.
func simulator(t *testing.T) transport.TPM {
	t.Helper()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Fatalf("%v: install the TPM simulator (Debian: apt-get install swtpm)", err)
	}
	dir, err := os.MkdirTemp("", "tpm") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	ctx, cancel := context.WithCancel(context.Background())
	run := exec.CommandContext(ctx, program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server",
		"type=unixio,path="+socket,
		"--flags", "not-need-init,startup-clear")
	if err := run.Start(); err != nil {
		cancel()
		t.Fatalf("start swtpm: %v", err)
	}
	t.Cleanup(func() {
		cancel()
		_ = run.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; {
		tpm, err := linuxudstpm.Open(socket)
		if err == nil {
			t.Cleanup(func() { _ = tpm.Close() })
			return tpm
		}
		if time.Now().After(deadline) {
			t.Fatalf("swtpm does not listen: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
