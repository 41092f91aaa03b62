package hublink_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/hublink"
)

// plain removes from the service what only versions from 2023 on know, and what no version describes.
func plain(f *fakeARM) {
	delete(f.document, "identity")
	delete(f.properties(), "disableLocalAuth")
	f.properties()["iotHubs"] = f.properties()["iotHubs"].([]any)[:1]
	for _, member := range []string{"hostName", "authenticationType"} {
		delete(f.hubs()["one.azure-devices.net"], member)
	}
}

func TestAChangeUsesTheNewestStableVersionThroughout(t *testing.T) {
	t.Parallel()
	old := []string{"2021-10-15", "2022-12-12", "2023-03-01-preview"}
	for name, test := range map[string]struct {
		served, listed []string
		plain          bool
		want           string
	}{
		"today":               {append(old, "2026-08-31", "2026-11-01"), nil, false, "2026-11-01"},
		"the first whole one": {append(old, "2026-08-31"), []string{"2026-08-31"}, false, "2026-08-31"},
		"one of the future": {append(old, "2026-11-01", "2027-05-01"), []string{"2026-11-01", "2027-05-01"},
			false, "2027-05-01"},
		"a future one, unlisted": {append(old, "2026-11-01", "2027-05-01"), nil, false, "2027-05-01"},
		"listed and not served": {append(old, "2026-11-01"), []string{"2027-05-01", "2028-01-01", "2026-11-01"},
			false, "2026-11-01"},
		"served and not listed": {append(old, "2026-11-01"), old, false, "2026-11-01"},
		"a newer preview": {append(old, "2026-11-01", "2027-05-01-preview"),
			[]string{"2026-11-01", "2027-05-01-preview"}, false, "2026-11-01"},
		"odd names": {append(old, "2026-11-01"), []string{"", "latest", "2026", "v1", "2026-11-01"},
			false, "2026-11-01"},
		"an old cloud":           {old, old, true, "2023-03-01-preview"},
		"an old cloud, unlisted": {old, nil, true, "2023-03-01-preview"},
		"an older cloud":         {old[:2], old[:2], true, "2022-12-12"},
		"an older cloud's preview": {append(old[:2:2], "2026-06-01-preview"), append(old[:2:2], "2026-06-01-preview"),
			true, "2022-12-12"},
		"a stable one in between": {append(old, "2025-01-01"), append(old, "2025-01-01"), true, "2025-01-01"},
		"letter case of the listing": {append(old, "2027-05-01-Preview", "2026-11-01"),
			[]string{"2027-05-01-Preview", "2026-11-01"}, false, "2026-11-01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.served, f.listed = test.served, test.listed
			if test.plain {
				plain(f)
			}
			want := strings.ToLower(string(mustJSON(t, f.properties()["iotHubs"])))
			client := f.client(t, quick)
			for range 2 {
				if _, err := client.Create(t.Context(), serviceID, three()); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.Remove(t.Context(), serviceID, threeHost); err != nil {
				t.Fatal(err)
			}
			if got := slices.Compact(f.puts()); !slices.Equal(got, []string{test.want}) {
				t.Errorf("got writes with %v, want all with %s", got, test.want)
			}
			// After the write, and while the change settles, the same version is read.
			last := slices.Index(f.calls, "PUT "+test.want)
			if settles := f.calls[last+1 : last+4]; !slices.Equal(
				settles,
				[]string{"GET " + test.want, "GET " + test.want, "GET " + test.want},
			) {
				t.Errorf("after the write: got %v, want three readings with its version", settles)
			}
			if got := strings.ToLower(string(mustJSON(t, f.properties()["iotHubs"]))); got != want {
				t.Errorf("got links %s, want %s", got, want)
			}
		})
	}
}

