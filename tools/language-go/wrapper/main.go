// Command wrapper is installed as pulumi-language-go beside a Pulumi CLI that evenkeel built. It starts the real host,
// pulumi-language-go-real in the same folder, and adds -binary when EVENKEEL_PROGRAM names a program that is already
// built: the host of this version has the flag but ignores runtime.options.binary, and would link the program again on
// every run.
//
// It builds nothing and does not know the rest of evenkeel.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

func main() {
	self, err := os.Executable()
	if err != nil {
		fail(err)
	}
	if resolved, err := filepath.EvalSymlinks(self); err == nil {
		self = resolved
	}
	host := filepath.Join(filepath.Dir(self), "pulumi-language-go-real")
	if runtime.GOOS == "windows" {
		host += ".exe"
	}
	args := os.Args[1:]
	if program := os.Getenv("EVENKEEL_PROGRAM"); program != "" {
		args = append([]string{"-binary", program}, args...)
	}
	if err := run(host, args); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pulumi-language-go:", err)
	os.Exit(1)
}
