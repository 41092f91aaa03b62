package hublink_test

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"evenkeel/internal/azure/enrollment"
	"evenkeel/internal/azure/hublink"
)

// systemThree and userThree are the links of the hub three by the service's identities.
func systemThree() hublink.Link {
	return hublink.Link{Host: threeHost, Identity: enrollment.SystemAssigned, Location: "westus"}
}

func userThree() hublink.Link {
	return hublink.Link{Host: threeHost, Identity: enrollment.UserAssigned, IdentityID: userID, Location: "westus"}
}

// TestALinkChangesItsAuthenticationInPlace walks every change from one kind to another. Sources: the example of
// 2026-03-01-preview for new links, the live tests of azure-iot-cli-extension for changes.
func TestALinkChangesItsAuthenticationInPlace(t *testing.T) {
	t.Parallel()
	withKey := map[string]any{"connectionString": "HostName=" + threeHost +
		";SharedAccessKeyName=link;SharedAccessKey=" + secretKey}
	system := map[string]any{"authenticationType": "SystemAssigned"}
	user := map[string]any{"authenticationType": "UserAssigned", "selectedUserAssignedIdentityResourceId": userID}
	kinds := map[string]struct {
		link hublink.Link
		want map[string]any
	}{"KeyBased": {three(), withKey}, "SystemAssigned": {systemThree(), system}, "UserAssigned": {userThree(), user}}
	for from, before := range kinds {
		for to, after := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				client := f.client(t, quick)
				if _, err := client.Create(t.Context(), serviceID, before.link); err != nil {
					t.Fatal(err)
				}
				want := map[string]any{"name": threeHost, "hostName": threeHost, "location": "westus"}
				for name, value := range before.want {
					want[name] = value
				}
				if got := f.hubs()[threeHost]; !reflect.DeepEqual(got, want) {
					t.Errorf("created: got entry %v, want %v", got, want)
				}
				f.hubs()[threeHost]["later"] = "kept"
				if _, err := client.Update(t.Context(), serviceID, after.link); err != nil {
					t.Fatal(err)
				}
				want = map[string]any{"name": threeHost, "hostName": threeHost, "location": "westus", "later": "kept"}
				for name, value := range after.want {
					want[name] = value
				}
				switch {
				case from == "KeyBased" && to != "KeyBased":
					want["connectionString"] = ""
				case from != "KeyBased" && to == "KeyBased":
					want["authenticationType"] = "KeyBased"
				}
				if got := f.hubs()[threeHost]; !reflect.DeepEqual(got, want) {
					t.Errorf("changed: got entry %v, want %v", got, want)
				}
				link, found, err := client.Find(t.Context(), serviceID, threeHost)
				if err != nil || !found || !hublink.Same(link, after.link) {
					t.Errorf("find: got %+v %t %v, want %+v without its key", link, found, err, after.link)
				}
				if err := client.Remove(t.Context(), serviceID, threeHost); err != nil {
					t.Fatal(err)
				}
				f.document["etag"] = "AAAA"
				if untouched := parse(t, described); !reflect.DeepEqual(f.document, untouched) {
					t.Errorf("after all the service is\n%v, want\n%v", f.document, untouched)
				}
			})
		}
	}
}

