package environment_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

func TestTimeSpansAreReadInMinutesHoursAndDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "8h": 8 * time.Hour, "2d": 48 * time.Hour, "366d": environment.LongestTTL,
		"1m":  time.Minute,
		"59s": 0, "367d": 0, "0d": 0, "-8h": 0, "99999999d": 0, "8": 0, "soon": 0, "d": 0, "": 0,
	} {
		t.Run(text, func(t *testing.T) {
			got, err := environment.ParseTTL(text)
			if got != want || (err == nil) != (want > 0) {
				t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
			}
		})
	}
}

func TestLifetimeSettingsAreKeptUntilTheStackIsNew(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	stackFile := filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml")
	write(
		t,
		stackFile,
		"config:\n  myproject:createdAt: \"2020-01-01T00:00:00Z\"\n  myproject:expiresAt: \"2020-01-02T00:00:00Z\"\n",
	)
	life := []environment.Setting{
		{Key: "createdAt", Value: "2026-01-01T00:00:00Z", OnlyNew: true}, {Key: "expiresAt", OnlyNew: true},
	}
	if err := e.Ensure(t.Context(), life...); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stack init local --secrets-provider passphrase",
		"config set-all --plaintext createdAt=2026-01-01T00:00:00Z",
		"config rm-all expiresAt",
	}
	if got := ran(t, e); !slices.Equal(got, want) {
		t.Errorf("new stack: got %q run, want %q", got, want)
	}
	later := []environment.Setting{
		{Key: "createdAt", Value: "2026-02-02T00:00:00Z", OnlyNew: true, Keep: true},
		{Key: "expiresAt", Value: "2026-02-03T00:00:00Z", OnlyNew: true, Keep: true},
	}
	if err := e.Ensure(t.Context(), slices.Concat(life, later)...); err != nil {
		t.Fatal(err)
	}
	if got := ran(t, e); got != nil {
		t.Errorf("same stack: got %q run, want nothing", got)
	}
	write(t, stackFile, "config:\n  myproject:createdAt: 2020-01-01T00:00:00Z\n")
	if err := e.Ensure(t.Context(), later...); err != nil {
		t.Fatal(err)
	}
	if got, want := ran(t, e), []string{
		"config set-all --plaintext expiresAt=2026-02-03T00:00:00Z",
	}; !slices.Equal(got, want) {
		t.Errorf("a stack without an end: got %q run, want %q", got, want)
	}
	l, err := e.Lifetime()
	if err != nil || l.Created.Year() != 2020 || !l.Expires.IsZero() {
		t.Errorf("got %+v, %v, want the time without quotes read", l, err)
	}
}

// tags records what is tagged, and whether the lock was held.
type tags struct {
	pulumi   string
	noted    []string
	unlocked bool
}

func (t *tags) Tag(_ context.Context, group, name, value string) error {
	t.noted = append(t.noted, group+" "+name+"="+value)
	t.unlocked = t.unlocked || !holds(t.pulumi)
	return nil
}

// lived is a state with outputs, of which %s is the end of the lifetime; secrets are in the form that a decrypted state
// has.
const lived = `{"resources":[
 {"urn":"urn:s","type":"pulumi:pulumi:Stack","outputs":{"expiresAt":%q,"hubs":[{"weight":1}],"n":null,
  "key":{"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"[\"a\",{\"b\":true}]"}}},
 {"urn":"urn:g","id":"/subscriptions/0/resourceGroups/mine","custom":true,"type":"azure-native:resources:ResourceGroup"}%s]}`

func TestExtendingMovesTheSettingTheTagAndTheOutputUnderTheLock(t *testing.T) {
	t.Parallel()
	for _, ended := range []bool{false, true} { // whether another operation ends just before
		e := newEnvironment(t)
		folder := filepath.Dir(e.Pulumi)
		state := fmt.Sprintf(lived, "2020-01-01T00:00:00Z", "")
		write(
			t,
			filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"),
			`{"checkpoint":{"latest":`+state+`}}`,
		)
		write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":`+state+`}`)
		if ended {
			state = strings.ReplaceAll(
				fmt.Sprintf(lived, "2020-01-01T00:00:00Z", `,{"urn":"urn:new","id":"/new","custom":true}`),
				`"weight":1`,
				`"weight":2`,
			)
			write(t, filepath.Join(folder, "export-by-then"), `{"version":3,"deployment":`+state+`}`)
		}
		tagged := tags{pulumi: e.Pulumi}
		if err := e.Extend(t.Context(), &tagged, time.Date(2026, 5, 4, 3, 2, 1, 9, time.UTC)); err != nil {
			t.Fatal(err)
		}
		if want := []string{
			"/subscriptions/0/resourceGroups/mine expiresAt=2026-05-04T03:02:01Z",
		}; !slices.Equal(tagged.noted, want) ||
			tagged.unlocked {
			t.Errorf("got %q tagged, without the lock %v, want %q with it", tagged.noted, tagged.unlocked, want)
		}
		if !slices.Contains(ran(t, e), "config set-all --plaintext expiresAt=2026-05-04T03:02:01Z") {
			t.Error("the setting has not changed")
		}
		text, err := os.ReadFile(filepath.Join(folder, "registered"))
		if err != nil {
			t.Fatal(err)
		}
		var registered struct {
			URN     string `json:"urn"`
			Outputs any    `json:"outputs"`
		}
		if err := json.Unmarshal(text, &registered); err != nil {
			t.Fatal(err)
		}
		weight := 1.0
		if ended {
			weight = 2
		}
		want := map[string]any{
			"expiresAt": "2026-05-04T03:02:01Z",
			"hubs":      []any{map[string]any{"weight": weight}},
			"n":         nil,
			"key": map[string]any{
				"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
				"value":                            []any{"a", map[string]any{"b": true}},
			},
		}
		if diff := cmp.Diff(want, registered.Outputs); diff != "" ||
			registered.URN != "pulumi:pulumi:Stack::myproject-local" {
			t.Errorf("got outputs of %s:\n%s", registered.URN, diff)
		}
		if text, err := os.ReadFile(filepath.Join(folder, "export")); err != nil ||
			strings.Contains(string(text), "urn:new") != ended {
			t.Errorf("got the state %s, %v, want no change undone", text, err)
		}
	}
}