func mustJSON(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestAnOlderVersionIsRefusedWhereItWouldReset: each service has something that the newest usable version does not
// show.
func TestAnOlderVersionIsRefusedWhereItWouldReset(t *testing.T) {
	t.Parallel()
	older := []string{"2022-12-12", "2023-03-01-preview", "2026-06-01-preview", "2026-11-02-preview"}
	for name, test := range map[string]struct {
		served, listed, writable []string
		edit                     func(f *fakeARM)
		member                   string
	}{
		"local auth is off": {older, older, nil, func(f *fakeARM) { f.properties()["disableLocalAuth"] = true },
			"properties.disableLocalAuth"},
		"local auth is off, and the versions are unknown": {older, nil, nil,
			func(f *fakeARM) { f.properties()["disableLocalAuth"] = true }, "properties.disableLocalAuth"},
		"local auth is off, and the list lacks the preview": {older, older[:2], nil,
			func(f *fakeARM) { f.properties()["disableLocalAuth"] = true }, "properties.disableLocalAuth"},
		"a link by identity": {older, older, nil, func(f *fakeARM) {
			f.properties()["iotHubs"] = append(f.properties()["iotHubs"].([]any), map[string]any{
				"name": "two.azure-devices.net", "hostName": "two.azure-devices.net",
				"authenticationType": "SystemAssigned", "location": "westus",
			})
		}, "properties.iotHubs[two.azure-devices.net].authenticationType"},
		"a namespace": {older, older, nil, func(f *fakeARM) {
			f.properties()["deviceRegistryNamespaces"] = []any{map[string]any{"resourceId": "/n"}}
		}, "properties.deviceRegistryNamespaces"},
		"an identity": {[]string{"2022-12-12", "2026-06-01-preview"}, []string{"2022-12-12", "2026-06-01-preview"}, nil,
			func(f *fakeARM) {
				f.document["identity"] = map[string]any{"type": "SystemAssigned"}
			}, "identity"},
		"an unknown member": {older, older, nil, func(f *fakeARM) {
			f.properties()["unheard"] = "of"
			f.since["properties.unheard"] = "2026-06-01-preview"
		}, "properties.unheard"},
		"the newest is only read": {
			[]string{"2026-08-31", "2027-05-01"}, []string{"2026-08-31", "2027-05-01"}, []string{"2026-08-31"},
			func(f *fakeARM) {
				f.properties()["unheard"] = "of"
				f.since["properties.unheard"] = "2027-05-01"
			}, "properties.unheard",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.served, f.listed, f.writable = test.served, test.listed, test.writable
			plain(f)
			client := f.client(t, quick)
			if _, err := client.Create(t.Context(), serviceID, three()); err != nil {
				t.Fatalf("without it: got %v, want the link", err)
			}
			f.mu.Lock()
			test.edit(f)
			f.mu.Unlock()
			before := len(f.puts())
			want := string(mustJSON(t, f.document))
			check := func(change string, sent bool, err error) {
				var unsafe *hublink.UnsafeError
				if sent || !errors.As(err, &unsafe) || !strings.Contains(err.Error(), test.member) ||
					!strings.Contains(err.Error(), "hint: ") {
					t.Errorf(
						"%s: got sent %t, %v, want a refusal with a hint that names %s",
						change,
						sent,
						err,
						test.member,
					)
				}
			}
			result, err := client.Update(t.Context(), serviceID, three())
			check("update", result.Sent, err)
			check("remove", false, client.Remove(t.Context(), serviceID, threeHost))
			if after := len(f.puts()); after != before || string(mustJSON(t, f.document)) != want {
				t.Errorf("got %d writes, want none", after-before)
			}
			if _, found, err := client.Find(t.Context(), serviceID, threeHost); err != nil || !found {
				t.Errorf("find: got %t, %v, want the link: reading resets nothing", found, err)
			}
		})
	}
}

// TestAVersionThatIsServedForReadingOnlyIsLeft: regions get versions at different times.
func TestAVersionThatIsServedForReadingOnlyIsLeft(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.writable = []string{"2026-08-31"}
	if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
		t.Fatal(err)
	}
	if got := f.puts(); !slices.Equal(got, []string{"2026-11-01", "2026-08-31"}) || f.hubs()[threeHost] == nil {
		t.Errorf("got writes with %v and links %v, want a refused one and one step down", got, f.hubs())
	}
}

func TestAnOldCloudWhoseNewestVersionFailsIsNotWritten(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served = []string{"2022-12-12", "2026-06-01-preview"}
	f.listed = f.served
	plain(f)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("api-version") != "2026-06-01-preview" {
			return false
		}
		refuse(w, 500, `{"error":{"code":"InternalServerError","message":"not today"}}`)
		return true
	}
	result, err := f.client(t, quick).Create(t.Context(), serviceID, three())
	var unsafe *hublink.UnsafeError
	if result.Sent || !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "not today") ||
		!strings.Contains(err.Error(), "hint: ") ||
		len(f.puts()) > 0 {
		t.Errorf("got sent %t, %v, %d writes, want a refusal with its cause", result.Sent, err, len(f.puts()))
	}
}

