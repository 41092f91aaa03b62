package provider_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi/sdk/v3/go/property"

	"evenkeel/internal/azure/sas"
)

const providerURN = "urn:pulumi:test::test::pulumi:providers:azure-dps::enrollments"

func connectionString(host, key string) string {
	return "HostName=" + host + ";SharedAccessKeyName=enrollments;SharedAccessKey=" + key
}

func TestConfigurationReplacesOnlyForAnotherHost(t *testing.T) {
	t.Parallel()
	key, other := newKey(t), newKey(t)
	base := object{"host": fakeHost, "policyName": policyName, "key": key, "version": "0.1.0"}
	with := func(changes object) object {
		changed := maps.Clone(base)
		maps.Copy(changed, changes)
		return changed
	}
	tests := []struct {
		name     string
		old, new object
		want     []string
		replaces bool
	}{
		{name: "nothing", old: base, new: base},
		{name: "another version of the plugin", old: base, new: with(object{"version": "0.2.0"})},
		{name: "a rotated key", old: base, new: with(object{"key": other}), want: []string{"key"}},
		{name: "a key that is secret now", old: base, new: with(object{"key": property.New(key).WithSecret(true)})},
		{name: "the emulator's port and certificate", old: base,
			new: with(object{"endpoint": "https://127.0.0.1:2", "caFile": "/x"}), want: []string{"caFile", "endpoint"}},
		{name: "the rate", old: base, new: with(object{"rateLimit": 5}), want: []string{"rateLimit"}},
		{name: "letter case of the host", old: base, new: with(object{"host": strings.ToUpper(fakeHost)}),
			want: []string{"host"}},
		{name: "another host", old: base, new: with(object{"host": "dps-2.azure-devices-provisioning.net"}),
			want: []string{"host"}, replaces: true},
		{name: "a host that is not known yet", old: base, new: with(object{"host": unknown}), want: []string{"host"}},
		{name: "a key that is not known yet", old: base, new: with(object{"key": unknown}), want: []string{"key"}},
		{name: "the same by connection string", old: base,
			new:  object{"connectionString": connectionString(fakeHost, key)},
			want: []string{"connectionString", "host", "key", "policyName"}},
		{name: "another host by connection string", old: base,
			new:  object{"connectionString": connectionString("dps-2.example.net", key)},
			want: []string{"connectionString", "host", "key", "policyName"}, replaces: true},
		{name: "a rotated connection string", old: object{"connectionString": connectionString(fakeHost, key)},
			new: object{"connectionString": connectionString(fakeHost, other)}, want: []string{"connectionString"}},
		{name: "from a key to a login", old: base, new: object{"host": fakeHost, "useMsi": true},
			want: []string{"key", "policyName", "useMsi"}},
		{name: "a renewed secret", old: object{"host": fakeHost, "clientSecret": "a"},
			new: object{"host": fakeHost, "clientSecret": "b"}, want: []string{"clientSecret"}},
		{name: "from no configuration", old: object{}, new: base, want: []string{"host", "key", "policyName"}},
	}
	server := startProvider(t, object{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			response, err := server.DiffConfig(p.DiffRequest{Urn: providerURN, OldInputs: test.old.properties(),
				State: test.old.properties(), Inputs: test.new.properties()})
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Sorted(maps.Keys(response.DetailedDiff)); !slices.Equal(got, test.want) {
				t.Errorf("changed: got %v, want %v", got, test.want)
			}
			replaces := false
			for _, change := range response.DetailedDiff {
				replaces = replaces || change.Kind == p.UpdateReplace
			}
			if replaces != test.replaces || response.HasChanges != (len(test.want) > 0) {
				t.Errorf("got replace %t, changes %t, want replace %t, changes %t", replaces, response.HasChanges,
					test.replaces, len(test.want) > 0)
			}
		})
	}
}

