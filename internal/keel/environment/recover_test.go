package environment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/hint"
	"evenkeel/internal/keel/environment"
)

const subscription = "/subscriptions/0/resourceGroups/"

// cloud is an Azure in maps. Its hooks change things while a command runs.
type cloud struct {
	groups  map[string]map[string]string    // tags by group id
	holds   map[string][]environment.Tagged // resources by group id
	deleted []string

	listed   func() // after a list of resources
	deleting func(ctx context.Context, id string) error
}

func (c *cloud) Groups(_ context.Context, tags map[string]string) ([]environment.Tagged, error) {
	var groups []environment.Tagged
	for _, id := range slices.Sorted(maps.Keys(c.groups)) {
		ok := true
		for name, value := range tags {
			ok = ok && c.groups[id][name] == value
		}
		if ok {
			groups = append(groups, environment.Tagged{ID: id, Tags: c.groups[id]})
		}
	}
	return groups, nil
}

func (c *cloud) Group(_ context.Context, id string) (environment.Tagged, bool, error) {
	tags, ok := c.groups[id]
	return environment.Tagged{ID: id, Tags: tags}, ok, nil
}

func (c *cloud) Resources(_ context.Context, group string) ([]environment.Tagged, error) {
	found := slices.Clone(c.holds[group])
	if c.listed != nil {
		c.listed()
	}
	return found, nil
}

func (c *cloud) Delete(ctx context.Context, id string) error {
	if c.deleting != nil {
		if err := c.deleting(ctx, id); err != nil {
			return err
		}
	}
	c.deleted = append(c.deleted, id)
	delete(c.groups, id)
	for group, inside := range c.holds {
		c.holds[group] = slices.DeleteFunc(inside, func(t environment.Tagged) bool { return t.ID == id })
	}
	return nil
}

// scene is a stack with a state, and a cloud that has more than the state.
type scene struct {
	*environment.Environment
	cloud   *cloud
	notices *[]string
}

const (
	hubs = "/providers/Microsoft.Devices/IotHubs/"
	// known is the state of a scene, with places for more resources and for pending operations.
	known = `"resources":[{"urn":"urn:g","id":"/subscriptions/0/resourceGroups/mine","custom":true,"type":"azure-native:resources:ResourceGroup"},
 {"urn":"urn:h","id":"/subscriptions/0/resourcegroups/mine/providers/Microsoft.Devices/IotHubs/known","custom":true},
 {"urn":"urn:s","custom":false}%s],"big":12345678901234567890,"pending_operations":[%s]`
)

// creating returns a pending create: of a hub in the group mine, or of a group.
func creating(kind, name string) string {
	inputs := fmt.Sprintf(`{"resourceGroupName":"mine","resourceName":%q}`, name)
	if kind == "azure-native:resources:ResourceGroup" {
		inputs = fmt.Sprintf(`{"resourceGroupName":%q}`, name)
	}
	return fmt.Sprintf(
		`{"resource":{"urn":"urn:%s","type":%q,"custom":true,"inputs":%s},"type":"creating"}`,
		name,
		kind,
		inputs,
	)
}

const (
	hubType   = "azure-native:devices:IotHubResource"
	groupType = "azure-native:resources:ResourceGroup"
)

// setState makes the text, the members of a deployment, the state wherever it is read.
func (s scene) setState(t *testing.T, inside string) {
	t.Helper()
	write(
		t,
		filepath.Join(s.Folder.Backend(), ".pulumi", "stacks", "myproject", "local.json"),
		`{"checkpoint":{"latest":{`+inside+`}}}`,
	)
	write(t, filepath.Join(filepath.Dir(s.Pulumi), "export"), `{"version":3,"deployment":{`+inside+`}}`)
}

// pending returns the types of the operations that are pending in the state of the fake pulumi.
func (s scene) pending(t *testing.T) (types []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(s.Pulumi), "export"))
	var exported struct {
		Deployment struct {
			Pending []struct{ Type string } `json:"pending_operations"`
		}
	}
	if err := errors.Join(err, json.Unmarshal(text, &exported)); err != nil {
		t.Fatal(err)
	}
	for _, o := range exported.Deployment.Pending {
		types = append(types, o.Type)
	}
	return types
}

// fail makes the newest operation of the history a failed one.
func (s scene) fail(t *testing.T) {
	t.Helper()
	write(
		t,
		filepath.Join(s.Folder.Backend(), ".pulumi", "history", "myproject", "local", "local-100.history.json"),
		`{"result":"failed"}`,
	)
	write(t, filepath.Join(filepath.Dir(s.Pulumi), "stackhistory"), `[{"kind":"update","result":"failed"}]`)
}

