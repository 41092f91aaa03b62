package adopt_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"go.yaml.in/yaml/v3"

	"evenkeel/emulator"
	"evenkeel/internal/hint"
	"evenkeel/internal/keel/adopt"
)

// options are those of an adoption of the service into a new folder.
func (s *service) options(t *testing.T) adopt.Options {
	t.Helper()
	roots, err := adopt.ReadRoots(s.caFile)
	must(t, err)
	return adopt.Options{ConnectionString: s.connection, Endpoint: s.Endpoints().Data, CAFile: s.caFile, Roots: roots,
		Folder: filepath.Join(t.TempDir(), "fleet"), SetAbove: adopt.DefaultSetAbove}
}

// program is a written Pulumi.yaml.
type program struct {
	Name, Runtime string
	Config        map[string]map[string]any
	Resources     map[string]struct {
		Type       string
		Properties map[string]any
		Options    struct{ Import string }
	}
}

func readProgram(t *testing.T, folder string) program {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "Pulumi.yaml"))
	must(t, err)
	var p program
	must(t, yaml.Unmarshal(text, &p))
	return p
}

func (p program) imports() []string {
	var list []string
	for _, r := range p.Resources {
		list = append(list, r.Type+" "+r.Options.Import)
	}
	slices.Sort(list)
	return list
}

// paths are the requests to the service API since a request, as methods and paths.
func (s *service) paths() []string {
	var list []string
	for _, r := range s.Requests("dps-service", "") {
		path, _, _ := strings.Cut(r.Path, "?")
		list = append(list, r.Method+" "+path)
	}
	return list
}

const (
	hook      = "https://hook.example/choose?code=secret"
	allocated = `,"allocationPolicy":"custom","iotHubs":["hub-1.azure-devices.net"],"customAllocationDefinition":` +
		`{"webhookUrl":"` + hook + `","apiVersion":"2021-10-01"}`
	keyed = `"attestation":{"type":"symmetricKey"}`
)

func TestFewEnrollmentsBecomeSingleResources(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.put(t, "/enrollments/device-1", `{"registrationId":"device-1",`+keyed+`,"initialTwin":{"tags":`+
		`{"site":"a ${b} $$c","n":1.5}},"provisioningStatus":"disabled"}`)
	s.put(t, "/enrollments/a:b", `{"registrationId":"a:b",`+keyed+`}`)
	s.put(t, "/enrollments/a.b", `{"registrationId":"a.b",`+keyed+`}`)
	s.put(t, "/enrollmentGroups/device-1", `{"enrollmentGroupId":"device-1",`+keyed+`}`)
	before, calls := s.etags(t), len(s.paths())
	o := s.options(t)
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.Enrollments != 3 || result.Groups != 1 || result.Sets != 0 || !result.NeedsAccess {
		t.Errorf("got %+v, want three enrollments, a group, and no access, since there is no passphrase", result)
	}
	p := readProgram(t, o.Folder)
	want := []string{
		"azure-dps:EnrollmentGroup " + s.host + "/enrollmentGroups/device-1",
		"azure-dps:IndividualEnrollment " + s.host + "/enrollments/a.b",
		"azure-dps:IndividualEnrollment " + s.host + "/enrollments/a:b",
		"azure-dps:IndividualEnrollment " + s.host + "/enrollments/device-1",
	}
	if got := p.imports(); !slices.Equal(got, want) {
		t.Errorf("resources: got %q, want %q", got, want)
	}
	for name, r := range p.Resources {
		if r.Options.Import != s.host+"/enrollments/device-1" {
			continue
		}
		tags, _ := r.Properties["initialTwin"].(map[string]any)["tags"].(map[string]any)
		if tags["site"] != "a $${b} $$$$c" || tags["n"] != 1.5 || r.Properties["provisioningStatus"] != "disabled" {
			t.Errorf("%s: got %v, want its settings, with every $ escaped", name, r.Properties)
		}
	}
	if after := s.etags(t); !maps.Equal(before, after) {
		t.Error("the adoption changed the service")
	}
	for _, call := range s.paths()[calls:] {
		if !strings.HasSuffix(call, "/query") {
			t.Errorf("got the request %s, want queries only", call)
		}
	}
	if _, err := os.Stat(filepath.Join(o.Folder, ".keel-adopt")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the journal is still there: %v", err)
	}
}

