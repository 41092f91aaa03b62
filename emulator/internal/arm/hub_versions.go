package arm

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"evenkeel/emulator/internal/state"
)

// What the api-versions of hubs differ in. As with provisioning services, a version shows the members that it has, a
// PUT with a member that it does not have is refused, and a PUT resets what it leaves out. Sources: iothub.json of
// 2021-07-02, 2023-06-30 and 2026-11-01, and the types that Bicep makes from the previews (Azure/bicep-types-az).

const (
	versionOfStreams    = "2022-04-30-preview"
	versionOfContainers = "2023-06-30"
	versionOfHostNames  = "2026-11-01"
)

// hubVersions are the described api-versions of hubs, oldest first.
var hubVersions = []string{"2021-07-02", versionOfStreams, versionOfContainers, versionOfHostNames}

// likeHubs are versions that Azure serves, or served, without a description here; each is answered as a described one.
// Previews from 2019-07-01 on are answered as 2022-04-30-preview, because the Azure CLI reads device streams with them.
var likeHubs = map[string]string{
	"2015-08-15-preview": "2021-07-02", "2016-02-03": "2021-07-02", "2017-01-19": "2021-07-02",
	"2017-07-01": "2021-07-02",
	"2018-01-22": "2021-07-02", "2018-04-01": "2021-07-02", "2018-04-01-preview": "2021-07-02",
	"2018-12-01-preview": "2021-07-02", "2019-03-22": "2021-07-02", "2019-03-22-preview": "2021-07-02",
	"2019-11-04": "2021-07-02", "2020-01-01": "2021-07-02", "2020-03-01": "2021-07-02", "2020-04-01": "2021-07-02",
	"2020-06-15": "2021-07-02", "2020-08-01": "2021-07-02", "2020-08-31": "2021-07-02", "2021-03-31": "2021-07-02",
	"2021-07-01": "2021-07-02",

	"2019-07-01-preview": versionOfStreams, "2020-07-10-preview": versionOfStreams,
	"2020-08-31-preview": versionOfStreams,
	"2021-02-01-preview": versionOfStreams, "2021-03-03-preview": versionOfStreams,
	"2021-07-01-preview": versionOfStreams,
	"2021-07-02-preview": versionOfStreams, "2022-11-15-preview": versionOfStreams,

	"2023-06-30-preview": versionOfContainers, "2025-08-01-preview": versionOfContainers,

	"2026-03-01-preview": versionOfHostNames, "2026-05-01-preview": versionOfHostNames,
	"2026-08-01-preview": versionOfHostNames, "2026-10-01-preview": versionOfHostNames,
}

// servedHubs are all versions of hubs, oldest first.
var servedHubs = served(hubVersions, likeHubs)

// hubMembers are the writable properties that not every described version has, and hubEndpoints the lists of
// routing.endpoints, each with the versions that have it.
var (
	hubMembers = map[string][]string{
		"deviceStreams": {versionOfStreams}, "encryption": {versionOfStreams}, "rootCertificate": {versionOfStreams},
	}
	hubEndpoints = map[string][]string{
		"cosmosDBSqlCollections": {versionOfStreams},
		"cosmosDBSqlContainers":  {versionOfContainers, versionOfHostNames},
		"eventStreams":           {versionOfHostNames},
	}
)

// writableRegistry are previews in which a PUT can link a hub to a namespace. It is read-only from 2026-11-01 on.
var writableRegistry = []string{"2026-03-01-preview", "2026-05-01-preview"}

// endpointsOf returns the lists of endpoints in a routing; none when it does not have that form, which others report.
func endpointsOf(routing json.RawMessage) map[string]json.RawMessage {
	var r struct {
		Endpoints map[string]json.RawMessage `json:"endpoints"`
	}
	if isNull(routing) || json.Unmarshal(routing, &r) != nil {
		return nil
	}
	return r.Endpoints
}

// checkHubMembers refuses what the call's version does not have. A null is no value.
func (c *call) checkHubMembers(properties map[string]json.RawMessage) error {
	version := c.described(likeHubs)
	if !isNull(properties["deviceRegistry"]) &&
		(version < versionOfHostNames || slices.Contains(writableRegistry, strings.ToLower(c.version))) {
		// Fidelity: previews had it. Here nothing links hubs to namespaces, and a request for it is not passed over.
		return invalid("The emulator does not link IoT hubs to Device Registry namespaces.")
	}
	lists := endpointsOf(properties["routing"])
	for _, group := range []struct {
		path    string
		members map[string][]string
		sent    map[string]json.RawMessage
	}{{"", hubMembers, properties}, {"routing.endpoints.", hubEndpoints, lists}} {
		for _, name := range slices.Sorted(maps.Keys(group.members)) {
			in := group.members[name]
			if isNull(group.sent[name]) || slices.Contains(in, version) {
				continue
			}
			if newest := in[len(in)-1]; newest < version {
				return providerError(
					numberTooNew, "Setting %s is not supported on this api-version. Use %s api-version.", group.path+
						name, newest,
				)
			}
			return tooNew(group.path+name, in[0])
		}
	}
	return nil
}

