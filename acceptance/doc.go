// Package acceptance tests evenkeel end to end with everything real but the cloud: the built keel, the Pulumi engine,
// the language host, the plugins as processes, and the emulator. The stories are the scripts in testdata; tests that a
// script cannot express are in Go.
//
// It runs only with the build tag acceptance (`make test`), and needs no network once the tools are built. Unit tests
// belong in other packages.
package acceptance