// TestALinkByIdentityIsRefusedBeforeAnythingIsSent: where the service or the cloud cannot hold it.
func TestALinkByIdentityIsRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	identity := func(value any) func(*fakeARM) { return func(f *fakeARM) { f.document["identity"] = value } }
	const assign = "hint: az iot dps identity assign --name dps --resource-group rg "
	for name, test := range map[string]struct {
		change func(*fakeARM)
		link   hublink.Link
		want   string
	}{
		"no identity at all": {func(f *fakeARM) { delete(f.document, "identity") }, systemThree(),
			assign + "--system"},
		"a null":         {identity(nil), systemThree(), assign + "--system"},
		"None":           {identity(map[string]any{"type": "None"}), systemThree(), assign + "--system"},
		"the other kind": {identity(map[string]any{"type": "UserAssigned"}), systemThree(), assign + "--system"},
		"only the system's": {identity(map[string]any{"type": "SystemAssigned"}), userThree(),
			assign + "--user " + userID},
		"another identity": {identity(map[string]any{"type": "UserAssigned",
			"userAssignedIdentities": map[string]any{userID + "0": map[string]any{}}}), userThree(),
			assign + "--user " + userID},
		"an evenkeel service": {func(f *fakeARM) {
			f.document["tags"] = map[string]any{"purpose": "evenkeel",
				"stack": "prod"}
		}, systemThree(), `evenkeel stack "prod"`},
		"older versions only": {func(f *fakeARM) {
			f.served = []string{"2021-10-15", "2022-12-12", "2023-03-01-preview"}
			f.listed = f.served
			f.forget("2023-03-01-preview")
		}, systemThree(), "does not have such links. hint: link it by a key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			test.change(f)
			var unlinkable *hublink.UnlinkableError
			client := f.client(t, quick)
			for verb, do := range map[string]func() (hublink.Result, error){
				"create": func() (hublink.Result, error) { return client.Create(t.Context(), serviceID, test.link) },
				"update": func() (hublink.Result, error) { return client.Update(t.Context(), serviceID, test.link) },
			} {
				t.Run(verb, func(t *testing.T) {
					result, err := do()
					if !errors.As(err, &unlinkable) || !strings.Contains(err.Error(), test.want) || result.Sent {
						t.Errorf("%s: got sent %t, %v, want %q", verb, result.Sent, err, test.want)
					}
				})
			}
			if got := f.puts(); len(got) > 0 {
				t.Errorf("got the writes %v, want none", got)
			}
		})
	}
}

// forget removes what a version and those before it do not have, so that a cloud which serves nothing newer hides
// nothing.
func (f *fakeARM) forget(version string) {
	f.document, _ = f.shown(f.document, "", version).(map[string]any)
}

func TestTheKindOfIdentityIsFoundInEverySpelling(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"SystemAssigned", "systemassigned", "SystemAssigned,UserAssigned",
		"SystemAssigned, UserAssigned", "UserAssigned,SystemAssigned"} {
		f := newFake(t)
		f.document["identity"].(map[string]any)["type"] = kind
		if _, err := f.client(t, quick).Create(t.Context(), serviceID, systemThree()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestAnExistingLinkByIdentity(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	four := hublink.Link{Host: "four.azure-devices.net", Identity: "userassigned", IdentityID: strings.ToUpper(userID),
		Location: "West US"}
	var exists *hublink.ExistsError
	for name, other := range map[string]hublink.Link{
		"a key":            {Host: four.Host, PolicyName: "p", Key: secretKey, Location: four.Location},
		"another identity": {Host: four.Host, Identity: enrollment.SystemAssigned, Location: four.Location},
	} {
		t.Run(name, func(t *testing.T) {
			if result, err := client.Create(t.Context(), serviceID, other); result.Sent || !errors.As(err, &exists) ||
				strings.Contains(err.Error(), secretKey) {
				t.Errorf("%s: got sent %t, %v, want that it exists", name, result.Sent, err)
			}
		})
	}
	if _, err := client.Create(t.Context(), serviceID, four); err != nil {
		t.Errorf("an equal link: got %v, want it taken over", err)
	}
	f.document["etag"] = "AAAA"
	if untouched := parse(t, described); !reflect.DeepEqual(f.document, untouched) {
		t.Errorf("after taking over the service is\n%v, want\n%v", f.document, untouched)
	}
	keyless := hublink.Link{Host: four.Host, PolicyName: "p", Location: four.Location}
	if result, err := client.Update(t.Context(), serviceID, keyless); err == nil || result.Sent ||
		!strings.Contains(err.Error(), "no key is given") {
		t.Errorf("back to a key that is not given: got sent %t, %v, want that it is missing", result.Sent, err)
	}
}

// TestARemovedIdentityIsNotLinkedTwice: the identity goes while the write is under way, and the next attempt sees it.
func TestARemovedIdentityIsSeenByTheNextAttempt(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || f.document["identity"] == nil {
			return false
		}
		delete(f.document, "identity")
		f.touch()
		return false
	}
	var unlinkable *hublink.UnlinkableError
	if _, err := f.client(t, quick).Create(t.Context(), serviceID, systemThree()); !errors.As(err, &unlinkable) {
		t.Errorf("got %v, want that the service has no such identity", err)
	}
	if f.hubs()[threeHost] != nil {
		t.Error("the hub is linked")
	}
}
