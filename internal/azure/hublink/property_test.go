package hublink_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"evenkeel/internal/await"
	"evenkeel/internal/azure/hublink"
)

// world is one service with members that the code does not know, the versions that ARM serves, and other clients that
// write.
type world struct {
	*fakeARM
	random *rand.Rand
	// left is how many changes the others still make.
	left int
	// wrong collects what a write changed besides its own entry.
	wrong []string
}

// forms are the ways to authenticate a link, each of which a client may declare.
func forms(host string) []hublink.Link {
	byKey := three()
	bySystem, byUser := systemThree(), userThree()
	byKey.Host, bySystem.Host, byUser.Host = host, host, host
	return []hublink.Link{byKey, bySystem, byUser}
}

// own is the hub that the client of that number links.
func own(client int) string { return fmt.Sprintf("own-%d.azure-devices.net", client) }

// newWorld makes a world from a seed.
func newWorld(t *testing.T, seed uint64) *world {
	w := &world{fakeARM: newFake(t), random: rand.New(rand.NewPCG(seed, 0)), left: 6}
	w.served = []string{"2021-10-15", "2022-12-12"}
	for _, version := range []string{
		"2023-03-01-preview", "2025-02-01-preview", "2025-06-01", "2026-03-01-preview", "2026-06-01-preview",
		"2026-08-31", "2026-11-01", "2026-11-02-preview",
		"2027-02-01", "2027-02-01-preview", "2027-08-15", "2027-09-01-preview",
	} {
		if w.chance(2) {
			w.served = append(w.served, version)
		}
	}
	w.listed = slices.Clone(w.served)
	w.random.Shuffle(len(w.listed), func(i, j int) { w.listed[i], w.listed[j] = w.listed[j], w.listed[i] })
	switch w.random.IntN(4) {
	case 0:
		w.listed = nil
	case 1:
		w.listed = append(w.listed, "2027-12-31", "2028-01-01-preview") // not served yet
	}
	if w.chance(4) {
		w.writable = w.served[:1+w.random.IntN(len(w.served))]
	}
	// Any write would lose a member that no served version has, so the service has none.
	for path, from := range since {
		if !w.isServed(from) {
			w.forget(w.document, "", path)
		}
	}
	w.scatter()
	w.before = w.others
	w.stored = w.check
	return w
}

func (w *world) chance(of int) bool { return w.random.IntN(of) == 0 }

func (w *world) isServed(from string) bool {
	return slices.ContainsFunc(w.served, func(version string) bool { return date(from) <= date(version) })
}

// forget removes the members of one path.
func (w *world) forget(value any, at, path string) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			switch inner := strings.TrimPrefix(at+"."+name, "."); {
			case inner == path:
				delete(value, name)
			default:
				w.forget(member, inner, path)
			}
		}
	case []any:
		for _, item := range value {
			w.forget(item, at+"[]", path)
		}
	}
}

// scatter adds members of random values at random places, each known from a random served version on.
func (w *world) scatter() {
	for n := range 1 + w.random.IntN(6) {
		name := fmt.Sprintf("unheard%d", n)
		from := w.served[w.random.IntN(len(w.served))]
		switch w.random.IntN(4) {
		case 0:
			w.document[name], w.since[name] = w.value(3), from
		case 1:
			w.properties()[name], w.since["properties."+name] = w.value(3), from
		case 2:
			w.document["sku"].(map[string]any)[name], w.since["sku."+name] = w.value(1), from
		default:
			for _, item := range w.properties()["iotHubs"].([]any) {
				item.(map[string]any)[name] = w.value(2)
			}
			w.since["properties.iotHubs[]."+name] = from
		}
	}
}

// value is a random JSON value that is no default: one that means nothing can be dropped without harm.
func (w *world) value(depth int) any {
	switch w.random.IntN(5 + min(depth, 1)*2) {
	case 0, 1:
		return fmt.Sprintf("text <&> %d \u2028", w.random.IntN(1000))
	case 2, 3:
		return json.Number(fmt.Sprintf("%d.%d0", w.random.Int64(), w.random.IntN(100)))
	case 4:
		return true
	case 5:
		return []any{w.value(depth - 1), map[string]any{"filterName": "x", "more": w.value(depth - 1)}}
	}
	return map[string]any{"a": w.value(depth - 1), "nothing": nil, "no": false}
}

// others may change anything before a request, as a client that knows every member. Callers hold the lock.
func (w *world) others(http.ResponseWriter, *http.Request) bool {
	if w.left == 0 || !w.chance(4) {
		return false
	}
	w.left--
	hubs := w.properties()["iotHubs"].([]any)
	switch w.random.IntN(7) {
	case 0:
		w.document["tags"] = map[string]any{"writer": fmt.Sprint(w.left)}
	case 1:
		host := fmt.Sprintf("other-%d.azure-devices.net", w.left)
		added := map[string]any{
			"name":             host,
			"connectionString": "HostName=" + host + ";SharedAccessKeyName=p;SharedAccessKey=****",
			"location":         "westus",
		}
		if w.isServed(since["properties.iotHubs[].hostName"]) {
			added["hostName"] = host
		}
		w.properties()["iotHubs"] = append([]any{added}, hubs...)
	case 2:
		w.properties()["iotHubs"] = slices.DeleteFunc(
			slices.Clone(hubs),
			func(item any) bool { return strings.HasPrefix(item.(map[string]any)["name"].(string), "one.") },
		)
	case 3:
		if w.isServed(since["properties.disableLocalAuth"]) {
			w.properties()["disableLocalAuth"] = true
		}
	case 4:
		w.reauthenticate(hubs)
	case 5:
		w.reidentify()
	default:
		for _, item := range hubs {
			if item := item.(map[string]any); !strings.HasPrefix(item["name"].(string), "own-") {
				item["allocationWeight"] = json.Number(fmt.Sprint(1 + w.left))
			}
		}
	}
	w.touch()
	return false
}

