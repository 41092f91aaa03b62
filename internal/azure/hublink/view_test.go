package hublink_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/azure/hublink"
)

const programVersion = "2022-12-12"

func TestAViewNamesWhatAnUpdateWithAnOlderVersionResets(t *testing.T) {
	t.Parallel()
	all := []string{"2022-12-12", "2023-03-01-preview", "2026-08-31", "2026-11-01"}
	for name, test := range map[string]struct {
		served, listed []string
		edit           func(f *fakeARM)
		version        string
		hidden         []string
	}{
		"everything of 2026": {all, all, func(f *fakeARM) {
			f.properties()["deviceRegistryNamespaces"] = []any{map[string]any{"resourceId": "/ns"}}
			f.properties()["iotHubs"] = f.properties()["iotHubs"].([]any)[:2]
		}, "2026-11-01", []string{"identity", "properties.deviceRegistryNamespaces", "properties.disableLocalAuth",
			"properties.iotHubs[two.azure-devices.net].authenticationType"}},
		"nothing new": {all, all, plain, "2026-11-01", nil},
		"defaults": {all, all, func(f *fakeARM) {
			plain(f)
			f.properties()["disableLocalAuth"] = false
			f.properties()["deviceRegistryNamespaces"] = []any{}
			f.document["identity"] = map[string]any{"type": "None"}
			f.hubs()["one.azure-devices.net"]["authenticationType"] = "KeyBased"
		}, "2026-11-01", nil},
		"a member of the future": {append(all, "2028-01-01"), all, func(f *fakeARM) {
			plain(f)
			f.since["properties.newest"] = "2028-01-01"
			f.properties()["newest"] = "on"
			f.listed = append(all, "2028-01-01")
		}, "2028-01-01", []string{"properties.newest"}},
		"the versions are not listed": {all, nil, func(f *fakeARM) {
			plain(f)
			f.properties()["disableLocalAuth"] = true
		}, "2026-11-01", []string{"properties.disableLocalAuth"}},
		"an old cloud": {all[:1], all[:1], plain, programVersion, nil},
		"an old cloud with a preview": {append(all[:2:2], "2026-06-01-preview"), all[:2], func(f *fakeARM) {
			plain(f)
			f.properties()["disableLocalAuth"] = true
		}, "2026-06-01-preview", []string{"properties.disableLocalAuth"}},
		"a preview fails": {append(all, "2026-11-02-preview"), append(all, "2026-11-02-preview"), func(f *fakeARM) {
			plain(f)
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("api-version") != "2026-11-02-preview" {
					return false
				}
				refuse(w, 403, `{"error":{"code":"Forbidden","message":"not for you"}}`)
				return true
			}
		}, "2026-11-01", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.served, f.listed = test.served, test.listed
			test.edit(f)
			local := f.properties()["disableLocalAuth"] == true
			got, err := f.client(t, quick).ViewService(t.Context(), serviceID, programVersion)
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != test.version || !slices.Equal(got.Hidden, test.hidden) ||
				got.LocalAuthDisabled != local {
				t.Errorf("got %+v, want version %s, hidden %v, local auth disabled %t", got, test.version, test.hidden,
					local)
			}
			if slices.ContainsFunc(f.calls, func(call string) bool { return !strings.HasPrefix(call, "GET ") }) {
				t.Errorf("got calls %v, want only GETs", f.calls)
			}
		})
	}
}

func TestAViewShowsHowHubsAreLinked(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	got, err := f.client(t, quick).ViewService(t.Context(), serviceID, programVersion)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]struct {
		kind   string
		linked bool
	}{
		"one.azure-devices.net": {"", true}, "ONE.device.azure-devices.net": {"", true},
		"two.azure-devices.net": {"SystemAssigned", true}, "three.azure-devices.net": {"", false},
	} {
		t.Run(host, func(t *testing.T) {
			if kind, linked := got.IdentityOf(host); kind != want.kind || linked != want.linked {
				t.Errorf("%s: got %q, %t, want %q, %t", host, kind, linked, want.kind, want.linked)
			}
		})
	}
}

func TestAViewOfAnAbsentServiceIsAnError(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.before = func(w http.ResponseWriter, _ *http.Request) bool {
		refuse(w, 404, `{"error":{"code":"ResourceNotFound","message":"gone"}}`)
		return true
	}
	if _, err := f.client(t, quick).ViewService(t.Context(), serviceID,
		programVersion); !errors.Is(err, hublink.ErrNoService) {
		t.Errorf("got %v, want ErrNoService", err)
	}
}
