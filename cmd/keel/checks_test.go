package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/background"
	"evenkeel/internal/keel/environment"
)

// newPatient returns a diagnosis of a checkout with a certificate that is valid for a day, and with the record of a
// background process whose address nothing serves.
func newPatient(t *testing.T) *diagnosis {
	t.Helper()
	folder := environment.Folder{Root: t.TempDir()}
	d := &diagnosis{folder: folder, process: background.Process{Folder: folder.Background(), Log: folder.Log()},
		now: time.Now}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "another"}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err == nil {
		err = errors.Join(os.MkdirAll(folder.Emulator(), 0o700), os.MkdirAll(folder.Background(), 0o700),
			os.WriteFile(filepath.Join(folder.Emulator(), "ca.pem"),
				pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewTLSServer(nil)
	t.Cleanup(other.Close)
	release, err := d.process.Claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	if err := d.process.Announce("http://127.0.0.1:1/readyz", environment.Endpoints{Data: other.URL}); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCommandsReportAnEmulatorThatDoesNotAnswer: status, page, env and hosts share the error.
func TestCommandsReportAnEmulatorThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	d, a := newPatient(t), &app{}
	_, err := a.runningProcess(t.Context(), d.folder)
	if err == nil || !strings.Contains(err.Error(), "the emulator does not answer") ||
		!strings.Contains(hint.Of(err), "keel emulator stop") || !strings.Contains(hint.Of(err), d.folder.Log()) {
		t.Errorf("got %v with the hint %q, want its log and the command to stop it", err, hint.Of(err))
	}
	if _, err := a.runningProcess(t.Context(), environment.Folder{Root: t.TempDir()}); err == nil ||
		err.Error() != errNotRunning().Error() {
		t.Errorf("without an emulator: got %v, want that it is not running", err)
	}
}

func TestDoctorFindsAnEmulatorThatDoesNotAnswerOrIsNotTrusted(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	if f := d.emulator(t.Context()); f.Verdict != failed || !strings.Contains(f.Hint, "keel emulator stop") {
		t.Errorf("emulator: got %+v, want it failed, with a hint", f)
	}
	if f := d.certificate(t.Context()); f.Verdict != failed || !strings.Contains(f.Detail, "not trusted") ||
		!strings.Contains(f.Hint, "start over") {
		t.Errorf("certificate: got %+v, want it failed, with a hint", f)
	}
}

func TestDoctorFindsAWrongClock(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	for shift, want := range map[time.Duration]verdict{0: fine, -time.Hour: failed, 48 * time.Hour: failed} {
		t.Run(shift.String(), func(t *testing.T) {
			d.now = func() time.Time { return time.Now().Add(shift) }
			if f := d.clock(t.Context()); f.Verdict != want || (f.Hint == "") != (want == fine) {
				t.Errorf("%v off: got %+v, want %s", shift, f, want)
			}
		})
	}
}

func TestDoctorFindsUnusablePlugins(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	if f := d.plugins(t.Context()); f.Verdict != note {
		t.Errorf("not built: got %+v, want a note", f)
	}
	file := filepath.Join(d.folder.Bin(), "pulumi-resource-azure-dps")
	if err := errors.Join(os.MkdirAll(d.folder.Bin(), 0o700), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if f := d.plugins(t.Context()); f.Verdict != failed || f.Hint == "" {
		t.Errorf("not executable: got %+v, want it failed, with a hint", f)
	}
	if err := os.Chmod(file, 0o700); err != nil {
		t.Fatal(err)
	}
	// The record of the emulator names no port, where nothing can answer.
	if f := d.plugins(t.Context()); f.Verdict != failed || !strings.Contains(f.Detail, "does not answer") ||
		!strings.Contains(f.Hint, "keel emulator") {
		t.Errorf("no local plugin: got %+v, want it failed, with a hint", f)
	}
}

// azureAnswers is an Azure that returns fixed answers by path.
type azureAnswers map[string]string

func (a azureAnswers) Do(request *http.Request) (*http.Response, error) {
	text, there := a[request.URL.Path[strings.LastIndex(request.URL.Path, "/")+1:]]
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Date": {a["date"]}}, Request: request}
	if !there {
		answer.StatusCode, text = http.StatusForbidden, `{"error":{"code":"AuthorizationFailed","message":"no"}}`
	}
	answer.Body = io.NopCloser(strings.NewReader(text))
	return answer, nil
}

type anybody struct{}

func (anybody) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func TestDoctorFindsProblemsOnAzure(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	good := azureAnswers{
		"s": `{"displayName":"Ours","state":"Enabled"}`, "Microsoft.Devices": `{"registrationState":"Registered"}`,
		"date": now.Format(http.TimeFormat),
	}
	with := func(name, text string) azureAnswers {
		changed := maps.Clone(good)
		if changed[name] = text; text == "" {
			delete(changed, name)
		}
		return changed
	}
	for name, tc := range map[string]struct {
		answers azureAnswers
		fails   string
		detail  string
	}{
		"all well":    {good, "", ""},
		"no login":    {nil, "login", "no account"},
		"not allowed": {with("s", ""), "login", "AuthorizationFailed"},
		"disabled": {with("s", `{"displayName":"Ours","state":"Disabled"}`), "subscription",
			"Ours (s) is Disabled"},
		"not registered": {with("Microsoft.Devices", `{"registrationState":"NotRegistered"}`), "registration",
			"NotRegistered"},
		"no answer": {with("Microsoft.Devices", ""), "registration", "AuthorizationFailed"},
		"clock":     {with("date", now.Add(-time.Hour).Format(http.TimeFormat)), "clock", "off Azure's"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newPatient(t)
			d.azure = func(context.Context) (*environment.ResourceManager, error) {
				if tc.answers == nil {
					return nil, errors.New("no account")
				}
				return environment.NewResourceManager("s", anybody{}, &arm.ClientOptions{
					ClientOptions: policy.ClientOptions{Transport: tc.answers,
						Retry: policy.RetryOptions{MaxRetries: -1}}, DisableRPRegistration: true,
				}, time.Second)
			}
			for _, check := range []struct {
				name string
				run  func(context.Context) finding
			}{
				{"login", d.login}, {"subscription", d.subscription}, {"registration", d.registration},
				{"clock", d.clock}} {
				t.Run(check.name, func(t *testing.T) {
					f := check.run(t.Context())
					if fails := f.Verdict == failed; fails != (check.name == tc.fails) {
						t.Errorf("%s: %s: got %+v", name, check.name, f)
					} else if fails && (f.Hint == "" || !strings.Contains(f.Detail, tc.detail)) {
						t.Errorf("%s: %s: got %+v, want %q and a hint", name, check.name, f, tc.detail)
					}
				})
			}
		})
	}
}

func TestDoctorFindsAMissingPassphraseOnAzure(t *testing.T) {
	t.Parallel()
	d := newPatient(t)
	secret := filepath.Join(t.TempDir(), "passphrase")
	stackFile := filepath.Join(d.folder.Root, "Pulumi.mine.yaml")
	err := errors.Join(os.WriteFile(secret, nil, 0o600), os.WriteFile(filepath.Join(d.folder.Root, "Pulumi.yaml"),
		[]byte("name: p\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		salt string
		env  []string
		want verdict
	}{
		{"", nil, fine}, {"encryptionsalt: v1\n", nil, failed}, {"config: {}\nencryptionsalt: v1\n", nil, failed},
		{"encryptionsalt: v1\n", []string{"PULUMI_CONFIG_PASSPHRASE="}, fine},
		{"encryptionsalt: v1\n", []string{"PULUMI_CONFIG_PASSPHRASE_FILE=" + secret}, fine},
		{"", []string{"PULUMI_CONFIG_PASSPHRASE_FILE=" + secret + "-gone"}, failed},
	} {
		t.Run(fmt.Sprintf("%q with %q", tc.salt, tc.env), func(t *testing.T) {
			if err := os.WriteFile(stackFile, []byte(tc.salt), 0o600); err != nil {
				t.Fatal(err)
			}
			d.remote = &environment.Environment{Folder: d.folder, Stack: "mine", Target: environment.Azure,
				Inherited: tc.env}
			if f := d.passphrase(t.Context()); f.Verdict != tc.want || (f.Verdict == failed) != (f.Hint != "") {
				t.Errorf("%q with %q: got %+v, want %s", tc.salt, tc.env, f, tc.want)
			}
		})
	}
}
