// Package version holds the version of this project, the only place where it is written: the provider, its schema and
// SDKs, keel and the release archives read it here.
package version

// Version is the version of keel, of the provider and of its SDKs, without the letter v (semantic versioning).
const Version = "0.1.0"
