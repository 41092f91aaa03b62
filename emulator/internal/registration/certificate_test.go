package registration_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"testing"
	"time"

	"evenkeel/emulator/internal/registration"
	"evenkeel/emulator/internal/state"
)

// authority is a certificate with its key.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue creates a certificate signed by issuer, or a self-signed one if issuer is nil.
func issue(t *testing.T, issuer *authority, name string, ca bool, notAfter time.Time) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatalf("make a serial number: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: ca,
		NotBefore: start.Add(-time.Hour), NotAfter: notAfter,
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.Certificate, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("parse a certificate: %v", err)
	}
	return &authority{certificate, key}
}

func signing(a *authority) state.Settings {
	return state.Settings{Attestation: state.Attestation{X509: &state.X509Attestation{SigningPrimary: a.Raw,
		SigningSecondary: a.Raw}}}
}

func chain(links ...*authority) []*x509.Certificate {
	var certificates []*x509.Certificate
	for _, a := range links {
		certificates = append(certificates, a.Certificate)
	}
	return certificates
}

// references is an attestation by the names of uploaded certificates.
func references(primary, secondary string) state.Settings {
	return state.Settings{Attestation: state.Attestation{X509: &state.X509Attestation{CAPrimary: primary,
		CASecondary: secondary}}}
}

// leafCertificates is the attestation of an individual enrollment.
func leafCertificates(primary, secondary *authority) state.Settings {
	return state.Settings{Attestation: state.Attestation{X509: &state.X509Attestation{ClientPrimary: primary.Raw,
		ClientSecondary: secondary.Raw}}}
}

// upload uploads a CA certificate to the provisioning service, as ARM does.
func (w world) upload(t *testing.T, name string, a *authority, verified bool) {
	t.Helper()
	child := state.Child{Parent: state.ServiceHost("dps-1"), Kind: state.CertificateKind, Name: name}
	if err := child.SetCertificate(state.Certificate{DER: a.Raw, Verified: verified}); err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
	if _, _, err := w.st.PutChild(child, ""); err != nil {
		t.Fatalf("upload %s: %v", name, err)
	}
}

// certificateCase is a device that presents a chain, and the result.
type certificateCase struct {
	name  string
	id    string
	chain []*x509.Certificate
	// status: assigned, disabled or refused.
	status string
	group  string
}

// run registers over HTTPS and over MQTT: the answers must agree.
func (test certificateCase) run(t *testing.T, w world) {
	t.Helper()
	device := attempt{id: test.id, certificates: test.chain}
	got, reply := w.register(t, device), w.registerMQTT(t, device)
	if test.status == "refused" {
		got.want(t, 401, errorJSON(401002, "Invalid certificate."))
		reply.want(t, 401, errorJSON(401002, "Invalid certificate."))
		return
	}
	for front, r := range map[string]response{"HTTPS": got, "MQTT": reply} {
		t.Run(front, func(t *testing.T) {
			body, _ := tree(t, r.body).(map[string]any)
			if r.status != 200 || body["status"] != test.status {
				t.Fatalf("%s: got %d %s, want %s", front, r.status, r.body, test.status)
			}
			if test.status != "assigned" {
				return
			}
			result, _ := body["registrationState"].(map[string]any)
			x509Result, _ := result["x509"].(map[string]any)
			if group, _ := x509Result["enrollmentGroupId"].(string); x509Result == nil || group != test.group {
				t.Errorf("%s: got x509 %v, want the group %q", front, result["x509"], test.group)
			}
			device, err := w.st.Device(result["assignedHub"].(string), test.id)
			if want := fmt.Sprintf("%X", sha256.Sum256(test.chain[0].Raw)); err != nil ||
				device.Auth != state.AuthSelfSigned || device.PrimaryThumbprint != want {
				t.Errorf("%s: got the hub's device %+v, %v, want the leaf's thumbprint %s", front, device, err, want)
			}
		})
	}
}