// withoutLists removes from a routing the lists of endpoints that a version does not have.
func withoutLists(routing json.RawMessage, version string) (json.RawMessage, error) {
	lists := endpointsOf(routing)
	changed := false
	for name, in := range hubEndpoints {
		if _, ok := lists[name]; ok && !slices.Contains(in, version) {
			delete(lists, name)
			changed = true
		}
	}
	if !changed {
		return routing, nil
	}
	return withEndpoints(routing, lists)
}

// withEndpoints replaces the lists of endpoints in a routing.
func withEndpoints(routing json.RawMessage, lists map[string]json.RawMessage) (json.RawMessage, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(routing, &whole); err != nil {
		return nil, err
	}
	var err error
	if whole["endpoints"], err = json.Marshal(lists); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// shapeHub removes from an answer what a described version does not have, and adds what only it has.
func shapeHub(properties map[string]json.RawMessage, version string) error {
	for name, in := range hubMembers {
		if !slices.Contains(in, version) {
			delete(properties, name)
		}
	}
	var err error
	if properties["routing"], err = withoutLists(properties["routing"], version); err != nil {
		return err
	}
	if version >= versionOfHostNames {
		properties["iotHubDetails"] = json.RawMessage(`{"gatewayVersion":"V2"}`)
		var classic string
		if raw := properties["hostName"]; !isNull(raw) && json.Unmarshal(raw, &classic) == nil {
			properties["deviceHostName"] = text(state.DeviceHost(classic))
			properties["serviceHostName"] = text(state.ServiceHostOfHub(classic))
		}
	}
	return nil
}

// keepHubMembers copies the members that the call's version does not have from the properties that a hub has already.
func (c *call) keepHubMembers(kept, old map[string]json.RawMessage) error {
	if !c.KeepNewerMembers {
		return nil
	}
	version := c.described(likeHubs)
	for name, in := range hubMembers {
		if !slices.Contains(in, version) && !isNull(old[name]) {
			kept[name] = old[name]
		}
	}
	before := endpointsOf(old["routing"])
	for name, in := range hubEndpoints {
		if slices.Contains(in, version) || isNull(before[name]) {
			continue
		}
		if isNull(kept["routing"]) {
			kept["routing"] = defaultHubProperties["routing"]
		}
		lists := endpointsOf(kept["routing"])
		if lists == nil {
			lists = map[string]json.RawMessage{}
		}
		lists[name] = before[name]
		var err error
		if kept["routing"], err = withEndpoints(kept["routing"], lists); err != nil {
			return invalid("The property routing does not have the form of the specification: %s.", describeJSON(err))
		}
	}
	return nil
}

// checkCertificateMembers refuses to tie a certificate of a hub to Device Registry. Fidelity: Azure has it.
func (c *call) checkCertificateMembers(p parent) error {
	var body struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if !p.ofHub || json.Unmarshal(c.content, &body) != nil {
		return nil // decoding the body reports the error
	}
	const policy, authority = "policyResourceId", "certificateAuthorityResourceId"
	if !isNull(body.Properties[authority]) && c.described(likeHubs) < versionOfHostNames {
		return tooNew(authority, versionOfHostNames)
	}
	if !isNull(body.Properties[authority]) || !isNull(body.Properties[policy]) {
		return invalid("The emulator does not tie certificates to Device Registry.")
	}
	return nil
}

// keepServiceMembers does for a provisioning service what keepHubMembers does for a hub. old is empty for a new one.
func (c *call) keepServiceMembers(record *serviceRecord, old serviceRecord) {
	if !c.KeepNewerMembers {
		return
	}
	version := c.described(likeServices)
	if version < versionOfPortal {
		record.Settings.PortalOperationsHost = old.Settings.PortalOperationsHost
	}
	if version < versionOfIdentity {
		record.Identity = old.Identity
	}
	if version < versionOfLocalAuth {
		record.Settings.DisableLocalAuth = old.Settings.DisableLocalAuth
	}
}
