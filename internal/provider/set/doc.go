// Package set holds the resource EnrollmentSet: many individual enrollments as one resource, from a list or from a manifest.
//
// An item's properties are listed once, in fields.go. What is done with a single enrollment is in internal/provider/entry.
package set
