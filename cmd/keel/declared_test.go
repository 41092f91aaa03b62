//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/dpsservice"
)

// enrolled: `enrolled ID key|issuing|disabled|reference|tpm` or `enrolled ID certificate FILE` creates an individual
// enrollment in the seeded service, with issuing one that names a certificate policy. `enrolled ID group` creates a
// group that names one.
func enrolled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: enrolled ID key|issuing|group|disabled|reference|tpm, or enrolled ID certificate FILE")
	}
	var out outputs
	text, err := os.ReadFile(filepath.Join(ts.Getenv("FAKE"), "outputs"))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &out))
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err := decode(record)
	ts.Check(err)
	client, err := out.service(ends)
	ts.Check(err)
	defer client.Close()
	disabled := "disabled"
	entry := dpsservice.Enrollment{ID: args[0]}
	keys := &dpsservice.Attestation{
		Type:         dpsservice.SymmetricKeyAttestation,
		SymmetricKey: &dpsservice.SymmetricKey{PrimaryKey: groupKey, SecondaryKey: groupKey},
	}
	byCertificate := func(x509 dpsservice.X509Attestation) *dpsservice.Attestation {
		return &dpsservice.Attestation{Type: dpsservice.X509CertAttestation, X509: &x509}
	}
	collection, etag, name := client.Individuals(), "", "policy-1"
	switch args[1] {
	case "key":
		entry.Attestation = keys
	case "issuing", "group":
		entry.Attestation, entry.NamespaceName, entry.CertificateAuthorityName = keys, &name, &name
		if entry.CertificatePolicyName = &name; args[1] == "group" {
			collection, etag = client.Groups(), "*"
		}
	case "disabled":
		entry.Attestation, entry.ProvisioningStatus = keys, &disabled
	case "reference":
		entry.Attestation = byCertificate(dpsservice.X509Attestation{
			CAReferences: &dpsservice.X509CAReferences{Primary: "none"},
		})
	case "certificate":
		primary := &dpsservice.X509Certificate{Certificate: ts.ReadFile(args[2])}
		entry.Attestation = byCertificate(dpsservice.X509Attestation{
			ClientCertificates: &dpsservice.X509Certificates{Primary: primary},
		})
	case "tpm":
		entry.Attestation = &dpsservice.Attestation{
			Type: dpsservice.TPMModuleAttestation, TPM: &dpsservice.TPM{EndorsementKey: "AAAA"},
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = collection.Put(ctx, args[0], entry, etag)
	ts.Check(err)
}

func TestDeclaredDevicesAreListedUpToALimit(t *testing.T) {
	t.Parallel()
	f := &fleet{sets: []declaredSet{{"manifest", 5, skippedSet}, {"one", 1, skippedSet}}}
	for i := range 30 {
		f.declared = append(f.declared, declaredDevice{Device: fmt.Sprintf("press-%d", i+1), Result: resultNew,
			Hub: "hub-1"})
	}
	f.declared[29] = declaredDevice{Device: "press-30", Result: resultSkipped, Reason: skippedTPM}
	var out bytes.Buffer
	if err := f.printDeclared(&out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "individual enrollments: 29 new, 0 kept their hub, 0 moved, 1 skipped" ||
		lines[1] != "  press-1   hub-1" {
		t.Errorf("got %q and %q, want the counts and the first device", lines[0], lines[1])
	}
	for _, want := range []string{
		"\n  press-20  hub-1\n", "\n  manifest  skipped: 5 devices; ", "\n  one       skipped: 1 device; ",
		"\n  and 10 more: keel devices status\n",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(out.String(), want) {
				t.Errorf("got\n%swant %q in it", out.String(), want)
			}
		})
	}
	if strings.Contains(out.String(), "press-21") {
		t.Errorf("got\n%swant 20 devices listed", out.String())
	}
}

func TestAStackWithoutEnrollmentsListsNone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := new(fleet).printDeclared(&out); err != nil || out.Len() > 0 {
		t.Errorf("got %v and %q, want nothing printed", err, out.String())
	}
}

func TestOutcomesCompareHubsWithoutLetterCase(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ before, after, want string }{
		{"", "a.azure-devices.net", resultNew},
		{"A.azure-devices.net", "a.azure-devices.net", resultKept},
		{"b.azure-devices.net", "a.azure-devices.net", resultMoved},
	} {
		t.Run(tc.want, func(t *testing.T) {
			if got := outcome(tc.before, tc.after); got != tc.want {
				t.Errorf("from %q to %q: got %s, want %s", tc.before, tc.after, got, tc.want)
			}
		})
	}
}
