package hublink_test

import (
	"errors"
	"strings"
	"testing"

	"evenkeel/internal/azure/domain"
	"evenkeel/internal/azure/hublink"
)

func TestNamesOfOneHub(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"hub.azure-devices.net", "HUB.Azure-Devices.NET", true},
		{"hub.azure-devices.net", "hub.device.azure-devices.net", true},
		{"hub.service.azure-devices.net", "Hub.Device.azure-devices.net", true},
		{"hub.service.azure-devices.cn", "hub.azure-devices.cn", true},
		{"hub.azure-devices.net", "hub.azure-devices.cn", false},
		{"hub.azure-devices.net", "hub-2.azure-devices.net", false},
		{"hub.device.azure-devices.net", "hub-2.device.azure-devices.net", false},
		{"device.azure-devices.net", "service.azure-devices.net", false},
		{"device.azure-devices.net", "azure-devices.net", false},
		{"hub.devices.azure-devices.net", "hub.azure-devices.net", false},
		{"hub.device.test", "hub.test", false},
	} {
		t.Run(test.a+" and "+test.b, func(t *testing.T) {
			if got := domain.SameHost(test.a, test.b); got != test.same {
				t.Errorf("%s and %s: got %t", test.a, test.b, got)
			}
		})
	}
}

// TestALinkIsFoundByEveryFormOfItsHubsName, removed by it, and keeps the form that it has.
func TestALinkIsFoundByEveryFormOfItsHubsName(t *testing.T) {
	t.Parallel()
	const key = ";SharedAccessKeyName=link;SharedAccessKey=****"
	for name, present := range map[string]map[string]any{
		"classic": {"name": "three.azure-devices.net",
			"connectionString": "HostName=three.azure-devices.net" + key},
		"device": {"name": "three.device.azure-devices.net",
			"hostName": "three.device.azure-devices.net", "connectionString": "HostName=three.azure-devices.net" + key},
		"capitals": {"name": "THREE.Device.Azure-Devices.net",
			"connectionString": "HostName=Three.azure-devices.net" + key},
		"connection string only": {
			"connectionString": "SharedAccessKeyName=link;hostname=three.device.azure-devices.net;" +
				"SharedAccessKey=****"},
		"host name only": {"hostName": "three.service.azure-devices.net",
			"connectionString": "SharedAccessKeyName=link;SharedAccessKey=****"},
	} {
		for _, wanted := range []string{"three.azure-devices.net", "Three.Device.azure-devices.net",
			"three.SERVICE.azure-devices.net"} {
			t.Run(name+" by "+wanted, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				present := parse(t, string(mustJSON(t, present)))
				present["location"] = "westus"
				f.properties()["iotHubs"] = append(f.properties()["iotHubs"].([]any), present)
				client := f.client(t, quick)
				link, found, err := client.Find(t.Context(), serviceID, wanted)
				if err != nil || !found || !domain.SameHost(link.Host, wanted) || link.PolicyName != "link" {
					t.Fatalf("find: got %v, %t, %v", link, found, err)
				}
				own := three()
				own.Host = wanted
				if _, err := client.Create(t.Context(), serviceID, own); err != nil {
					t.Fatalf("an equal link: got %v, want it taken over", err)
				}
				hubs := f.properties()["iotHubs"].([]any)
				entry := hubs[len(hubs)-1].(map[string]any)
				if len(hubs) != othersLinks+1 || !strings.EqualFold(entry["name"].(string), link.Host) ||
					!strings.Contains(entry["connectionString"].(string), secretKey) {
					t.Errorf("got %d links, the last %v, want the present one with the key", len(hubs), entry)
				}
				if err := client.Remove(t.Context(), serviceID, wanted); err != nil ||
					len(f.properties()["iotHubs"].([]any)) != othersLinks {
					t.Errorf("remove: got %v and %v", err, f.properties()["iotHubs"])
				}
			})
		}
	}
}

func TestAHubThatIsLinkedTwiceIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	for _, host := range []string{threeHost, "three.device.azure-devices.net"} {
		f.properties()["iotHubs"] = append(f.properties()["iotHubs"].([]any), map[string]any{
			"name": host, "hostName": host, "location": "westus", "connectionString": "HostName=" + host +
				";SharedAccessKeyName=link;SharedAccessKey=****",
		})
	}
	client := f.client(t, quick)
	_, _, find := client.Find(t.Context(), serviceID, threeHost)
	_, create := client.Create(t.Context(), serviceID, three())
	_, update := client.Update(t.Context(), serviceID, three())
	for name, err := range map[string]error{"find": find, "create": create, "update": update,
		"remove": client.Remove(t.Context(), serviceID, threeHost)} {
		t.Run(name, func(t *testing.T) {
			if err == nil || !strings.Contains(err.Error(), "three.device.azure-devices.net") ||
				!strings.Contains(err.Error(), "hint: ") {
				t.Errorf("%s: got %v, want an error that names both, and a hint", name, err)
			}
		})
	}
	if len(f.puts()) > 0 {
		t.Errorf("got %d writes, want none", len(f.puts()))
	}
}

func TestNoHubIsLinkedByItsNameForServices(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	own := three()
	own.Host = "three.service.azure-devices.net"
	result, err := f.client(t, quick).Create(t.Context(), serviceID, own)
	if result.Sent || err == nil || !strings.Contains(err.Error(), "hint: use "+threeHost) {
		t.Errorf("got sent %t, %v, want the name to use", result.Sent, err)
	}
}

// TestALinkByIdentityIsAnotherLink, which an update with a key makes a link by key, whole.
func TestALinkByIdentityIsAnotherLink(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	client := f.client(t, quick)
	two := three()
	two.Host = "two.azure-devices.net"
	entry(f.document, "two")["selectedUserAssignedIdentityResourceId"] = "/u"
	entry(f.document, "two")["connectionString"] = "HostName=two.azure-devices.net;" +
		"SharedAccessKeyName=link;SharedAccessKey="
	var exists *hublink.ExistsError
	if _, err := client.Create(t.Context(), serviceID, two); !errors.As(err, &exists) ||
		exists.Present.Identity != "SystemAssigned" {
		t.Errorf("create: got %v, want that it exists, with its identity", err)
	}
	if _, err := client.Update(t.Context(), serviceID, two); err != nil {
		t.Fatal(err)
	}
	got := entry(f.document, "two")
	if got["authenticationType"] != "KeyBased" || got["selectedUserAssignedIdentityResourceId"] != nil ||
		!strings.Contains(got["connectionString"].(string), secretKey) {
		t.Errorf("got %v, want a link by key and nothing of the identity", got)
	}
}

func TestAHubWithMQTT5IsRefused(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(f *fakeARM){
		"by its own description": func(f *fakeARM) {
			f.hubsListed = []any{
				map[string]any{"properties": map[string]any{"hostName": "other.azure-devices.net"}},
				map[string]any{"properties": map[string]any{"hostName": threeHost, "connectionProfile": "MqttV5"}},
			}
		},
		"by its link": func(f *fakeARM) {
			f.served = append(f.served, "2026-11-02-preview")
			f.listed = f.served
			f.properties()["iotHubs"] = append(f.properties()["iotHubs"].([]any), map[string]any{
				"name": threeHost, "hostName": threeHost, "location": "westus", "connectionProfile": "MqttV5",
				"connectionString": "HostName=" + threeHost + ";SharedAccessKeyName=link;SharedAccessKey=****",
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			prepare(f)
			result, err := f.client(t, quick).Create(t.Context(), serviceID, three())
			if result.Sent || err == nil || !strings.Contains(err.Error(), "MQTT 5") ||
				!strings.Contains(err.Error(), "hint: ") ||
				len(f.puts()) > 0 {
				t.Errorf("got sent %t, %v, want a refusal with a hint", result.Sent, err)
			}
		})
	}
	f := newFake(t)
	f.hubsListed = []any{
		map[string]any{"properties": map[string]any{"hostName": threeHost, "connectionProfile": "classic"}},
	}
	if _, err := f.client(t, quick).Create(t.Context(), serviceID, three()); err != nil {
		t.Errorf("a classic hub: got %v, want the link", err)
	}
}
