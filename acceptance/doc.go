// Package acceptance tests evenkeel end to end. Everything but the cloud is real: the built keel, the Pulumi engine,
// the language host and the plugins as processes. The stories are the scripts in testdata; tests that a script cannot
// express are in Go.
//
// The tests run only with the build tag acceptance (`make test`) and need no network once the tools are built. Unit
// tests belong in other packages.
package acceptance