func TestRegisterWithACertificate(t *testing.T) {
	t.Parallel()
	year := start.AddDate(1, 0, 0)
	root := issue(t, nil, "root", true, year)
	factory := issue(t, root, "factory", true, year)
	line := issue(t, factory, "line", true, year)
	old := issue(t, root, "old factory", true, start.Add(-time.Minute))
	leaf := func(by *authority, id string) *authority { return issue(t, by, id, false, year) }
	own, twin, rolled := leaf(nil, "own"), leaf(nil, "own"), leaf(nil, "own-2")
	vouched := leaf(factory, "vouched")
	expired := issue(t, factory, "sn-1", false, start.Add(-time.Minute))
	early := issue(t, nil, "early", false, start.Add(-time.Minute))
	stranger := leaf(issue(t, nil, "root", true, year), "sn-1")
	off := signing(line)
	off.Disabled = true

	w := newWorld(t, registration.Options{})
	w.upload(t, "root", root, true)
	w.enrollGroup(t, state.EnrollmentGroup{ID: "all", Settings: signing(root)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "by-factory", Settings: signing(factory)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "keys", Settings: keys(key1, key2)})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "line-off", Settings: off})
	w.enroll(t, state.Enrollment{RegistrationID: "own", Settings: leafCertificates(own, own)})
	w.enroll(t, state.Enrollment{RegistrationID: "own-2", Settings: leafCertificates(own, rolled)})
	w.enroll(t, state.Enrollment{RegistrationID: "vouched", Settings: leafCertificates(vouched, vouched)})
	w.enroll(t, state.Enrollment{RegistrationID: "early", Settings: leafCertificates(early, early)})
	w.enroll(t, state.Enrollment{RegistrationID: "keyed", Settings: keys(key1, key2)})

	byFactory, byLine := leaf(factory, "sn-1"), leaf(line, "sn-2")
	byRoot, inCase := leaf(root, "sn-3"), leaf(root, "SN-4")
	for _, test := range []certificateCase{
		{"the enrollment's own certificate", "own", chain(own), "assigned", ""},
		{"the enrollment's second certificate", "own-2", chain(rolled), "assigned", ""},
		{"another certificate of that name", "own", chain(twin), "refused", ""},
		{"an expired certificate of an enrollment", "early", chain(early), "refused", ""},
		{"an enrollment beats the groups of the chain", "own", chain(leaf(root, "own"), root), "refused", ""},
		{"a certificate for an enrollment with keys", "keyed", chain(leaf(root, "keyed"), root), "refused", ""},
		{"the enrollment's certificate with a trusted chain", "vouched", chain(vouched, factory, root), "assigned", ""},
		{"the enrollment's certificate without its chain", "vouched", chain(vouched), "assigned", ""},
		{"the enrollment's certificate with half its chain", "vouched", chain(vouched, root), "refused", ""},
		{"a leaf of the root", "sn-3", chain(byRoot), "assigned", "all"},
		{"the root presented too", "sn-3", chain(byRoot, root), "assigned", "all"},
		{"the group nearest the leaf", "sn-1", chain(byFactory, factory, root), "assigned", "by-factory"},
		{"a chain in another order", "sn-1", chain(byFactory, root, factory), "assigned", "by-factory"},
		{"a chain that stops short of the verified root", "sn-2", chain(byLine, line), "refused", ""},
		{"a group's own intermediate left out", "sn-1", chain(byFactory), "refused", ""},
		{"the nearest group is disabled", "sn-2", chain(byLine, line, factory, root), "disabled", ""},
		{"an expired intermediate", "sn-5", chain(leaf(old, "sn-5"), old, root), "refused", ""},
		{"a common name in another letter case", "sn-4", chain(inCase), "assigned", "all"},
		{"a common name that is not the id", "sn-9", chain(byRoot), "refused", ""},
		{"a root of the same name", "sn-1", chain(stranger), "refused", ""},
		{"an expired leaf", "sn-1", chain(expired, factory), "refused", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, w)
		})
	}
}

