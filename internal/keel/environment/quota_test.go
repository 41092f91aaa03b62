package environment_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

const deployedHubs = `{"checkpoint":{"latest":{"resources":[
 {"urn":"1","id":"/1","custom":true,"type":"azure-native:devices:IotHubResource","inputs":{"sku":{"name":"S1"}}},
 {"urn":"2","id":"/2","custom":true,"type":"azure-native:devices:IotHubResource","inputs":{"sku":{"name":"F1"}}},
 {"urn":"3","id":"/3","custom":true,"type":"azure-native:devices:IotDpsResource","inputs":{"sku":"not what it was"}}]}}}`

func TestAnUpNeedsTheConfigurationMinusTheState(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		config string
		up     bool
		want   environment.Need
	}{
		"no configuration": {"", false, environment.Need{Hubs: 2, Services: 1}},
		"three hubs":       {"hubs: 3", false, environment.Need{Hubs: 3, Services: 1}},
		"as text":          {`hubs: "3"`, false, environment.Need{Hubs: 3, Services: 1}},
		"one free": {"hubs: 3\n  myproject:hubSettings: {hub-2: {sku: f1}, hub-3: {remove: true}}", false,
			environment.Need{Hubs: 1, FreeHubs: 1, Services: 1}},
		"a shared service":  {"provisioningService: /subscriptions/x", false, environment.Need{Hubs: 2}},
		"refused elsewhere": {"hubs: many", false, environment.Need{Services: 1}},
		"up already":        {"hubSettings: {hub-2: {sku: F1}}", true, environment.Need{}},
		"one more":          {"hubs: 3\n  myproject:hubSettings: {hub-2: {sku: F1}}", true, environment.Need{Hubs: 1}},
		"fewer":             {"hubs: 1", true, environment.Need{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			if tc.config != "" {
				write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:"+tc.config+
					"\n")
			}
			if tc.up {
				write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"),
					deployedHubs)
			}
			if got, err := e.Need(t.Context()); err != nil || got != tc.want {
				t.Errorf("%s: got %+v, %v, want %+v", name, got, err, tc.want)
			}
		})
	}
}

// meter returns a quota.
type meter struct {
	quota environment.Quota
	err   error
	asked int
}

func (m *meter) Quota(context.Context) (environment.Quota, error) {
	m.asked++
	return m.quota, m.err
}

func TestAnUpBeyondTheQuotaIsRejectedWithAHint(t *testing.T) {
	t.Parallel()
	room := environment.DefaultQuota
	use := func(hubs, free, services int) environment.Quota {
		q := room
		q.Hubs.Used, q.FreeHubs.Used, q.Services.Used = hubs, free, services
		return q
	}
	for name, tc := range map[string]struct {
		config     string
		quota      environment.Quota
		want, hint string
	}{
		"room": {"hubs: 2", use(48, 1, 9), "", ""},
		"no service": {"hubs: 2", use(0, 0, 10), "1 more provisioning services (10 of 10 in use)",
			"share an existing provisioning service"},
		"no hub": {"hubs: 2", use(49, 0, 0), "2 more IoT hubs (49 of 50 in use)", "use fewer hubs"},
		"no free hub": {"hubSettings: {hub-1: {sku: F1}}", use(0, 1, 0), "1 more free IoT hubs (1 of 1 in use)",
			"another sku"},
		"neither": {"hubs: 2", use(50, 1, 10),
			"2 more IoT hubs (50 of 50 in use), and 1 more provisioning services", "share"},
		"the shared one": {"provisioningService: /x", use(0, 0, 10), "", ""},
		"a larger quota": {"hubs: 2", environment.Quota{Hubs: environment.Share{Used: 60, Limit: 100},
			Services: environment.Share{Limit: 10}}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnvironment(t)
			write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:"+tc.config+
				"\n")
			err := e.CheckQuota(t.Context(), &meter{quota: tc.quota})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) ||
				!strings.Contains(hint.Of(err), tc.hint)) {
				t.Errorf("%s: got %v, hint %q, want %q, hint %q", name, err, hint.Of(err), tc.want, tc.hint)
			}
		})
	}
}

func TestATeamsLimitOfServicesOverridesTheDefault(t *testing.T) {
	t.Parallel()
	full := environment.DefaultQuota
	full.Services.Used = 10
	for limit, want := range map[string]string{"20": "", "10": "10 of 10 in use",
		"many": "config.maxProvisioningServices: got many", "0": "want a number from 1"} {
		t.Run(limit, func(t *testing.T) {
			e := newEnvironment(t)
			write(t, filepath.Join(e.Folder.Root, "Pulumi.yaml"),
				"name: myproject\nstackConfigDir: stacks\nconfig:\n  maxProvisioningServices: "+limit+"\n")
			if err := e.CheckQuota(t.Context(), &meter{quota: full}); (err == nil) != (want == "") || err != nil &&
				!strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", limit, err, want)
			}
		})
	}
}

func TestTheQuotaIsReadOnlyForAdditionsAndMayBeUnreadable(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	var notices []string
	e.Notice = func(text string) { notices = append(notices, text) }
	m := &meter{err: errors.New("403")}
	if err := e.CheckQuota(t.Context(), m); err != nil || len(notices) != 1 || m.asked != 1 {
		t.Errorf("got %v, notices %q, want one notice and no error", err, notices)
	}
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), deployedHubs)
	write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:hubs: 1\n")
	if err := e.CheckQuota(t.Context(), m); err != nil || m.asked != 1 {
		t.Errorf("nothing to add: got %v, asked %d times, want no question", err, m.asked)
	}
}
