package provider_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/emulator"
)

func TestASetThatIsInterruptedKeepsWhatWasDone(t *testing.T) {
	t.Parallel()
	cloud, config, server := setOn(t)
	inputs := object{"items": numbered(100, 0)}
	set := manage(t, server, "EnrollmentSet", "devices")
	checked := set.check(inputs)
	hold := cloud.Hold(emulator.Match{Surface: "dps-service", Method: "POST", Path: regexp.MustCompile(`^/enrollments$`), Nth: 10})
	type result struct {
		created p.CreateResponse
		err     error
	}
	done := make(chan result, 1)
	go func() {
		created, err := server.Create(p.CreateRequest{Urn: set.urn, Properties: checked})
		done <- result{created, err}
	}()
	must(t, hold.Held(t.Context()))
	must(t, server.Cancel())
	select {
	case r := <-done:
		if r.created.PartialState == nil || !strings.Contains(strings.Join(r.created.PartialState.Reasons, " "), "interrupted") {
			t.Fatalf("interrupted: got %v, want a part", r.err)
		}
		set.id, set.inputs, set.state = r.created.ID, checked, r.created.Properties
	case <-time.After(5 * time.Second):
		t.Fatal("the creation goes on after it was cancelled")
	}
	// The ten of each operation under way may be made or not, and the state says so.
	if got := len(unansweredOf(set)); got == 0 || got%10 != 0 {
		t.Errorf("devices of which nobody knows: got %d, want some tens", got)
	}
	hold.Release() // the held request is carried out though nobody waits for it
	must(t, hold.Done(t.Context()))
	set.server = startProvider(t, config)
	set.up(inputs)
	if got := set.refresh(); got != nil || len(devicesOf(set)) != 100 {
		t.Errorf("the next up: got drift %v in %d devices, want none in 100", got, len(devicesOf(set)))
	}
}

// unansweredOf returns the devices of which no answer says whether they were made.
func unansweredOf(set *managed) []string {
	var ids []string
	for id, record := range set.state.Get("devices").AsMap().All {
		if strings.HasPrefix(record.AsString(), "? ") {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestAFaultNeverEmptiesASet(t *testing.T) {
	t.Parallel()
	_, config, server := setOn(t)
	set := manage(t, server, "EnrollmentSet", "devices")
	set.up(object{"items": numbered(60, 0)})
	set.server = startProvider(t, config.edited(object{"key": newKey(t)}))
	if _, err := set.server.Read(readOf(set)); err == nil || !strings.Contains(err.Error(), "policyName and key") {
		t.Errorf("refresh with another key: got %v, want a failure that keeps the state", err)
	}
	if err := set.server.Delete(p.DeleteRequest{ID: set.id, Urn: set.urn, Properties: set.state}); err == nil {
		t.Error("deletion with another key: got no failure")
	}
}
