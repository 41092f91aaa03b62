// Package acceptance tells the stories of evenkeel with everything real but the cloud: the built keel, the Pulumi engine, the language
// host, the plugins as processes, and the emulator. The stories are the scripts of testdata; what a script cannot say stands in Go.
//
// It runs with the build tag acceptance only (`make test`), needs no network once the tools are built, and is no place for unit tests.
package acceptance