func TestManyEnrollmentsBecomeSetsWithManifests(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.fill(t, 120)
	s.put(t, "/enrollments/zz-custom", `{"registrationId":"zz-custom",`+keyed+allocated+`}`)
	o := s.options(t)
	o.PageSize, o.Webhooks, o.Passphrase = 50, []string{hook}, "phrase"
	before := len(s.paths())
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if calls := s.paths()[before:]; len(calls) != 4 {
		t.Errorf("got %d requests, want three pages of enrollments and one of groups: %q", len(calls), calls)
	}
	if result.InSets != 121 || result.Sets != 2 || result.Enrollments != 0 {
		t.Errorf("got %+v, want two sets with 121 enrollments", result)
	}
	text, err := os.ReadFile(filepath.Join(o.Folder, "enrollments.csv"))
	must(t, err)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 121 || lines[0] != "registrationId,tags" || lines[9] != `press-00008,"{""line"":1}"` {
		t.Errorf("got %d lines, %q, want a header and 120 rows", len(lines), lines[:min(len(lines), 10)])
	}
	p := readProgram(t, o.Folder)
	want := []string{"azure-dps:EnrollmentSet " + s.host + "/enrollmentSets/@enrollments-2.csv",
		"azure-dps:EnrollmentSet " + s.host + "/enrollmentSets/@enrollments.csv"}
	if got := p.imports(); !slices.Equal(got, want) {
		t.Errorf("resources: got %q, want %q", got, want)
	}
	for _, name := range result.Files {
		content, err := os.ReadFile(filepath.Join(o.Folder, name))
		must(t, err)
		if strings.Contains(string(content), "code=secret") || strings.Contains(string(content), s.key) {
			t.Errorf("%s contains a secret in plain text", name)
		}
	}
}

// TestCertificatePoliciesAreAdopted, which only a later version of the service API shows. A service that does not
// support it is read without them.
func TestCertificatePoliciesAreAdopted(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, id := range []string{"device-1", "device-2"} {
		s.put(t, "/enrollments/"+id+"?api-version=2026-11-01", `{"registrationId":"`+id+`",`+keyed+
			`,"namespaceName":"plant-ns","certificateAuthorityName":"root","certificatePolicyName":"leaf"}`)
	}
	for _, isSupported := range []bool{true, false} {
		for _, above := range []int{0, adopt.DefaultSetAbove} {
			remove := func() {}
			if !isSupported {
				var err error
				remove, err = s.Inject(emulator.Fault{Match: emulator.Match{Surface: "dps-service",
					Path: regexp.MustCompile("query")}, Count: 1, Status: 400})
				must(t, err)
			}
			o := s.options(t)
			o.SetAbove = above
			_, err := adopt.Run(t.Context(), o)
			must(t, err)
			remove()
			file := "Pulumi.yaml"
			if above == 0 {
				file = "enrollments.csv"
			}
			text, err := os.ReadFile(filepath.Join(o.Folder, file))
			must(t, err)
			if has := strings.Contains(string(text), "certificatePolicyName"); has != isSupported {
				t.Errorf("supported %t, %s: got the policy %t\n%s", isSupported, file, has, text)
			}
		}
	}
}

// TestSecretsAreEncryptedAsPulumiReadsThem decrypts the settings of the stack with Pulumi's own code.
func TestSecretsAreEncryptedAsPulumiReadsThem(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.put(t, "/enrollments/device-1", `{"registrationId":"device-1","attestation":{"type":"symmetricKey",`+
		`"symmetricKey":{"primaryKey":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",`+
		`"secondaryKey":"MTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}}}`)
	o := s.options(t)
	o.WithKeys = true
	if _, err := adopt.Run(t.Context(), o); err == nil || !strings.Contains(hint.Of(err), "PULUMI_CONFIG_PASSPHRASE") {
		t.Errorf("keys without a passphrase: got %v, want a refusal with advice", err)
	}
	if _, err := os.Stat(o.Folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the refusal left the folder: %v", err)
	}
	o.Passphrase = "phrase"
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.Keys != 1 {
		t.Errorf("got %d entries with keys, want 1", result.Keys)
	}
	var settings struct {
		Encryptionsalt string
		Config         map[string]any
	}
	text, err := os.ReadFile(filepath.Join(o.Folder, "Pulumi.main.yaml"))
	must(t, err)
	must(t, yaml.Unmarshal(text, &settings))
	crypter := passphraseCrypter(t, settings.Encryptionsalt, "phrase")
	for name, want := range map[string]string{
		"azure-dps:connectionString":   s.connection,
		"plant:device-1-primary-key":   "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
		"plant:device-1-secondary-key": "MTEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			setting, _ := settings.Config[name].(map[string]any)
			sealed, _ := setting["secure"].(string)
			if got, err := crypter.DecryptValue(t.Context(), sealed); err != nil || got != want {
				t.Errorf("got another value, or %v", err)
			}
		})
	}
}