func TestNothingIsExtendedWhileAnotherUpdateHasTheLock(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	folder := filepath.Dir(e.Pulumi)
	state := fmt.Sprintf(lived, "2020-01-01T00:00:00Z", "")
	write(
		t,
		filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"),
		`{"checkpoint":{"latest":`+state+`}}`,
	)
	write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":`+state+`}`)
	write(t, filepath.Join(folder, "complaint"), "error: [409] Conflict: Another update is currently in progress.\n")
	tagged := tags{pulumi: e.Pulumi}
	err := e.Extend(t.Context(), &tagged, time.Now())
	if err == nil || !strings.Contains(hint.Of(err), "wait for the other update") || tagged.noted != nil {
		t.Errorf("got %v, hint %q, %q tagged, want it refused", err, hint.Of(err), tagged.noted)
	}
	if slices.ContainsFunc(ran(t, e), func(call string) bool { return strings.HasPrefix(call, "config") }) {
		t.Error("the setting has changed")
	}
}

func TestAStackIsSummarizedFromItsFiles(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	write(
		t,
		filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"),
		`{"checkpoint":{"latest":{"resources":[
 {"urn":"a","type":"pulumi:pulumi:Stack"},{"urn":"b","type":"pulumi:providers:azure-native","custom":true},
 {"urn":"c","type":"azure-native:resources:ResourceGroup","custom":true},{"urn":"d","type":"azure-native:devices:IotHubResource","custom":true,
  "id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub-1a2b"}]}}}`,
	)
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json.bak"), `x`)
	write(
		t,
		filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"),
		"config:\n  myproject:owner: me\n  myproject:target: local\n",
	)
	got, err := e.Summary(t.Context())
	want := environment.Summary{
		Name:      "local",
		Target:    "local",
		Lifetime:  environment.Lifetime{Owner: "me"},
		Hubs:      []string{"hub-1a2b"},
		Resources: 2,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if names, err := e.Folder.Stacks(); err != nil || !slices.Equal(names, []string{"local"}) {
		t.Errorf("got %v, %v, want the stack alone", names, err)
	}
}

func TestATeamsMaximumLimitsTheLifetime(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	for config, want := range map[string]time.Duration{
		"": 0, "config:\n  other: 3d\n": 0, "config:\n  maxLifetime: 3d\n": 72 * time.Hour,
		"config:\n  maxLifetime: {type: string, default: 8h}\n": 8 * time.Hour,
		"config:\n  myproject:maxLifetime: {value: 90m}\n":      90 * time.Minute, "config:\n  maxLifetime: long\n": -1,
		"config:\n  maxLifetime: {type: string}\n": -1,
	} {
		t.Run(config, func(t *testing.T) {
			write(t, filepath.Join(e.Folder.Root, "Pulumi.yaml"), "name: myproject\n"+config)
			got, err := e.Folder.MaxLifetime()
			if want >= 0 && (err != nil || got != want) || want < 0 && err == nil {
				t.Errorf("%q: got %v, %v, want %v", config, got, err, want)
			}
		})
	}
	for _, tc := range []struct{ ttl, most, want time.Duration }{
		{0, 0, 0}, {time.Hour, 0, time.Hour}, {0, time.Hour, time.Hour}, {time.Hour, time.Hour, time.Hour},
		{time.Hour, 2 * time.Hour, time.Hour}, {2 * time.Hour, time.Hour, -1},
	} {
		t.Run(fmt.Sprintf("%v of at most %v", tc.ttl, tc.most), func(t *testing.T) {
			got, err := environment.LimitTTL(tc.ttl, tc.most)
			if tc.want >= 0 && (err != nil || got != tc.want) || tc.want < 0 && (err == nil || hint.Of(err) == "") {
				t.Errorf("%v of at most %v: got %v, %v, want %v", tc.ttl, tc.most, got, err, tc.want)
			}
		})
	}
}
