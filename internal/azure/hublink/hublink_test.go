package hublink_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"evenkeel/internal/await"
	"evenkeel/internal/azure/hublink"
)

const (
	threeHost = "three.azure-devices.net"
	secretKey = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
)

func three() hublink.Link {
	return hublink.Link{Host: threeHost, PolicyName: "link", Key: secretKey, Location: "westus"}
}

func TestOnlyTheOwnEntryChanges(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	if result, err := client.Create(t.Context(), serviceID, three()); err != nil || !result.Sent {
		t.Fatalf("got sent %t, %v", result.Sent, err)
	}
	want := map[string]any{
		"name": threeHost, "hostName": threeHost, "location": "westus",
		"connectionString": "HostName=" + threeHost + ";SharedAccessKeyName=link;SharedAccessKey=" + secretKey,
	}
	if got := f.hubs()[threeHost]; !reflect.DeepEqual(got, want) {
		t.Errorf("got entry %v, want %v", got, want)
	}
	weight, apply := 3, false
	changed := three()
	changed.Weight, changed.Apply, changed.Key = &weight, &apply, ""
	f.hubs()[threeHost]["later"] = "kept"
	if _, err := client.Update(t.Context(), serviceID, changed); err != nil {
		t.Fatal(err)
	}
	if got := f.hubs()[threeHost]; got["later"] != "kept" ||
		!strings.Contains(got["connectionString"].(string), secretKey) ||
		got["applyAllocationPolicy"] != false {
		t.Errorf("got entry %v, want the unknown member and the key kept", got)
	}
	link, found, err := client.Find(t.Context(), serviceID, strings.ToUpper(threeHost))
	if err != nil || !found || !hublink.Same(link, changed) || link.Key != "" {
		t.Errorf("find: got %v %t %v, want the link without its key", link, found, err)
	}
	if _, err := client.Update(t.Context(), serviceID, three()); err != nil {
		t.Fatal(err)
	}
	want["later"] = "kept"
	if got := f.hubs()[threeHost]; !reflect.DeepEqual(got, want) {
		t.Errorf("without weight and policy: got entry %v, want %v", got, want)
	}
	for range 2 {
		if err := client.Remove(t.Context(), serviceID, threeHost); err != nil {
			t.Fatal(err)
		}
	}
	f.document["etag"] = "AAAA"
	if untouched := parse(t, described); !reflect.DeepEqual(f.document, untouched) {
		t.Errorf("after all the service is\n%v, want\n%v", f.document, untouched)
	}
}

func TestAnExistingLink(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	weight := 7
	one := hublink.Link{Host: "ONE.azure-devices.net", PolicyName: "p", Key: secretKey, Location: "West US"}
	var exists *hublink.ExistsError
	if result, err := client.Create(t.Context(), serviceID, one); result.Sent || !errors.As(err, &exists) ||
		strings.Contains(err.Error(), secretKey) {
		t.Errorf("another weight: got sent %t, %v, want that it exists", result.Sent, err)
	}
	one.Weight = &weight
	if _, err := client.Create(t.Context(), serviceID, one); err != nil {
		t.Errorf("an equal link: got %v, want it taken over", err)
	}
	if got := f.hubs()["one.azure-devices.net"]; !strings.Contains(got["connectionString"].(string), secretKey) ||
		got["later"] != true ||
		got["location"] != "westus" {
		t.Errorf("got %v, want the key, and the rest as it was", got)
	}
	if _, err := client.Update(t.Context(), serviceID, hublink.Link{Host: threeHost, PolicyName: "link",
		Location: "westus"}); err == nil {
		t.Error("a lost link without a key: got no error")
	}
	one.PolicyName, one.Key = "q", ""
	if _, err := client.Update(t.Context(), serviceID, one); err == nil ||
		!strings.Contains(err.Error(), "no key of that is given") {
		t.Errorf("another policy without a key: got %v, want that it has none", err)
	}
}