func TestWhatTheServiceDoesNotReturnIsNamedBeforeAnythingIsWritten(t *testing.T) {
	t.Parallel()
	s := newService(t)
	root := newAuthority(t)
	s.put(t, "/enrollmentGroups/by-ca", `{"enrollmentGroupId":"by-ca","attestation":{"type":"x509","x509":`+
		`{"signingCertificates":{"primary":{"certificate":"`+root.line+`"}}}}}`)
	s.put(t, "/enrollments/hooked", `{"registrationId":"hooked",`+keyed+allocated+`}`)
	s.put(t, "/enrollments/plain", `{"registrationId":"plain",`+keyed+`}`)
	o := s.options(t)
	_, err := adopt.Run(t.Context(), o)
	incomplete := (*adopt.IncompleteError)(nil)
	if !errors.As(err, &incomplete) || len(incomplete.Entries) != 2 {
		t.Fatalf("got %v, want the two entries", err)
	}
	for _, want := range []string{"group by-ca: ", "sha256:" + root.thumbprint, "enrollment hooked: ", "--webhooks"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(o.Folder, "Pulumi.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program was written: %v", err)
	}
	o.LeaveOut = true
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.Enrollments != 1 || result.Groups != 0 || len(result.LeftOut) != 2 || !result.Resumed {
		t.Errorf("got %+v, want one enrollment, two left out, and the journal of the first run", result)
	}
	certificates := t.TempDir()
	must(t, os.WriteFile(filepath.Join(certificates, "some.crt"), []byte(root.pem), 0o600))
	must(t, os.WriteFile(filepath.Join(certificates, "README"), []byte("no certificate"), 0o600))
	o = s.options(t)
	o.Certificates, err = adopt.ReadCertificates(certificates)
	must(t, err)
	o.Webhooks, o.Passphrase = []string{hook}, "phrase"
	result, err = adopt.Run(t.Context(), o)
	must(t, err)
	if result.Enrollments != 2 || result.Groups != 1 || len(result.LeftOut) != 0 {
		t.Errorf("got %+v, want everything", result)
	}
}

func TestAnInterruptedAdoptionContinues(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *testing.T, journal string){
		"after Ctrl-C": func(*testing.T, string) {},
		"after kill -9": func(t *testing.T, journal string) {
			appendTo(t, journal, `{"collection":"enrollments","entr`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newService(t)
			s.fill(t, 100)
			o := s.options(t)
			o.PageSize = 20
			ctx, cancel := context.WithCancel(t.Context())
			pages := 0
			o.Report = func(string) {
				if pages++; pages == 2 {
					cancel()
				}
			}
			if _, err := adopt.Run(ctx, o); !errors.Is(err, context.Canceled) || hint.Of(err) == "" {
				t.Fatalf("got %v, want a cancellation with advice", err)
			}
			damage(t, filepath.Join(o.Folder, ".keel-adopt", "journal.jsonl"))
			other := o
			other.ConnectionString = strings.Replace(o.ConnectionString, "plant.", "other.", 1)
			_, err := adopt.Run(t.Context(), other)
			if err == nil || !strings.Contains(err.Error(), "unfinished adoption") {
				t.Errorf("another service: got %v, want a refusal", err)
			}
			before := len(s.paths())
			o.Report = func(string) { // the run continues, whatever another one does
				_, err := adopt.Run(t.Context(), o)
				if err == nil || !strings.Contains(err.Error(), "another keel adopt") {
					t.Errorf("a second run beside the first: got %v, want a refusal", err)
				}
			}
			result, err := adopt.Run(t.Context(), o)
			must(t, err)
			if calls := len(s.paths()) - before; calls != 4 || !result.Resumed || result.InSets != 100 {
				t.Errorf("got %d requests and %+v, want three pages of enrollments, one of groups, and all enrollments",
					calls, result)
			}
			if _, err := adopt.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty") {
				t.Errorf("a finished folder: got %v, want a refusal", err)
			}
		})
	}
}

