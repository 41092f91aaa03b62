// Command pulumi-resource-azure-dps serves the provider azure-dps to the Pulumi engine, which starts it, and ends with
// it. It does nothing else.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	p "github.com/pulumi/pulumi-go-provider"

	"evenkeel/internal/provider"
)

// softLimit is the memory in bytes that the garbage collector tries to stay below.
const softLimit = 700 << 20

func main() {
	// A set allocates much memory for each enrollment and keeps little of it: with the default of 100, garbage
	// collection takes a quarter of the time; values beyond 200 gain little, and 10,000 inline items take more than 300
	// MiB.
	debug.SetGCPercent(200)
	debug.SetMemoryLimit(softLimit)
	if stdin, err := os.Stdin.Stat(); err == nil && stdin.Mode()&os.ModeNamedPipe != 0 {
		go endWithEngine()
	}
	served, err := provider.New(os.Getenv)
	if err == nil {
		err = p.RunProvider(context.Background(), provider.Name, provider.Version, served)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pulumi-resource-azure-dps:", err)
		os.Exit(1)
	}
}

// endWithEngine ends the process when the pipe to the engine breaks. A killed engine does not end the plugin, and a
// request that is still being retried must not arrive while the next engine is running.
func endWithEngine() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}
