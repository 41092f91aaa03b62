package hublink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"evenkeel/internal/azure/arm"
	"evenkeel/internal/azure/domain"
)

// Api-versions of provisioningServices. A PUT replaces the whole service, so a version without a member resets it. The
// first whole version carries every member that a caller may write in any later version known today.
const (
	firstWhole = "2026-08-31"
	// listing is the version of ARM's own list of api-versions.
	listing = "2021-04-01"
	// never is not a version: the refusal of it lists those that are served.
	never = "2000-01-01"
)

var (
	// wholeVersions are the known stable ones with all members, newest first.
	wholeVersions = []string{"2026-11-01", firstWhole}
	// olderVersions are for clouds that serve nothing newer; the first is the second with the service's identity.
	olderVersions = []string{"2023-03-01-preview", "2022-12-12"}
	// previews show what older versions hide, and links' connection profiles. They are tried because the list of
	// versions may lack them.
	previews = []string{"2026-11-02-preview", "2026-06-01-preview", "2026-03-01-preview", "2025-02-01-preview"}
)

func isKnown(version string) bool {
	return slices.Contains(wholeVersions, version) || slices.Contains(olderVersions, version) ||
		slices.Contains(previews, version)
}

var versionForm = regexp.MustCompile(`^20\d\d-\d\d-\d\d(-[a-z0-9-]+)?$`)

func isPreview(version string) bool {
	return strings.Contains(version, "preview") || len(version) > len(firstWhole)
}

// isOlder compares versions by their dates. On one day a preview is older than the stable version.
func isOlder(a, b string) bool { return compareVersions(a, b) < 0 }

func compareVersions(a, b string) int {
	if a[:len(firstWhole)] != b[:len(firstWhole)] {
		return strings.Compare(a, b)
	}
	return strings.Compare(b, a) // the longer one is the preview
}

// newestFirst sorts versions and removes duplicates.
func newestFirst(versions []string) []string {
	slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
	return slices.Compact(versions)
}

// UnsafeError reports that no api-version that the cloud serves can write the service without a risk for other members.
type UnsafeError struct{ reason string }

func (e *UnsafeError) Error() string { return e.reason }

// servedVersions is what is known of the api-versions that ARM serves for one provisioning service. It is safe for
// concurrent use.
type servedVersions struct {
	mu sync.Mutex
	// listed are versions from ARM's list or the text of a refusal; they are tried, but may be wrong.
	listed []string
	// unserved versions are refused, readOnly ones in writes only.
	unserved, readOnly map[string]bool
}

// stable returns the versions to write with, best first.
func (l *servedVersions) stable() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(wholeVersions, olderVersions)
	for _, version := range l.listed {
		if !isPreview(version) && isOlder("2022-12-12", version) {
			all = append(all, version)
		}
	}
	return slices.DeleteFunc(newestFirst(all), func(v string) bool { return l.unserved[v] || l.readOnly[v] })
}

// newer returns the versions that may show more than the given one, newest first.
func (l *servedVersions) newer(version string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Concat(l.listed, wholeVersions)
	if len(l.listed) == 0 || isOlder(version, firstWhole) {
		all = append(all, previews...)
	}
	return slices.DeleteFunc(newestFirst(all), func(v string) bool { return !isOlder(version, v) || l.unserved[v] })
}

// exclude records that ARM refused a version, and the versions that it listed instead.
func (l *servedVersions) exclude(version string, named []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unserved[version] = true
	l.add(named)
}

// excludeWrites records that ARM refuses PUTs with a version that it accepts for GETs.
func (l *servedVersions) excludeWrites(version string, named []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readOnly[version] = true
	l.add(named)
}

func (l *servedVersions) add(named []string) {
	for _, version := range named {
		if version = strings.ToLower(version); versionForm.MatchString(version) && !slices.Contains(l.listed, version) {
			l.listed = append(l.listed, version)
		}
	}
}

