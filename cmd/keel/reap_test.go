//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/rogpeppe/go-internal/testscript"

	"evenkeel/internal/keel/environment"
)

// expire: `expire NAME TIME` writes the end of an environment's lifetime to its stack file.
func expire(ts *testscript.TestScript, name, at string) {
	file := filepath.Join(ts.Getenv("CHECKOUT"), "stacks", "Pulumi."+name+".yaml")
	line := regexp.MustCompile(`evenkeel:expiresAt: .*`)
	ts.Check(os.WriteFile(file, line.ReplaceAll([]byte(ts.ReadFile(file)), []byte("evenkeel:expiresAt: "+at)), 0o600))
}

// tag: `tag NAME TAG=VALUE...` creates a resource group of the environment in the emulator with its own tags, changed
// by the given ones, as Pulumi and a user of the portal would. An empty value removes a tag.
func tag(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: tag NAME TAG=VALUE...")
	}
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err := decode(record)
	ts.Check(err)
	credential, client, err := environment.Client(ends)
	ts.Check(err)
	groups, err := armresources.NewResourceGroupsClient(ends.SubscriptionID, credential,
		&arm.ClientOptions{ClientOptions: client, DisableRPRegistration: true})
	ts.Check(err)
	own := environment.Environment{Folder: environment.Folder{Root: ts.Getenv("CHECKOUT")}, Stack: args[0]}
	all, err := own.Tags(context.Background())
	ts.Check(err)
	for _, pair := range args[1:] {
		name, value, _ := strings.Cut(pair, "=")
		if all[name] = value; value == "" {
			delete(all, name)
		}
	}
	tags := map[string]*string{}
	for name, value := range all {
		tags[name] = &value
	}
	_, err = groups.CreateOrUpdate(context.Background(), args[0],
		armresources.ResourceGroup{Location: to.Ptr("westeurope"), Tags: tags}, nil)
	ts.Check(err)
}

// azurelogin: from here on keel treats the emulator as Azure, with a service principal and a subscription in
// environment variables.
func azureLogin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: azurelogin")
	}
	record, err := process(ts.Getenv("CHECKOUT")).Find()
	ts.Check(err)
	ends, err := decode(record)
	ts.Check(err)
	for name, value := range map[string]string{
		"ARM_METADATA_HOSTNAME": strings.TrimPrefix(ends.ARM, "https://"), "ARM_TENANT_ID": ends.TenantID,
		"ARM_CLIENT_ID":       ends.ClientID,
		"ARM_SUBSCRIPTION_ID": ends.SubscriptionID, "SSL_CERT_FILE": ends.CAFile,
		"ARM_CLIENT_SECRET": strings.TrimSpace(ts.ReadFile(ends.SecretFile)),
	} {
		ts.Setenv(name, value)
	}
}

// held is the key under which a story keeps its claim.
const held = "held"

// claim: `claim NAME` claims an environment, as another keel would, until `release`; the name "all" claims what keel
// reap claims.
func claimed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: claim NAME")
	}
	folder := environment.Folder{Root: ts.Getenv("CHECKOUT")}
	e := environment.Environment{Folder: folder, Stack: args[0], Command: "keel up " + args[0]}
	free, err := e.Claim(context.Background())
	if args[0] == "all" { // the claim of keel reap
		free, err = folder.ClaimReaping(context.Background(), "keel reap")
	}
	ts.Check(err)
	ts.Value(held).(chan func()) <- free
}

func release(ts *testscript.TestScript, _ bool, _ []string) {
	(<-ts.Value(held).(chan func()))()
}

// awaitLine: `await FILE PATTERN` waits until a line of the file matches.
func awaitLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE PATTERN")
	}
	pattern := regexp.MustCompile("(?m)" + args[1])
	var text []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, _ = os.ReadFile(ts.MkAbs(args[0])) // absent: not yet
		if pattern.Match(text) {
			return
		}
	}
	ts.Fatalf("%s never held %q; it holds\n%s", args[0], args[1], text)
}