// newScene has two hubs in the group mine that are not in the state, orphan and leftover, and a group mine-too; all
// have the environment's tags.
func newScene(t *testing.T, pending ...string) scene {
	t.Helper()
	e := newEnvironment(t)
	if err := e.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	ran(t, e)
	mine, err := e.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	theirs, elsewhere := maps.Clone(mine), maps.Clone(mine)
	theirs["stack"], elsewhere["origin"] = "other", "myproject@0123456789abcdef"
	s := scene{e, &cloud{
		groups: map[string]map[string]string{
			subscription + "mine":      mine,
			subscription + "mine-too":  mine,
			subscription + "theirs":    theirs,
			subscription + "untagged":  nil,
			subscription + "elsewhere": elsewhere,
		},
		holds: map[string][]environment.Tagged{
			subscription + "mine": {
				{ID: subscription + "mine" + hubs + "Known"}, {ID: orphan, Tags: mine}, {ID: leftover, Tags: mine},
			},
			subscription + "theirs": {{ID: subscription + "theirs" + hubs + "orphan", Tags: mine}},
		},
	}, new([]string)}
	e.Notice = func(text string) { *s.notices = append(*s.notices, text) }
	s.cloud.deleting = func(_ context.Context, id string) error {
		if !holds(e.Pulumi) {
			t.Errorf("%s is deleted without the lock", id)
		}
		return nil
	}
	s.setState(t, fmt.Sprintf(known, "", strings.Join(pending, ",")))
	return s
}

