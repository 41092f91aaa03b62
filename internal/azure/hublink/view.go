package hublink

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/domain"
)

// View is a provisioning service or a hub as the newest api-version that ARM serves shows it.
type View struct {
	// Version is that api-version.
	Version string
	// Host is the classic host name of a hub.
	Host string
	// LocalAuthDisabled reports that the keys of its shared access policies are refused.
	LocalAuthDisabled bool
	// Links are the links of a provisioning service.
	Links []Link
	// Hidden are the members, by path and without values, that an older api-version does not show and that have other
	// values than a default: a PUT with that version resets them.
	Hidden []string
}

// IdentityOf returns the kind of managed identity by which the service uses a hub, and whether the hub is linked. The
// kind is empty for a link with a key.
func (v View) IdentityOf(host string) (kind string, isLinked bool) {
	for _, link := range v.Links {
		if domain.SameHost(link.Host, host) {
			return link.Identity, true
		}
	}
	return "", false
}

// ViewService reads a provisioning service, and compares it with what an older api-version shows of it. It sends only
// GETs. The error is ErrNoService if ARM says that the service does not exist.
func (c *Client) ViewService(ctx context.Context, service, older string) (View, error) {
	versions, err := c.servedBy(ctx, service)
	if err != nil {
		return View{}, err
	}
	view, newest, err := c.view(ctx, service, older, versions.newer(older), hidden)
	if isAbsent(err) {
		return View{}, fmt.Errorf("%w: %w", ErrNoService, err)
	}
	if err != nil {
		return View{}, err
	}
	if err := newest.decode(); err != nil {
		return View{}, fmt.Errorf("read %s: %w", service, err)
	}
	for i := range newest.hubs {
		link, err := newest.link(i)
		if err != nil {
			return View{}, err
		}
		view.Links = append(view.Links, link)
	}
	return view, nil
}

// hubVersions are the known stable api-versions of IotHubs, newest first. They are tried because ARM's list may lack
// them.
var hubVersions = []string{"2026-11-01", "2023-06-30", "2021-07-02"}

// ViewHub is ViewService for a hub.
func (c *Client) ViewHub(ctx context.Context, hub, older string) (View, error) {
	listed, err := c.registration(ctx, subscriptionOf(hub))
	if err != nil {
		return View{}, err
	}
	versions := slices.Clone(hubVersions)
	for _, version := range listed["iothubs"] {
		if version = strings.ToLower(version); versionForm.MatchString(version) {
			versions = append(versions, version)
		}
	}
	versions = slices.DeleteFunc(newestFirst(versions), func(v string) bool { return !isOlder(older, v) })
	view, _, err := c.view(ctx, hub, older, versions, hiddenOfHub)
	return view, err
}

// view reads a resource with the first of the versions that ARM serves, and with an older one.
func (c *Client) view(ctx context.Context, id, older string, versions []string,
	hidden func(newer, older *document) []string) (View, *document, error) {
	then := &document{version: older}
	if err := c.arm.Get(ctx, arm.Target{ID: id, APIVersion: older}, &then.body); err != nil {
		return View{}, nil, err
	}
	newest := then
	var failed error
	for _, version := range versions {
		now := &document{version: version}
		err := c.arm.Get(ctx, arm.Target{ID: id, APIVersion: version}, &now.body)
		if err == nil {
			newest, failed = now, nil
			break
		}
		if ctx.Err() != nil {
			return View{}, nil, err
		}
		// A preview may fail where a stable version works.
		if _, unserved := arm.IsUnserved(err); !unserved && failed == nil {
			failed = err
		}
	}
	if failed != nil {
		return View{}, nil, failed
	}
	if newest != then && newest.etag() != then.etag() {
		// It was changed between the two readings.
		again := &document{version: older}
		if err := c.arm.Get(ctx, arm.Target{ID: id, APIVersion: older}, &again.body); err != nil {
			return View{}, nil, err
		}
		then = again
	}
	view := View{Version: newest.version, Hidden: hidden(newest, then)}
	properties := map[string]json.RawMessage{}
	_ = json.Unmarshal(newest.body["properties"], &properties) // another form has no such settings
	view.Host = textOf(properties["hostName"])
	_ = json.Unmarshal(properties["disableLocalAuth"], &view.LocalAuthDisabled)
	return view, newest, nil
}

// readOnlyOfHub are members of hubs that no PUT can reset: names, what Azure decides, and the same Cosmos DB endpoints
// under the name of the other version. A link to a Device Registry namespace is read-only too, but what a PUT without
// it does is not known.
var readOnlyOfHub = []string{
	"properties.deviceHostName", "properties.serviceHostName", "properties.iotHubDetails",
	"properties.connectionProfile", "properties.features", "properties.routing.endpoints.cosmosDBSqlContainers",
}

// hiddenOfHub is hidden for a hub.
func hiddenOfHub(newer, older *document) []string {
	return slices.DeleteFunc(hidden(newer, older), func(member string) bool {
		return slices.Contains(readOnlyOfHub, member)
	})
}