func TestConfigurationIsChecked(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	tests := []struct {
		name   string
		inputs object
		want   []string
	}{
		{name: "none", inputs: object{"version": "0.1.0"}},
		{name: "host, policy and key", inputs: object{"host": fakeHost, "policyName": "p", "key": key}},
		{name: "a connection string", inputs: object{"connectionString": connectionString(fakeHost, key)}},
		{name: "as a stack's configuration gives it",
			inputs: object{"connectionString": connectionString(fakeHost, key), "rateLimit": "5"}},
		{name: "a host alone, which logs in as azure-native does", inputs: object{"host": fakeHost}},
		{name: "a policy alone", inputs: object{"policyName": "p"}, want: []string{"host", "key"}},
		{name: "both forms", inputs: object{"connectionString": connectionString(fakeHost, key), "host": fakeHost},
			want: []string{"host"}},
		{name: "a broken connection string", inputs: object{"connectionString": "HostName=x;SharedAccessKey=" + key},
			want: []string{"connectionString"}},
		{name: "a connection string of wrong parts",
			inputs: object{"connectionString": connectionString("https://x", "!")},
			want:   []string{"connectionString", "connectionString"}},
		{name: "a value of another kind beside wrong ones", inputs: object{"host": "x", "policyName": "p",
			"key": []string{"k"}, "rateLimit": -1},
			want: []string{"key", "host", "rateLimit"}},
		{name: "everything wrong", inputs: object{"host": "https://x", "policyName": "p", "key": "!",
			"endpoint": "127.0.0.1:1", "rateLimit": -1},
			want: []string{"endpoint", "host", "key", "rateLimit"}},
		{name: "a login by secret", inputs: object{"host": fakeHost, "tenantId": "t", "clientId": "c",
			"clientSecret": "s"}},
		{name: "a login by certificate", inputs: object{"host": fakeHost, "tenantId": "t", "clientId": "c",
			"clientCertificatePath": "/c.pem"}},
		{name: "a login by OIDC", inputs: object{"host": fakeHost, "tenantId": "t", "clientId": "c", "useOidc": true,
			"oidcToken": "t"}},
		{name: "a login as the machine", inputs: object{"host": fakeHost, "useMsi": true}},
		{name: "a login as the Azure CLI", inputs: object{"host": fakeHost, "useAzureCli": "true"}},
		{name: "switches that are off", inputs: object{"host": fakeHost, "policyName": "p", "key": key, "useMsi": false,
			"useOidc": "false"}},
		{name: "a login without its parts", inputs: object{"clientSecret": "s"},
			want: []string{"clientId", "tenantId"}},
		{name: "a tenant alone", inputs: object{"host": fakeHost, "tenantId": "t"}},
		{name: "an unknown cloud", inputs: object{"environment": "moon", "metadataHost": "https://x"},
			want: []string{"environment", "metadataHost"}},
		{name: "OIDC without a token", inputs: object{"host": fakeHost, "tenantId": "t", "clientId": "c",
			"useOidc": true, "oidcRequestUrl": "https://x"}, want: []string{"useOidc"}},
		{name: "two logins", inputs: object{"host": fakeHost, "useMsi": true, "useAzureCli": true,
			"authorityHost": "login"}, want: []string{"authorityHost", "useAzureCli", "useMsi"}},
		{name: "a login for links and a key for enrollments", inputs: object{"host": fakeHost, "policyName": "p",
			"key": key, "useMsi": true}},
	}
	server := startProvider(t, object{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checked, err := server.CheckConfig(p.CheckRequest{Urn: providerURN, Inputs: test.inputs.properties()})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, failure := range checked.Failures {
				got = append(got, plainPath(failure))
				if strings.Contains(failure.Reason, key) {
					t.Errorf("the failure at %s contains the key", failure.Property)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("failures: got %v, want %v (%v)", got, test.want, checked.Failures)
			}
			for _, name := range []string{"key", "connectionString"} {
				t.Run(name, func(t *testing.T) {
					if value, exists := checked.Inputs.GetOk(name); exists && !value.IsNull() && !value.Secret() {
						t.Errorf("%s is not secret", name)
					}
				})
			}
		})
	}
}