// remoteScene is a scene whose backend is not a folder.
func remoteScene(t *testing.T, pending ...string) scene {
	t.Helper()
	s := newScene(t, pending...)
	s.Backend = "azblob://states?storage_account=mine"
	mine, err := s.Tags(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range []string{"mine", "mine-too"} {
		s.cloud.groups[subscription+group] = mine
	}
	return s
}

const (
	orphan   = subscription + "mine" + hubs + "orphan"
	leftover = subscription + "mine" + hubs + "leftover"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestRecoveryDoesNothingAfterASuccess(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	history := filepath.Join(s.Folder.Backend(), ".pulumi", "history", "myproject", "local")
	write(t, filepath.Join(history, "local-100.history.json"), `{"result":"failed"}`)
	write(t, filepath.Join(history, "local-200.history.json"), `{"result":"succeeded"}`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if s.cloud.deleted != nil || ran(t, s.Environment) != nil {
		t.Errorf("got %v deleted, want no change", s.cloud.deleted)
	}
}

// TestOnlyOrphansOfPendingCreatesAreDeletedWithoutConsent: a user may have removed the others from the state on
// purpose, or they have another owner.
func TestOnlyOrphansOfPendingCreatesAreDeletedWithoutConsent(t *testing.T) {
	t.Parallel()
	mineToo := subscription + "mine-too"
	inMine := foreign("mine")
	for name, tc := range map[string]struct {
		pending []string
		consent func([]string) (bool, error)
		want    []string
	}{
		"a hub":                   {[]string{creating(hubType, "orphan")}, nil, []string{orphan}},
		"a hub, in other letters": {[]string{creating(hubType, "ORPHAN")}, nil, []string{orphan}},
		"a group":                 {[]string{creating(groupType, "mine-too")}, nil, []string{mineToo}},
		"both": {[]string{creating(hubType, "orphan"), creating(groupType, "mine-too")}, nil,
			[]string{orphan, mineToo}},
		"a hub of another group": {[]string{strings.ReplaceAll(creating(hubType, "orphan"), `"mine"`,
			`"theirs"`)}, nil, nil},
		"a hub that the state knows": {[]string{creating(hubType, "Known")}, nil, nil},
		"a type that we do not know": {[]string{creating("azure-native:storage:StorageAccount", "orphan")}, nil, nil},
		"an unknown name": {[]string{strings.ReplaceAll(creating(hubType, "orphan"), `"orphan"}`,
			`{"4dabf18193072939515e22adb298388d":"x"}}`)}, nil, nil},
		"an update": {[]string{strings.ReplaceAll(creating(hubType, "orphan"), "creating",
			"updating")}, nil, nil},
		"nothing, after a failure": {nil, nil, nil},
		"the user says no": {[]string{creating(hubType, "orphan")},
			func([]string) (bool, error) { return false, nil }, []string{orphan}},
		"the user says yes": {[]string{creating(hubType, "orphan")},
			func([]string) (bool, error) { return true, nil }, []string{orphan, leftover, inMine.ID, mineToo}},
		"the user says yes to a group": {nil, func(ids []string) (bool, error) {
			return slices.Contains(ids, mineToo), nil
		}, []string{mineToo}},
	} {
		t.Run(name, func(t *testing.T) {
			scenes := []scene{newScene(t, tc.pending...)}
			if len(tc.want) > 1 { // each start of the fake pulumi takes time
				scenes = append(scenes, remoteScene(t, tc.pending...))
			}
			for _, s := range scenes {
				s.fail(t)
				s.cloud.holds[subscription+"mine"] = append(s.cloud.holds[subscription+"mine"], inMine)
				s.Consent = tc.consent
				if err := s.Recover(t.Context(), s.cloud); err != nil {
					t.Fatalf("%s, backend %q: %v", name, s.Backend, err)
				}
				slices.Sort(tc.want)
				if got := slices.Sorted(slices.Values(s.cloud.deleted)); !slices.Equal(got, tc.want) {
					t.Errorf("%s, backend %q: got %v deleted, want %v", name, s.Backend, got, tc.want)
				}
				if got := s.pending(t); slices.Contains(got, "creating") {
					t.Errorf("%s, backend %q: got %v still pending", name, s.Backend, got)
				}
				if notices := strings.Join(*s.notices, "\n"); tc.consent == nil &&
					!strings.Contains(notices, "kept resources of resource group mine that are not in stack local") {
					t.Errorf("%s: got notices %q, want a notice of what stays", name, notices)
				}
			}
		})
	}
}

// TestAnOrphanedGroupWithForeignResourcesStays: its own resources are deleted; the group and the foreign ones stay.
func TestAnOrphanedGroupWithForeignResourcesStays(t *testing.T) {
	t.Parallel()
	s := newScene(
		t,
		creating(groupType, "mine-too"),
		strings.ReplaceAll(creating(hubType, "orphan"), `"mine"`, `"mine-too"`),
	)
	inside := subscription + "mine-too" + hubs + "orphan"
	s.cloud.holds[subscription+"mine-too"] = []environment.Tagged{
		{ID: inside, Tags: s.cloud.groups[subscription+"mine"]},
		foreign("mine-too"),
	}
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if want := []string{inside}; !slices.Equal(s.cloud.deleted, want) {
		t.Errorf("got %v deleted, want %v", s.cloud.deleted, want)
	}
}

// TestRecoveryKeepsResourcesOfAnUpdateThatEndsMeanwhile: another operation runs when the recovery looks first, and ends
// before the recovery has the lock, or between two of its looks.
func TestRecoveryKeepsResourcesOfAnUpdateThatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	made := fmt.Sprintf(known, `,{"urn":"urn:o","id":"`+orphan+`","custom":true}`, "")
	for name, open := range map[string]func(*testing.T, ...string) scene{"folder": newScene, "no folder": remoteScene} {
		t.Run(name, func(t *testing.T) {
			s := open(t, creating(hubType, "orphan"))
			s.cloud.listed = sync.OnceFunc(func() { s.setState(t, made) })
			if err := s.Recover(t.Context(), s.cloud); err != nil {
				t.Fatal(err)
			}
			if s.cloud.deleted != nil {
				t.Errorf("%s: got %v deleted, which is in the state now", name, s.cloud.deleted)
			}
			// The lock was removed by force while it was held.
			s = open(t, creating(hubType, "orphan"), creating(hubType, "leftover"))
			s.cloud.deleting = func(context.Context, string) error {
				s.setState(t, fmt.Sprintf(known, `,{"urn":"urn:o","id":"`+leftover+`","custom":true}`, ""))
				return nil
			}
			if err := s.Recover(t.Context(), s.cloud); err != nil {
				t.Fatal(err)
			}
			if want := []string{orphan}; !slices.Equal(s.cloud.deleted, want) ||
				!strings.Contains(strings.Join(*s.notices, "\n"), "has changed in the meantime") {
				t.Errorf("got %v deleted, notices %q, want %v and a notice", s.cloud.deleted, *s.notices, want)
			}
		})
	}
}

// TestRecoveryRollsBackNoConcurrentUpdate: the state after another operation is still there after the recovery.
func TestRecoveryRollsBackNoConcurrentUpdate(t *testing.T) {
	t.Parallel()
	s := remoteScene(t, creating(hubType, "orphan"))
	by := fmt.Sprintf(known, `,{"urn":"urn:new","id":"/new","custom":true}`, creating(hubType, "orphan"))
	write(t, filepath.Join(filepath.Dir(s.Pulumi), "export-by-then"), `{"version":3,"deployment":{`+by+`}}`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(s.Pulumi), "export"))
	if err != nil || !strings.Contains(string(text), "urn:new") {
		t.Errorf("got the state %s, %v, want what was made meanwhile in it", text, err)
	}
	if slices.ContainsFunc(
		ran(t, s.Environment),
		func(call string) bool { return strings.HasPrefix(call, "stack import") },
	) {
		t.Error("a state was imported: that rolls back whatever has ended since it was exported")
	}
}

// TestADeletionIsCancelledWithKeel: an interrupt from the terminal reaches Pulumi and keel, and the next deletion must
// not begin.
func TestADeletionIsCancelledWithKeel(t *testing.T) {
	t.Parallel()
	s := newScene(t, creating(hubType, "orphan"), creating(hubType, "leftover"))
	s.OwnInterrupts = true // the fake pulumi does not get it
	ctx, cancel := context.WithCancel(t.Context())
	s.cloud.deleting = func(ctx context.Context, _ string) error {
		cancel()
		select {
		case <-ctx.Done():
			return nil // this deletion succeeds nevertheless
		case <-time.After(time.Minute):
			return errors.New("the deletion still runs a minute after the interrupt")
		}
	}
	if err := s.Recover(ctx, s.cloud); !errors.Is(err, context.Canceled) || len(s.cloud.deleted) != 1 {
		t.Errorf("got %v, %v deleted, want it to end after the one that was under way", err, s.cloud.deleted)
	}
	if got := s.pending(t); len(got) != 2 {
		t.Errorf("got %v pending, want both creates still there", got)
	}
}

// TestAnUpdateThatEndsWhilePendingCreatesAreClearedIsReported: keel cannot prevent that Pulumi's edit of the state
// undoes the update.
func TestAnUpdateThatEndsWhilePendingCreatesAreClearedIsReported(t *testing.T) {
	t.Parallel()
	s := remoteScene(t, creating(hubType, "gone"))
	s.fail(t)
	write(
		t,
		filepath.Join(filepath.Dir(s.Pulumi), "history-by-then"),
		`[{"kind":"update","result":"succeeded","startTime":"2026-05-04T03:02:01.000Z"}]`,
	)
	err := s.Recover(t.Context(), s.cloud)
	if err == nil || !strings.Contains(err.Error(), "may be missing from the state") ||
		!strings.Contains(hint.Of(err), "pulumi stack history") {
		t.Errorf("got %v, hint %q, want an error with a hint", err, hint.Of(err))
	}
}

func TestALockedOrphanIsReportedAndKeepsItsPendingCreate(t *testing.T) {
	t.Parallel()
	s := newScene(t, creating(hubType, "orphan"))
	s.cloud.deleting = func(context.Context, string) error {
		return hint.To(errors.New("the lock forbids it"), "az lock delete --ids x")
	}
	err := s.Recover(t.Context(), s.cloud)
	if err == nil || !strings.Contains(err.Error(), "the lock forbids it") || hint.Of(err) != "az lock delete --ids x" {
		t.Errorf("got %v, hint %q, want the lock named", err, hint.Of(err))
	}
	if got := s.pending(t); !slices.Equal(got, []string{"creating"}) || holds(s.Pulumi) {
		t.Errorf("got %v pending, held %v, want the create still pending and the stack free", got, holds(s.Pulumi))
	}
}

// TestADeletionIsCancelledWithThePulumiThatHoldsTheLock: that process was killed, and the next deletion must not begin.
func TestADeletionIsCancelledWithThePulumiThatHoldsTheLock(t *testing.T) {
	t.Parallel()
	s := newScene(t, creating(hubType, "orphan"), creating(hubType, "leftover"))
	s.cloud.deleting = func(ctx context.Context, _ string) error {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(s.Pulumi), "lock"))
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(string(text))
		if err != nil {
			return err
		}
		holder, err := os.FindProcess(pid)
		if err != nil {
			return err
		}
		if err := holder.Kill(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // this deletion succeeds nevertheless
		case <-time.After(time.Minute):
			return errors.New("the deletion still runs a minute after the lock was lost")
		}
	}
	if err := s.Recover(t.Context(), s.cloud); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want it to end with the lock", err)
	}
	if len(s.cloud.deleted) != 1 {
		t.Errorf("got %v deleted, want the one that was under way alone", s.cloud.deleted)
	}
}