// reauthenticate moves the links of others to other ways of authentication.
func (w *world) reauthenticate(hubs []any) {
	if !w.isServed(since["properties.iotHubs[].authenticationType"]) {
		return
	}
	for _, item := range hubs {
		entry := item.(map[string]any)
		host := entry["name"].(string)
		if strings.HasPrefix(host, "own-") {
			continue
		}
		delete(entry, "selectedUserAssignedIdentityResourceId")
		switch w.random.IntN(3) {
		case 0:
			entry["authenticationType"], entry["connectionString"] = "KeyBased",
				"HostName="+host+";SharedAccessKeyName=p;SharedAccessKey=****"
		case 1:
			entry["authenticationType"] = "SystemAssigned"
			delete(entry, "connectionString")
		default:
			entry["authenticationType"], entry["connectionString"] = "UserAssigned", ""
			entry["selectedUserAssignedIdentityResourceId"] = userID
		}
	}
}

// reidentify adds an identity to the service, or takes all of them away.
func (w *world) reidentify() {
	if !w.isServed(since["identity"]) {
		return
	}
	if w.chance(4) {
		delete(w.document, "identity")
		return
	}
	w.document["identity"] = map[string]any{
		"type": "SystemAssigned, UserAssigned", "principalId": "p", "unheard": w.value(1),
		"userAssignedIdentities": map[string]any{
			userID: map[string]any{"principalId": "q"}, fmt.Sprint("/ids/", w.left): map[string]any{"clientId": "c"},
		},
	}
}

// check compares the service before and after a write without the writer's entry. Callers hold the lock.
func (w *world) check(r *http.Request, before, after map[string]any) {
	var client int
	if _, err := fmt.Sscanf(r.Header.Get("User-Agent")[strings.Index(r.Header.Get("User-Agent"), "client"):],
		"client%d/", &client); err != nil {
		w.wrong = append(w.wrong, "an unknown writer: "+r.Header.Get("User-Agent"))
		return
	}
	if was, is := withoutOwn(before, own(client)), withoutOwn(after, own(client)); !reflect.DeepEqual(was, is) {
		was, _ := json.Marshal(was)
		is, _ := json.Marshal(is)
		w.wrong = append(w.wrong, fmt.Sprintf("client %d with %s:\n%s\n%s", client, r.URL.RawQuery, was, is))
	}
}

// withoutOwn copies a service without one link and the etag. A link without a name has its hostName as name.
func withoutOwn(document map[string]any, host string) map[string]any {
	raw, _ := json.Marshal(document)
	decoder := json.NewDecoder(strings.NewReader(string(raw)))
	decoder.UseNumber()
	copied := map[string]any{}
	_ = decoder.Decode(&copied)
	delete(copied, "etag")
	dropEntry(copied, host)
	for _, item := range copied["properties"].(map[string]any)["iotHubs"].([]any) {
		if entry := item.(map[string]any); entry["hostName"] == nil {
			entry["hostName"] = entry["name"]
		}
	}
	return copied
}

// TestNothingButTheOwnEntryEverChanges lets two clients link, change and unlink their hubs while others write, in
// worlds at random.
func TestNothingButTheOwnEntryEverChanges(t *testing.T) {
	t.Parallel()
	const worlds = 150
	var mu sync.Mutex
	done, refused := 0, 0
	t.Run("worlds", func(t *testing.T) {
		for seed := range uint64(worlds) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed)
				linked, kept := w.run(t)
				mu.Lock()
				defer mu.Unlock()
				done, refused = done+linked, refused+kept
			})
		}
	})
	t.Logf("%d changes done, %d refused", done, refused)
	if done < worlds || refused < worlds/4 {
		t.Errorf("got %d changes done and %d refused: the worlds show nothing", done, refused)
	}
}

// run lets the clients work and returns how many of their changes were done and how many refused.
func (w *world) run(t *testing.T) (done, refused int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var choices, moves [2]hublink.Link
	for n := range 2 {
		choices[n], moves[n] = forms(own(n))[w.random.IntN(3)], forms(own(n))[w.random.IntN(3)]
	}
	for n := range 2 {
		client := w.clientNamed(t, fmt.Sprintf("client%d", n), quick)
		all.Go(func() {
			link, weight := choices[n], 5
			changed := link
			changed.Weight, changed.Key = &weight, ""
			moved := moves[n]
			_, created := client.Create(t.Context(), serviceID, link)
			_, updated := client.Update(t.Context(), serviceID, changed)
			_, switched := client.Update(t.Context(), serviceID, moved)
			errs := []error{created, updated, switched}
			if n == 1 {
				errs = append(errs, client.Remove(t.Context(), serviceID, link.Host))
			}
			mu.Lock()
			defer mu.Unlock()
			for _, err := range errs {
				var unsafe *hublink.UnsafeError
				var unlinkable *hublink.UnlinkableError
				switch {
				case err == nil:
					done++
				case errors.As(err, &unsafe), errors.As(err, &unlinkable),
					created != nil && strings.Contains(err.Error(), "no key is given"),
					strings.Contains(err.Error(), "serves none"):
					refused++
				default:
					t.Errorf("served %v, listed %v: %v", w.served, w.listed, err)
				}
				if err != nil && strings.Contains(err.Error(), secretKey) {
					t.Error("an error contains the key")
				}
			}
		})
	}
	await.Return(t, "the clients", all.Wait)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, wrong := range w.wrong {
		t.Errorf(
			"served %v, listed %v, since %v: a write changed more than its entry: %s",
			w.served,
			w.listed,
			w.since,
			wrong,
		)
	}
	return done, refused
}
