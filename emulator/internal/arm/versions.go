package arm

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Api-versions of Microsoft.Devices that the surface takes: those whose specifications were compared, and those that
// azure-native 2.92.3 and 3 call. Those of hubs are in hub_versions.go; for what those of services differ in see
// service_versions.go.
var serviceVersions = []string{"2021-10-15", "2022-02-05", "2022-12-12", "2023-03-01-preview", "2026-08-31",
	"2026-11-01"}

// served returns all versions of a resource type, oldest first: the described ones and those that are answered like
// one.
func served(described []string, like map[string]string) []string {
	return slices.Sorted(slices.Values(slices.Concat(described, slices.Collect(maps.Keys(like)))))
}

// described returns the described version that the call's version is answered like.
func (c *call) described(like map[string]string) string {
	version := strings.ToLower(c.version)
	return cmp.Or(like[version], version)
}

// aVersion is the form of every api-version. Calls of ARM itself (groups, subscriptions) accept any.
var aVersion = regexp.MustCompile(`^20\d\d-[01]\d-[0-3]\d(-[a-z]+)?$`)

// checkVersion checks the api-version of a call to the operation with that (lower-case) pattern.
func checkVersion(version, pattern string) error {
	if version == "" {
		return armError(http.StatusBadRequest, "MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.")
	}
	var kind string
	var known []string
	switch {
	case strings.HasSuffix(pattern, tagsOf): // calls of ARM itself, also for the tags of Microsoft.Devices
	case strings.Contains(pattern, "/iothubs"), strings.HasSuffix(pattern, "/checknameavailability"):
		kind, known = hubKind, servedHubs
	case strings.Contains(pattern, "/provisioningservice"),
		strings.HasSuffix(pattern, "/checkprovisioningservicenameavailability"):
		kind, known = serviceKind, servedServices
	}
	version = strings.ToLower(version)
	if known != nil && !slices.Contains(known, version) {
		method, _, _ := strings.Cut(pattern, " ")
		return versionRefused(method, kind, version, known)
	}
	if !aVersion.MatchString(version) {
		return armError(http.StatusBadRequest, "InvalidApiVersionParameter", "The api-version '%s' is invalid.",
			version)
	}
	return nil
}