// lock writes a lock in the format of the file backend.
func lock(t *testing.T, e *environment.Environment, pid int, host string) string {
	t.Helper()
	file := filepath.Join(e.Folder.Backend(), ".pulumi", "locks", "organization", "myproject", "local", "x.json")
	text, err := json.Marshal(map[string]any{"pid": pid, "username": "me", "hostname": host, "timestamp": time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text))
	return file
}

func TestTheLockOfADeadPulumiIsRemovedAndOrphansAreSought(t *testing.T) {
	t.Parallel()
	s := newScene(t, creating(hubType, "orphan"))
	host, _ := os.Hostname()
	dead := exec.Command(s.Pulumi, "version")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	file := lock(t, s.Environment, dead.Process.Pid, host)
	half := file + ".18ea88a018ad429e.tmp" // the name of a file that the backend has not written completely
	write(t, half, `{"pi`)
	if err := s.Recover(t.Context(), s.cloud); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no lock", err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want no half-written lock", err)
	}
	if want := []string{orphan}; !slices.Equal(s.cloud.deleted, want) {
		t.Errorf("got %v deleted, want %v", s.cloud.deleted, want)
	}
}

func TestALockThatMayBeAliveIsRespected(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	host, _ := os.Hostname()
	living := exec.Command(s.Pulumi, "wait")
	stdin, err := living.StdinPipe()
	if err == nil {
		err = living.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(stdin.Close(), living.Wait()) }()
	for name, tc := range map[string]struct {
		pid  int
		host string
		free bool
	}{
		"a living Pulumi":                     {living.Process.Pid, host, false},
		"another machine":                     {1 << 22, "elsewhere", false},
		"its number is another program's now": {os.Getpid(), host, true},
	} {
		t.Run(name, func(t *testing.T) {
			file := lock(t, s.Environment, tc.pid, tc.host)
			err := s.Recover(t.Context(), s.cloud)
			_, left := os.Stat(file)
			if tc.free && (err != nil || left == nil) {
				t.Errorf("%s: got %v, lock %v, want it removed", name, err, left)
			}
			if !tc.free && (err == nil || !strings.Contains(err.Error(), tc.host) || hint.Of(err) == "" ||
				left != nil) {
				t.Errorf("%s: got %v, lock %v, want an error that names %s", name, err, left, tc.host)
			}
		})
	}
}

