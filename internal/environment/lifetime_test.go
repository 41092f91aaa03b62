package environment_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"evenkeel/internal/environment"
	"evenkeel/internal/hint"
)

func TestTimeSpansAreReadInMinutesHoursAndDays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "8h": 8 * time.Hour, "2d": 48 * time.Hour, "366d": environment.LongestTTL, "1m": time.Minute,
		"59s": 0, "367d": 0, "0d": 0, "-8h": 0, "99999999d": 0, "8": 0, "soon": 0, "d": 0, "": 0,
	} {
		got, err := environment.ParseTTL(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
		}
	}
}

func TestSettingsOfALifeAreKeptUntilTheStackIsNew(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	stackFile := filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml")
	write(t, stackFile, "config:\n  myproject:createdAt: \"2020-01-01T00:00:00Z\"\n  myproject:expiresAt: \"2020-01-02T00:00:00Z\"\n")
	life := []environment.Setting{
		{Key: "createdAt", Value: "2026-01-01T00:00:00Z", Born: true}, {Key: "expiresAt", Born: true},
	}
	if err := e.Ensure(t.Context(), life...); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"stack init local --secrets-provider passphrase", "config set-all --plaintext createdAt=2026-01-01T00:00:00Z", "config rm-all expiresAt",
	}
	if got := ran(t, e); !slices.Equal(got, want) {
		t.Errorf("new stack: got %q run, want %q", got, want)
	}
	later := []environment.Setting{
		{Key: "createdAt", Value: "2026-02-02T00:00:00Z", Born: true, Keep: true},
		{Key: "expiresAt", Value: "2026-02-03T00:00:00Z", Born: true, Keep: true},
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
	if got, want := ran(t, e), []string{"config set-all --plaintext expiresAt=2026-02-03T00:00:00Z"}; !slices.Equal(got, want) {
		t.Errorf("a stack without an end: got %q run, want %q", got, want)
	}
	l, err := e.Lifetime()
	if err != nil || l.Created.Year() != 2020 || !l.Expires.IsZero() {
		t.Errorf("got %+v, %v, want the time without quotes read", l, err)
	}
}

// tags notes what is tagged.
type tags []string

func (t *tags) Tag(_ context.Context, group, name, value string) error {
	*t = append(*t, group+" "+name+"="+value)
	return nil
}

const lived = `{"resources":[
 {"urn":"urn:s","type":"pulumi:pulumi:Stack","outputs":{"expiresAt":"2020-01-01T00:00:00Z","hubs":[{"weight":1}]}},
 {"urn":"urn:g","id":"/subscriptions/0/resourceGroups/mine","custom":true,"type":"azure-native:resources:ResourceGroup",
  "inputs":{"tags":{"stack":"local","expiresAt":"2020-01-01T00:00:00Z"},"n":12345678901234567890},
  "outputs":{"tags":{"stack":"local","expiresAt":"2020-01-01T00:00:00Z"},"__inputs":{"ciphertext":"x"}}},
 {"urn":"urn:h","id":"/h","custom":true,"type":"azure-native:devices:IotHubResource","inputs":{"tags":{"stack":"local"}}}]}`

func TestExtendingChangesOneSettingOneTagAndWhatTheStateKnowsOfIt(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	folder := filepath.Dir(e.Pulumi)
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), `{"checkpoint":{"latest":`+lived+`}}`)
	write(t, filepath.Join(folder, "export"), `{"version":3,"deployment":`+lived+`}`)
	write(t, filepath.Join(e.Folder.PulumiHome(), "x"), "")
	var tagged tags
	if err := e.Extend(t.Context(), &tagged, time.Date(2026, 5, 4, 3, 2, 1, 9, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if want := (tags{"/subscriptions/0/resourceGroups/mine expiresAt=2026-05-04T03:02:01Z"}); !slices.Equal(tagged, want) {
		t.Errorf("got %q tagged, want %q", tagged, want)
	}
	calls := ran(t, e)
	if len(calls) != 3 || calls[0] != "config set-all --plaintext expiresAt=2026-05-04T03:02:01Z" || calls[1] != "stack export" {
		t.Errorf("got %q run, want a setting, an export and an import", calls)
	}
	text, err := os.ReadFile(filepath.Join(folder, "imported"))
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	if strings.Count(got, `"expiresAt":"2026-05-04T03:02:01Z"`) != 3 || strings.Contains(got, "2020-01-01") || !strings.Contains(got, "12345678901234567890") {
		t.Errorf("got %s, want the tag new among inputs and outputs, the output new, and numbers as they were", got)
	}
	undone := strings.ReplaceAll(got, "2026-05-04T03:02:01Z", "2020-01-01T00:00:00Z")
	var have, want any
	if err := json.Unmarshal([]byte(undone), &have); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{"version":3,"deployment":`+lived+`}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("more than the tag has changed:\n%s", diff)
	}
}

func TestAStackIsSummedUpFromItsFiles(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"), `{"checkpoint":{"latest":{"resources":[
 {"urn":"a","type":"pulumi:pulumi:Stack"},{"urn":"b","type":"pulumi:providers:azure-native","custom":true},
 {"urn":"c","type":"azure-native:resources:ResourceGroup","custom":true},{"urn":"d","type":"azure-native:devices:IotHubResource","custom":true,
  "id":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub-1a2b"}]}}}`)
	write(t, filepath.Join(e.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json.bak"), `x`)
	write(t, filepath.Join(e.Folder.Root, "stacks", "Pulumi.local.yaml"), "config:\n  myproject:owner: me\n  myproject:target: local\n")
	got, err := e.Summary(t.Context())
	want := environment.Summary{Name: "local", Target: "local", Lifetime: environment.Lifetime{Owner: "me"}, Hubs: []string{"hub-1a2b"}, Resources: 2}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if names, err := e.Folder.Stacks(); err != nil || !slices.Equal(names, []string{"local"}) {
		t.Errorf("got %v, %v, want the stack alone", names, err)
	}
}

func TestATeamsMaximumBoundsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	for config, want := range map[string]time.Duration{
		"": 0, "config:\n  other: 3d\n": 0, "config:\n  maxLifetime: 3d\n": 72 * time.Hour, "config:\n  maxLifetime: {type: string, default: 8h}\n": 8 * time.Hour,
		"config:\n  myproject:maxLifetime: {value: 90m}\n": 90 * time.Minute, "config:\n  maxLifetime: long\n": -1, "config:\n  maxLifetime: {type: string}\n": -1,
	} {
		write(t, filepath.Join(e.Folder.Root, "Pulumi.yaml"), "name: myproject\n"+config)
		got, err := e.Folder.MaxLifetime()
		if want >= 0 && (err != nil || got != want) || want < 0 && err == nil {
			t.Errorf("%q: got %v, %v, want %v", config, got, err, want)
		}
	}
	for _, tc := range []struct{ ttl, most, want time.Duration }{
		{0, 0, 0}, {time.Hour, 0, time.Hour}, {0, time.Hour, time.Hour}, {time.Hour, time.Hour, time.Hour}, {time.Hour, 2 * time.Hour, time.Hour}, {2 * time.Hour, time.Hour, -1},
	} {
		got, err := environment.Life(tc.ttl, tc.most)
		if tc.want >= 0 && (err != nil || got != tc.want) || tc.want < 0 && (err == nil || hint.Of(err) == "") {
			t.Errorf("%v of at most %v: got %v, %v, want %v", tc.ttl, tc.most, got, err, tc.want)
		}
	}
}
