// Package rules holds the rules of this code base as tests: who may import whom and why, one doc for each package,
// sizes of files and functions, where a process may end or read its environment, and the one replace of go.mod.
//
// It tests no behaviour of the product. Run it with `go test ./internal/rules`; a failure says what to do.
package rules