func TestAConnectionStringAndTheConfigurationOfAnotherProviderWork(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, object{"connectionString": connectionString(fakeHost, fake.Key), "endpoint": fake.URL,
		"caFile": fake.CAFile})
	m := manage(t, server, "IndividualEnrollment", "device-1")
	m.up(object{"registrationId": "device-1"})

	set := manage(t, server, "EnrollmentSet", "devices")
	set.id = fakeHost + individualPath
	set.refresh() // an import

	elsewhere := fake.config()
	elsewhere["host"] = "dps-2.azure-devices-provisioning.net"
	fake.takeLog()
	for _, m := range []*managed{m, set} {
		m.server = startProvider(t, elsewhere)
		paths, response := m.diff(m.inputs)
		if !slices.Equal(paths, []string{"serviceHost"}) ||
			response.DetailedDiff["serviceHost"].Kind != p.UpdateReplace {
			t.Errorf("diff of %s under another host: got %v, want a replacement for serviceHost", m.urn,
				response.DetailedDiff)
		}
		if _, err := m.server.Read(readOf(m)); err == nil {
			t.Errorf("refresh of %s under another host: got no error, want one", m.urn)
		}
		if err := m.server.Delete(deleteOf(m)); err == nil {
			t.Errorf("deletion of %s under another host: got no error, want one", m.urn)
		}
	}
	if log := fake.takeLog(); log != nil {
		t.Errorf("requests to the other host: got %v, want none", log)
	}
}

func TestACheckedConfigurationLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, object{})
	former := object{"connectionString": connectionString("former.azure-devices-provisioning.net", newKey(t)),
		"rateLimit": 1}
	if _, err := server.CheckConfig(p.CheckRequest{Urn: providerURN, Inputs: former.properties()}); err != nil {
		t.Fatal(err)
	}
	if err := server.Configure(p.ConfigureRequest{Args: fake.config().properties()}); err != nil {
		t.Fatal(err)
	}
	manage(t, server, "IndividualEnrollment", "device-1").up(object{"registrationId": "device-1"})
}

func TestInvalidConfigurationIsReportedWhenItIsUsed(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	wrongKey := fake.config()
	wrongKey["key"] = newKey(t)
	noFile := fake.config()
	noFile["caFile"] = filepath.Join(t.TempDir(), "absent.pem")
	untrusted := fake.config()
	delete(untrusted, "caFile")
	for name, test := range map[string]struct {
		config object
		want   string
	}{
		"none": {object{}, "not configured"},
		"wrong key": {wrongKey,
			"401 Unauthorized: Unauthorized (code 401002, tracking id fake); check the provider's policyName and key: " +
				fakeHost +
				" must have the policy, with the right EnrollmentWrite. If a key of that policy was regenerated, " +
				"raise the rotation of its SharedAccessKey by one, then run pulumi up: " +
				"it signs with the other key and restores the declared ones (with evenkeel's program: pulumi config " +
				"set " +
				"--path rotation.enrollments 1"},
		"no CA file": {noFile, "absent.pem"},
		"no CA":      {untrusted, "certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			m := manage(t, startProvider(t, test.config), "IndividualEnrollment", "device-1")
			_, err := m.tryUp(object{"registrationId": "device-1"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
			}
		})
	}
}

func TestCancelEndsAWaitingRequest(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	server := startProvider(t, fake.config())
	m := manage(t, server, "IndividualEnrollment", "device-1")
	arrived := make(chan struct{})
	fake.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice that the client has disconnected
			close(arrived)
			<-r.Context().Done()
			return true
		}
		return false
	}, nil)
	failed := make(chan error, 1)
	go func() {
		_, err := m.tryUp(object{"registrationId": "device-1"})
		failed <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	select {
	case <-arrived:
	case <-ctx.Done():
		t.Fatal("the request never arrived")
	}
	if err := server.Cancel(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err == nil {
			t.Error("got no error, want the cancellation")
		}
	case <-ctx.Done():
		t.Fatal("the operation did not end")
	}
}

func TestThrottledRequestsAreRetried(t *testing.T) {
	t.Parallel()
	fake := runFake(t)
	m := manage(t, startProvider(t, fake.config()), "IndividualEnrollment", "device-1")
	refusals := 0
	fake.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if refusals++; refusals%3 == 0 {
			return false
		}
		w.Header().Set("retry-after-ms", "1")
		refuse(w, []int{429001, 503001}[refusals%2], "wait")
		return true
	}, nil)
	m.up(object{"registrationId": "device-1"})
	if key := m.secret("primaryKey"); len(key) == 0 || refusals < 4 {
		t.Errorf("got %d requests, want every one to have been refused first", refusals)
	}
	if _, err := sas.DecodeKey(m.secret("secondaryKey")); err != nil {
		t.Error(err)
	}
}