// foreign returns a resource that a user has created by hand in a group of the environment.
func foreign(group string) environment.Tagged {
	return environment.Tagged{
		ID:   subscription + group + "/providers/Microsoft.Storage/storageAccounts/" + group,
		Tags: map[string]string{"purpose": "mine"},
	}
}

func TestForeignResourcesAreDestroyedOnlyWithConsent(t *testing.T) {
	t.Parallel()
	for name, consent := range map[string]func(ids []string) (bool, error){
		"no terminal": nil,
		"no":          func([]string) (bool, error) { return false, nil },
		"yes":         func([]string) (bool, error) { return true, nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			for _, group := range []string{"mine", "mine-too"} {
				s.cloud.holds[subscription+group] = append(s.cloud.holds[subscription+group], foreign(group))
			}
			s.Consent = consent
			err := s.ConfirmUnknownResources(t.Context(), s.cloud)
			if refused := err != nil && strings.Contains(err.Error(), "mine, mine-too") &&
				hint.Of(err) != ""; refused == (name == "yes") {
				t.Errorf("%s: got %v, want the end of the environment refused unless agreed", name, err)
			}
		})
	}
}

func TestAnUnreadableAnswerStopsTheRecovery(t *testing.T) {
	t.Parallel()
	s := newScene(t, creating(hubType, "orphan"))
	s.cloud.holds[subscription+"mine"] = append(s.cloud.holds[subscription+"mine"], foreign("mine"))
	broken := errors.New("no terminal")
	s.Consent = func([]string) (bool, error) { return false, broken }
	if err := s.Recover(t.Context(), s.cloud); !errors.Is(err, broken) || s.cloud.deleted != nil ||
		ran(t, s.Environment) != nil {
		t.Errorf("got %v, %v deleted, want no change", err, s.cloud.deleted)
	}
}
