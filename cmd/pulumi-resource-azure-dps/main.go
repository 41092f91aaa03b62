// Command pulumi-resource-azure-dps serves the provider azure-dps to the Pulumi engine, which starts it, and ends with it. It does
// nothing else.
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

// softLimit is how many bytes of memory the collector of garbage tries to stay below.
const softLimit = 700 << 20

func main() {
	// A set leaves much garbage for each enrollment and keeps little of it: with the usual 100, collecting takes a quarter of the time; beyond 200
	// little more is gained, and 10,000 inline items take more than 300 MiB.
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

// endWithEngine ends the process when the pipe to the engine breaks. A killed engine cannot say goodbye, and a request that is
// still being retried must not arrive when the next engine is at work already.
func endWithEngine() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(1)
}