// servedBy returns what is known of the versions for a service. The first call for a subscription gets ARM's list.
func (c *Client) servedBy(ctx context.Context, service string) (*servedVersions, error) {
	name := strings.ToLower(service)
	c.mu.Lock()
	known := c.versionsOf[name]
	c.mu.Unlock()
	if known != nil {
		return known, nil
	}
	types, err := c.registration(ctx, subscriptionOf(service))
	if err != nil {
		return nil, err
	}
	listed := types["provisioningservices"]
	if len(listed) == 0 {
		err := c.arm.Get(ctx, arm.Target{ID: service, APIVersion: never}, &map[string]json.RawMessage{})
		if listed, _ = arm.IsUnserved(err); ctx.Err() != nil {
			return nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.versionsOf[name] == nil {
		l := &servedVersions{unserved: map[string]bool{}, readOnly: map[string]bool{}}
		l.add(listed)
		c.versionsOf[name] = l
	}
	return c.versionsOf[name], nil
}

// registration returns the api-versions that ARM lists for the types of Microsoft.Devices, by lower-case type. It sends
// one request for each subscription. A refusal is not an error: a user who may write one resource need not have rights
// on the subscription.
func (c *Client) registration(ctx context.Context, subscription string) (map[string][]string, error) {
	done, err := c.turn(ctx, subscription)
	if err != nil {
		return nil, err
	}
	defer done()
	c.mu.Lock()
	known, ok := c.listed[subscription]
	c.mu.Unlock()
	if ok {
		return known, nil
	}
	var provider struct {
		ResourceTypes []struct {
			ResourceType string   `json:"resourceType"`
			APIVersions  []string `json:"apiVersions"`
		} `json:"resourceTypes"`
	}
	from := arm.Target{ID: subscription + "/providers/Microsoft.Devices", APIVersion: listing}
	var unanswered *arm.UnansweredError
	if err := c.arm.Get(ctx, from, &provider); errors.As(err, &unanswered) || ctx.Err() != nil {
		return nil, err
	}
	known = map[string][]string{}
	for _, kind := range provider.ResourceTypes {
		known[strings.ToLower(kind.ResourceType)] = kind.APIVersions
	}
	c.mu.Lock()
	c.listed[subscription] = known
	c.mu.Unlock()
	return known, nil
}

// subscriptionOf is the beginning of a resource's id, "/subscriptions/{id}".
func subscriptionOf(service string) string {
	before, _, _ := strings.Cut(strings.ToLower(service), "/resourcegroups/")
	return before
}

// open reads the service with the best version that ARM serves, once it is in no transition.
func (c *Client) open(ctx context.Context, service string) (*document, *servedVersions, error) {
	versions, err := c.servedBy(ctx, service)
	if err != nil {
		return nil, nil, err
	}
	tried := map[string]bool{}
	for {
		// A refusal can list versions that were not known before, so the list is computed after each.
		left := slices.DeleteFunc(versions.stable(), func(v string) bool { return tried[v] })
		if len(left) == 0 {
			return nil, nil, fmt.Errorf(
				"find an api-version for %s: Azure Resource Manager serves none that can be used here. "+
					"hint: compare `az provider show --namespace Microsoft.Devices` with %s and later",
				service,
				olderVersions[len(olderVersions)-1],
			)
		}
		version := left[0]
		tried[version] = true
		d, err := c.read(ctx, service, version)
		named, unserved := arm.IsUnserved(err)
		switch {
		case unserved:
			versions.exclude(version, named)
		case errors.Is(err, errShape) && !isKnown(version):
			// A future version, which may describe links differently.
		case err != nil:
			return nil, nil, err
		default:
			return d, versions, nil
		}
	}
}

// openToWrite is open for a change: it fails, or chooses another version, if the service has members that the best
// version does not show.
func (c *Client) openToWrite(ctx context.Context, service string) (*document, *servedVersions, error) {
	d, versions, err := c.open(ctx, service)
	if err != nil {
		return nil, nil, err
	}
	newer, err := c.newest(ctx, service, d, versions)
	if err != nil || newer == nil {
		return d, versions, err
	}
	if newer.etag() != d.etag() {
		// Either the service changed between the two readings, or the etag depends on the version.
		again, err := c.read(ctx, service, d.version)
		if err != nil {
			return nil, nil, err
		}
		if again.etag() != d.etag() {
			return nil, nil, errRace
		}
	}
	d.profiles = newer.profilesOfLinks()
	if d.namespaces() == nil {
		d.shared = newer.namespaces()
	}
	members := hidden(newer, d)
	switch {
	case len(members) == 0:
		return d, versions, nil
	case !isOlder(d.version, firstWhole) && isPreview(newer.version) && newer.isReadable() &&
		len(hidden(d, newer)) == 0 &&
		!versions.refusesWrites(newer.version):
		newer.profiles = d.profiles
		return newer, versions, nil
	}
	return nil, nil, &UnsafeError{fmt.Sprintf(
		"the provisioning service has %s, which the api-version %s shows and %s, the newest that can be used here, "+
			"would reset. "+
			"hint: update the plugin azure-dps, or change the link with a client of api-version %s or later, "+
			"such as `az iot dps linked-hub`",
		list(members),
		newer.version,
		d.version,
		newer.version,
	)}
}

// newest reads the service with the newest version that ARM serves, or returns nil if that is the document's own or no
// version shows more.
func (c *Client) newest(ctx context.Context, service string, d *document, versions *servedVersions) (*document, error) {
	for _, version := range versions.newer(d.version) {
		newer := &document{id: service, version: version}
		err := c.arm.Get(ctx, arm.Target{ID: service, APIVersion: version}, &newer.body)
		if named, unserved := arm.IsUnserved(err); unserved {
			versions.exclude(version, named)
			continue
		}
		var unanswered *arm.UnansweredError
		switch {
		case err == nil:
			_ = newer.decode() // an unknown form is compared too
			return newer, nil
		case isAbsent(err):
			return nil, fmt.Errorf("%w: %w", ErrNoService, err)
		case errors.As(err, &unanswered), ctx.Err() != nil:
			return nil, err
		case isOlder(d.version, firstWhole):
			return nil, &UnsafeError{fmt.Sprintf(
				"the api-version %s, the newest that can be used here, may not show all that the provisioning "+
					"service has, "+
					"and the one that does failed: %s. "+
					"hint: run it again later, or change the link with a client of api-version %s or later, "+
					"such as `az iot dps linked-hub`",
				d.version,
				err,
				version,
			)}
		}
	}
	return nil, nil
}

func (l *servedVersions) refusesWrites(version string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.readOnly[version]
}

// isReadable reports whether the document was decoded whole.
func (d *document) isReadable() bool {
	copied := document{version: "of the future", body: d.body}
	return copied.decode() == nil
}

// profilesOfLinks returns the connection profiles that a version shows of links, by lower-case host.
func (d *document) profilesOfLinks() map[string]string {
	profiles := map[string]string{}
	for _, entry := range d.hubs {
		if profile := textOf(entry["connectionProfile"]); profile != "" {
			profiles[strings.ToLower(hostOf(entry))] = profile
		}
	}
	return profiles
}

// errProfile refuses hubs that devices use with MQTT 5 only: ARM links such a hub through a Device Registry namespace.
var errProfile = errors.New("the hub has the connection profile MQTT 5, and a classic link cannot hold it. " +
	"hint: link the hub and the provisioning service to one Device Registry namespace instead")

func isMQTT5(profile string) bool { return strings.EqualFold(profile, "mqttv5") }

// profileVersion is the first of IotHubs that shows a hub's connection profile.
const profileVersion = "2026-10-01-preview"

// checkProfile refuses a hub with the profile MQTT 5, as far as the hubs of the service's subscription can be read: a
// hub in another one, or an account without the right, leaves the decision to ARM.
func (c *Client) checkProfile(ctx context.Context, service, host string) error {
	subscription := subscriptionOf(service)
	types, err := c.registration(ctx, subscription)
	if err != nil {
		return err
	}
	versions := []string{}
	for _, version := range types["iothubs"] {
		version = strings.ToLower(version)
		if versionForm.MatchString(version) && isPreview(version) && !isOlder(version, profileVersion) {
			versions = append(versions, version)
		}
	}
	if len(versions) == 0 {
		return nil
	}
	hubs, err := c.arm.List(
		ctx,
		arm.Target{ID: subscription + "/providers/Microsoft.Devices/IotHubs", APIVersion: newestFirst(versions)[0]},
	)
	if err != nil {
		return ctx.Err()
	}
	for _, raw := range hubs {
		var hub struct {
			Properties struct {
				HostName          string `json:"hostName"`
				ConnectionProfile string `json:"connectionProfile"`
			} `json:"properties"`
		}
		if json.Unmarshal(raw, &hub) == nil && domain.SameHost(hub.Properties.HostName, host) &&
			isMQTT5(hub.Properties.ConnectionProfile) {
			return fmt.Errorf("link %s: %w", host, errProfile)
		}
	}
	return nil
}