// TestTheChainMustReachAVerifiedCertificate: the uploaded certificate decides, as in the documents' example with an
// intermediate.
func TestTheChainMustReachAVerifiedCertificate(t *testing.T) {
	t.Parallel()
	year := start.AddDate(1, 0, 0)
	root := issue(t, nil, "root", true, year)
	factory := issue(t, root, "factory", true, year)
	device := issue(t, factory, "sn-1", false, year)
	full := chain(device, factory, root)
	for _, test := range []struct {
		name          string
		root, factory bool
		upload        bool
		group         *authority
		presented     []*x509.Certificate
		status        string
	}{
		{name: "nothing is uploaded", group: factory, presented: full, status: "refused"},
		{name: "the root is not verified", upload: true, group: factory, presented: full, status: "refused"},
		{name: "the root is verified", upload: true, root: true, group: factory, presented: full, status: "assigned"},
		{name: "the group's own certificate is verified", upload: true, factory: true, group: factory,
			presented: chain(device), status: "assigned"},
		{name: "only a certificate below the group's is verified", upload: true, factory: true, group: root,
			presented: full, status: "refused"},
		{name: "both are verified", upload: true, factory: true, root: true, group: root, presented: full,
			status: "assigned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, registration.Options{})
			if test.upload {
				w.upload(t, "root", root, test.root)
				w.upload(t, "factory", factory, test.factory)
			}
			w.enrollGroup(t, state.EnrollmentGroup{ID: "g", Settings: signing(test.group)})
			certificateCase{id: "sn-1", chain: test.presented, status: test.status, group: "g"}.run(t, w)
		})
	}
}

func TestReferencesToUploadedCertificates(t *testing.T) {
	t.Parallel()
	year := start.AddDate(1, 0, 0)
	root, next, loose := issue(t, nil, "root", true, year), issue(t, nil, "next", true, year),
		issue(t, nil, "loose", true, year)
	w := newWorld(t, registration.Options{})
	w.upload(t, "Root", root, true)
	w.upload(t, "next", next, true)
	w.upload(t, "loose", loose, false)
	w.enrollGroup(t, state.EnrollmentGroup{ID: "g", Settings: references("root", "next")})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "unverified", Settings: references("loose", "")})
	w.enrollGroup(t, state.EnrollmentGroup{ID: "gone", Settings: references("no such", "")})
	w.enroll(t, state.Enrollment{RegistrationID: "one", Settings: references("next", "")})
	w.enroll(t, state.Enrollment{RegistrationID: "other", Settings: references("", "next")})
	leaf := func(by *authority, id string) *authority { return issue(t, by, id, false, year) }
	for _, test := range []certificateCase{
		{"a group's first reference", "sn-1", chain(leaf(root, "sn-1"), root), "assigned", "g"},
		{"a group's second reference", "sn-2", chain(leaf(next, "sn-2")), "assigned", "g"},
		{"a certificate that is not verified", "sn-3", chain(leaf(loose, "sn-3"), loose), "refused", ""},
		{"an enrollment's reference", "one", chain(leaf(next, "one")), "assigned", ""},
		{"an enrollment's second reference alone", "other", chain(leaf(next, "other")), "assigned", ""},
		{"another CA than the enrollment's", "one", chain(leaf(root, "one")), "refused", ""},
		{"another name than the enrollment's", "one", chain(leaf(next, "two")), "refused", ""},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, w) })
	}

	// After the certificate is removed, its devices are refused at once.
	if err := w.st.DeleteChild(state.ServiceHost("dps-1"), state.CertificateKind, "root", ""); err != nil {
		t.Fatal(err)
	}
	certificateCase{id: "sn-1", chain: chain(leaf(root, "sn-1"), root), status: "refused"}.run(t, w)

	// An enrollment takes precedence over the groups until it is deleted.
	if err := w.st.DeleteEntry(state.Individuals, w.scope, "one", ""); err != nil {
		t.Fatal(err)
	}
	certificateCase{id: "one", chain: chain(leaf(next, "one")), status: "assigned", group: "g"}.run(t, w)
}
