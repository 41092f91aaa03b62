// Package set implements the resource EnrollmentSet: many individual enrollments as one resource, from a list or from a
// manifest.
//
// An item's properties are listed once, in fields.go. The operations on a single enrollment are in
// internal/provider/entry.
package set
