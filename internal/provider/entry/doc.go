// Package entry implements individual enrollments and enrollment groups as Pulumi resources: what a program declares,
// what the service holds, how the two are compared, and how an entry is created, changed, read and deleted without
// touching entries of other owners.
//
// It sends no HTTP requests (dpsservice does), does not know the rules of ids, keys and certificates
// (internal/azure/enrollment does), and does not know how the provider is configured: an operation brings the
// connection.
package entry