// TestAPageThatTheServiceForgotIsReadFromTheBeginning answers the first request of the second run as a service does
// that does not know the continuation any more.
func TestAPageThatTheServiceForgotIsReadFromTheBeginning(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.fill(t, 60)
	o := s.options(t)
	o.PageSize = 20
	ctx, cancel := context.WithCancel(t.Context())
	o.Report = func(string) { cancel() }
	if _, err := adopt.Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want a cancellation", err)
	}
	_, err := s.Inject(emulator.Fault{Match: emulator.Match{Surface: "dps-service",
		Path: regexp.MustCompile("^/enrollments/query")}, Count: 1, Status: 400})
	must(t, err)
	var told []string
	o.Report = func(text string) { told = append(told, text) }
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if result.InSets != 60 || result.Resumed || !strings.Contains(fmt.Sprint(told), "reading everything again") {
		t.Errorf("got %+v, %q, want all enrollments, read again", result, told)
	}
}

// TestKeysAreReadOnce: a run that failed after some keys continues with the others, under the same passphrase.
func TestKeysAreReadOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	for _, id := range []string{"a", "b", "c"} {
		s.put(t, "/enrollmentGroups/"+id, `{"enrollmentGroupId":"`+id+`",`+keyed+`}`)
	}
	o := s.options(t)
	o.WithKeys, o.Passphrase = true, "phrase"
	remove, err := s.Inject(emulator.Fault{Match: emulator.Match{Surface: "dps-service",
		Path: regexp.MustCompile("^/enrollmentGroups/c/attestationmechanism")}, Status: 403})
	must(t, err)
	if _, err := adopt.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), `read the keys of "c"`) {
		t.Fatalf("got %v, want the refused keys", err)
	}
	remove()
	journal, err := os.ReadFile(filepath.Join(o.Folder, ".keel-adopt", "journal.jsonl"))
	must(t, err)
	known := strings.Count(string(journal), `"primary":"v1:`)
	other := o
	other.Passphrase = "another"
	if _, err := adopt.Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "passphrase") {
		t.Errorf("another passphrase: got %v, want a refusal", err)
	}
	before := len(s.paths())
	result, err := adopt.Run(t.Context(), o)
	must(t, err)
	if calls := len(s.paths()) - before; calls != 3-known || result.Keys != 3 {
		t.Errorf("got %d requests and %d keys, want requests for the %d missing ones, and all keys", calls, result.Keys,
			3-known)
	}
}

func TestAFolderWithOtherFilesIsRefused(t *testing.T) {
	t.Parallel()
	s := newService(t)
	o := s.options(t)
	o.Folder = t.TempDir()
	appendTo(t, filepath.Join(o.Folder, "main.go"), "package main\n")
	before := len(s.paths())
	if _, err := adopt.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("got %v, want a refusal", err)
	}
	if calls := len(s.paths()) - before; calls != 0 {
		t.Errorf("got %d requests before the refusal, want none", calls)
	}
}

func appendTo(t *testing.T, name, text string) {
	t.Helper()
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = file.WriteString(text)
	must(t, errors.Join(err, file.Close()))
}

// passphraseCrypter is Pulumi's own, of the value of encryptionsalt.
func passphraseCrypter(t *testing.T, state, passphrase string) config.Crypter {
	t.Helper()
	parts := strings.SplitN(state, ":", 3)
	if len(parts) != 3 || parts[0] != "v1" {
		t.Fatalf("encryptionsalt: got %q, want v1:SALT:TEXT", state)
	}
	salt := decodeBase64(t, parts[1])
	crypter := config.NewSymmetricCrypterFromPassphrase(passphrase, salt)
	if text, err := crypter.DecryptValue(t.Context(), parts[2]); err != nil || text != "pulumi" {
		t.Fatalf("Pulumi would not recognise the passphrase: %v", err)
	}
	return crypter
}