// TestCollisionsAreTriedAgain meets each refusal that a concurrent change can cause.
func TestCollisionsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]struct {
		status int
		body   string
		moves  bool
	}{
		"another operation":     {409, `{"code":409002,"message":"not active"}`, false},
		"an old etag":           {412, `{"code":412001,"message":"old"}`, true},
		"a masked key is stale": {400, `{"code":400300,"message":"no key is stored"}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			left := 3
			f.before = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || left == 0 {
					return false
				}
				if left--; refusal.moves {
					f.touch()
				}
				refuse(w, refusal.status, refusal.body)
				return true
			}
			if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
				t.Fatal(err)
			}
			if f.hubs()[threeHost] == nil {
				t.Error("the hub is not linked")
			}
		})
	}
	f := newFake(t)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			refuse(w, 400, `{"code":400300,"message":"really wrong"}`)
		}
		return r.Method == http.MethodPut
	}
	if result, err := f.client(t, quick).Create(t.Context(), serviceID, three()); result.Sent || err == nil ||
		!strings.Contains(err.Error(), "really wrong") {
		t.Errorf("a fault of the request: got sent %t, %v, want the refusal", result.Sent, err)
	}
}

func TestALinkThatIsLostWhileItSettlesIsRecreated(t *testing.T) {
	t.Parallel()
	for look := 1; look <= 3; look++ {
		f := newFake(t)
		f.ignoreETags = true
		looks := 0
		f.before = func(_ http.ResponseWriter, r *http.Request) bool {
			if f.hubs()[threeHost] != nil && r.Method == http.MethodGet {
				if looks++; looks == look { // the changes of others come at any time
					f.drop(threeHost)
				}
			}
			return false
		}
		if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
			t.Fatal(err)
		}
		if f.hubs()[threeHost] == nil || looks < look {
			t.Errorf(
				"lost before look %d: after %d looks the hub is linked: %t",
				look,
				looks,
				f.hubs()[threeHost] != nil,
			)
		}
	}
}

func TestChangesByOneClientDoNotCollide(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	var all sync.WaitGroup
	const links = 8
	for n := range links {
		all.Go(func() {
			link := three()
			link.Host = fmt.Sprintf("hub-%d.azure-devices.net", n)
			if _, err := client.Create(t.Context(), serviceID, link); err != nil {
				t.Error(err)
			}
		})
	}
	await.Return(t, "the links", all.Wait)
	puts := 0
	for _, method := range f.log {
		if method == http.MethodPut {
			puts++
		}
	}
	if got := len(f.hubs()); got != othersLinks+links || puts != links {
		t.Errorf("got %d links by %d writes, want %d by %d: none refused", got, puts, othersLinks+links, links)
	}
}

func TestTransitionsAreAwaited(t *testing.T) {
	t.Parallel()
	// The states of properties.state of the api-version 2022-12-12, and whether another change is under way in them.
	for state, waits := range map[string]bool{
		"Activating": true, "Deleting": true, "Transitioning": true, "Suspending": true, "Resuming": true,
		"FailingOver": true,
		"Active":      false, "Deleted": false, "ActivationFailed": false, "DeletionFailed": false, "Suspended": false,
		"FailoverFailed": false,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			properties := f.document["properties"].(map[string]any)
			properties["state"] = state
			gets := 0
			f.before = func(http.ResponseWriter, *http.Request) bool {
				if gets++; gets == 4 {
					properties["state"] = "Active"
				}
				return false
			}
			_, found, err := f.client(t, quick).Find(t.Context(), serviceID, "two.azure-devices.net")
			if err != nil || !found || (gets == 4) != waits || (gets == 1) == waits {
				t.Errorf("got found %t, %v after %d looks, want waiting %t", found, err, gets, waits)
			}
		})
	}
}

func TestOnlyARMsOwnAnswerMeansAbsence(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		absent bool
	}{
		"no resource":            {404, `{"error":{"code":"ResourceNotFound","message":"none"}}`, true},
		"no group":               {404, `{"error":{"code":"ResourceGroupNotFound","message":"none"}}`, true},
		"the provider's number":  {404, `{"code":404002,"message":"none"}`, true},
		"no such subscription":   {404, `{"error":{"code":"SubscriptionNotFound","message":"none"}}`, false},
		"no such api-version":    {404, `{"error":{"code":"InvalidResourceType","message":"none"}}`, false},
		"a proxy's page":         {404, `<html>not here</html>`, false},
		"no rights":              {403, `{"error":{"code":"AuthorizationFailed","message":"no"}}`, false},
		"no login":               {401, `{"error":{"code":"InvalidAuthenticationToken","message":"no"}}`, false},
		"something without list": {200, `{"name":"dps"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.before = func(w http.ResponseWriter, _ *http.Request) bool {
				refuse(w, test.status, test.body)
				return true
			}
			client := f.client(t, quick)
			_, _, err := client.Find(t.Context(), serviceID, threeHost)
			if err == nil || errors.Is(err, hublink.ErrNoService) != test.absent {
				t.Errorf("find: got %v, want absence %t", err, test.absent)
			}
			if err := client.Remove(t.Context(), serviceID, threeHost); (err == nil) != test.absent {
				t.Errorf("remove: got %v, want success only for absence", err)
			}
		})
	}
}

func TestWaitingEndsWithPatience(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			refuse(w, 409, `{"code":409002,"message":"not active"}`)
		}
		return r.Method == http.MethodPut
	}
	short := quick
	short.Patience = 50 * time.Millisecond
	if _, err := f.client(t, short).Create(t.Context(), serviceID, three()); err == nil ||
		!strings.Contains(err.Error(), "409") && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the conflict or the deadline", err)
	}
}