// TestAVersionOfTheFutureWithAnotherFormIsLeft, unless it shows what the known ones would reset.
func TestAVersionOfTheFutureWithAnotherFormIsLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		properties string
		refused    bool
	}{
		"no list":         {`{"state":"Active","iotHubs":{"one.azure-devices.net":{}}}`, false},
		"no names":        {`{"state":"Active","iotHubs":[{"location":"westus"}]}`, false},
		"another member":  {`{"state":"Active","iotHubs":null,"linkedHubs":["one"]}`, true},
		"nothing at all":  {`null`, false},
		"texts in a list": {`{"iotHubs":["one.azure-devices.net"]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.served = append(f.served, "2027-05-01")
			f.listed = f.served
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("api-version") != "2027-05-01" {
					return false
				}
				_, _ = io.WriteString(w, `{"etag":"AAAA","properties":`+test.properties+`}`)
				return true
			}
			_, err := f.client(t, quick).Create(t.Context(), serviceID, three())
			var unsafe *hublink.UnsafeError
			if test.refused != errors.As(err, &unsafe) || !test.refused && err != nil {
				t.Errorf("got %v, want refused %t", err, test.refused)
			}
			if got := f.puts(); test.refused != (len(got) == 0) ||
				!test.refused && !slices.Equal(got, []string{"2026-11-01"}) {
				t.Errorf("got %d writes, the first with %.12v", len(got), got)
			}
		})
	}
}

// TestAPreviewIsUsedWhereOnlyItShowsAll: no stable version would keep the member.
func TestAPreviewIsUsedWhereOnlyItShowsAll(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served = append(f.served, "2027-05-01-preview")
	f.listed = f.served
	f.properties()["unheard"], f.since["properties.unheard"] = map[string]any{"of": 1}, "2027-05-01-preview"
	if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
		t.Fatal(err)
	}
	if got := f.puts(); !slices.Equal(got, []string{"2027-05-01-preview"}) || f.properties()["unheard"] == nil {
		t.Errorf("got writes with %v and %v, want the preview and the member kept", got, f.properties()["unheard"])
	}
}

func TestNoUsableVersionIsAnError(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served, f.listed = []string{"2017-11-15"}, []string{"2017-11-15"}
	_, _, err := f.client(t, quick).Find(t.Context(), serviceID, threeHost)
	if err == nil || errors.Is(err, hublink.ErrNoService) || !strings.Contains(err.Error(), "hint: ") {
		t.Errorf("got %v, want an error with a hint, and not that the service does not exist", err)
	}
}

func TestTheListOfVersionsIsRequestedOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	for range 3 {
		if _, err := client.Update(t.Context(), serviceID, three()); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	for _, call := range f.calls {
		if call == "GET 2021-04-01" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("asked for the list %d times, want once", asked)
	}
}

func TestRefusedVersionsAreRecognized(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served = nil
	f.listed = nil
	_, _, err := f.client(t, quick).Find(t.Context(), serviceID, threeHost)
	if _, unserved := arm.IsUnserved(err); unserved || err == nil {
		t.Errorf("got %v, want one error for all versions", err)
	}
}

func TestAPreviewVersionWithoutWritesIsNotUsed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served = append(f.served, "2027-05-01-preview")
	f.listed, f.writable = f.served, []string{"2026-11-01"}
	f.properties()["unheard"], f.since["properties.unheard"] = "of", "2027-05-01-preview"
	result, err := f.client(t, quick).Create(t.Context(), serviceID, three())
	var unsafe *hublink.UnsafeError
	if result.Sent || !errors.As(err, &unsafe) || !strings.Contains(err.Error(), "properties.unheard") ||
		!slices.Equal(f.puts(), []string{"2027-05-01-preview"}) {
		t.Errorf("got sent %t, %v, writes with %v, want a refusal that names the member", result.Sent, err, f.puts())
	}
}

// TestBothReadingsAreOfOneState: another client writes between them, at a service that ignores etags.
func TestBothReadingsAreOfOneState(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.served = append(f.served, "2026-11-02-preview")
	f.listed, f.ignoreETags = f.served, true
	changed := false
	f.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if !changed && r.URL.Query().Get("api-version") == "2026-11-02-preview" {
			changed = true
			f.document["tags"] = map[string]any{"owner": "others"}
			f.touch()
		}
		return false
	}
	if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
		t.Fatal(err)
	}
	if got := f.document["tags"].(map[string]any)["owner"]; got != "others" || !changed {
		t.Errorf("got the tag %v, want the other writer's", got)
	}
}
