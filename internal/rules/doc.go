// Package rules contains the rules of this code base as tests: which packages may import which and why, one package
// comment for each package, the sizes of files and functions, where a process may end or read its environment, the only
// replace of go.mod, named cases in tests, and plain English.
//
// It tests no behaviour of the product. Run it with `go test ./internal/rules`; a failure says how to correct it.
package rules
